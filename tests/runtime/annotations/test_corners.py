"""Corners of annotations, put in order, and images that are turned."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime.annotations.corners import (
    Coordinates,
    DrawnFrame,
    DrawnTarget,
    checked_frame,
    corner_order,
)
from stn_rectify.runtime.errors import DataError

RIGHT = [[10, 10], [60, 15], [62, 40], [12, 38]]


def check(tmp_path, points, *, ordered, size=None, orientation=1):
    file = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.full((60, 80, 3), 7, np.uint8)).save(file, exif=exif)
    target = DrawnTarget(points, "target 1", ordered)
    return checked_frame(DrawnFrame(file, (target,), tmp_path / "labels", Coordinates.CENTRES, size))


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("turned_round", [False, True], ids=["clockwise", "against the clock"])
def test_drawn_corners_begin_at_the_top_left_whichever_way_they_were_drawn(tmp_path, first, turned_round):
    points = np.roll(RIGHT, -first, axis=0)[:: -1 if turned_round else 1].tolist()
    frame, mended = check(tmp_path, points, ordered=False)
    assert frame.targets[0].corners.tolist() == RIGHT
    assert mended == (points != RIGHT)


def test_corners_that_were_drawn_across_are_put_in_order(tmp_path):
    frame, mended = check(tmp_path, [RIGHT[k] for k in (0, 2, 1, 3)], ordered=False)
    assert frame.targets[0].corners.tolist() == RIGHT
    assert mended == 1


@pytest.mark.parametrize("first", range(4))
def test_where_the_format_says_which_corner_is_first_it_stays_first(tmp_path, first):
    points = np.roll(RIGHT, -first, axis=0).tolist()
    frame, mended = check(tmp_path, points, ordered=True)
    assert (frame.targets[0].corners.tolist(), mended) == (points, 0)
    frame, mended = check(tmp_path, [points[k] for k in (0, 3, 2, 1)], ordered=True)
    assert (frame.targets[0].corners.tolist(), mended) == (points, 1)


def test_crossed_corners_are_refused_where_the_format_says_which_is_which(tmp_path):
    with pytest.raises(DataError, match=r"target 1 of a\.jpg: its corners are not TL TR BR BL, clockwise and convex"):
        check(tmp_path, [RIGHT[k] for k in (0, 2, 1, 3)], ordered=True)


def test_the_size_is_that_of_the_upright_image(tmp_path):
    frame, _ = check(tmp_path, [[x / 2, y] for x, y in RIGHT], ordered=True, orientation=6)
    assert frame.size == (60, 80)
    assert frame.read().shape == (80, 60, 3)
    with pytest.raises(DataError, match=r"annotated as 80x60 pixels, but has 60x80 \(it is turned by its EXIF"):
        check(tmp_path, RIGHT, ordered=True, size=(80, 60), orientation=6)


def test_a_target_may_lie_partly_outside(tmp_path):
    frame, _ = check(tmp_path, [[-30, -20], [60, 15], [62, 40], [12, 100]], ordered=True)
    assert frame.targets[0].corners.min() == -30


def test_the_largest_target_is_that_of_the_largest_area(tmp_path):
    small, large = DrawnTarget([[1, 1], [70, 1], [70, 3], [1, 3]], "1"), DrawnTarget(RIGHT, "2", label="large")
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "a.png")
    frame, _ = checked_frame(DrawnFrame(tmp_path / "a.png", (small, large), tmp_path, Coordinates.CENTRES))
    assert frame.largest.label == "large"
    assert frame.read().shape == (60, 80, 3)  # a grey image is read as colour


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["tl", "tr", "br", "bl"], [0, 1, 2, 3]),
        (["bottom_right", "Bottom-Left", "top left", "topRight"], [2, 3, 0, 1]),
        (["left_top", "right_top", "left_bottom", "right_bottom"], [0, 1, 3, 2]),
        (["0", "1", "2", "3"], None),
        (["tl", "tl", "br", "bl"], None),
        (["tl", "tr", "br", "bl", "centre"], None),
        ([], None),
    ],
)
def test_names_of_keypoints_tell_which_corner_they_are(names, order):
    assert corner_order(names) == order
