"""What a turn network is shown of a target, and what several looks say together."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.metadata import ClassScoresSpec, InputSpec, TurnSpec
from stn_rectify.runtime.rectifying.refining.target_looks import (
    aspect_of,
    letterbox_size,
    letterboxed,
    target_looks,
)
from stn_rectify.runtime.rectifying.refining.turn_network import TurnNetwork, joint_probabilities

SIDE = 96
SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
#: The corners of a page of 480×640 pixels in its frame.
PAGE = np.array([[59.5, 39.5], [539.5, 39.5], [539.5, 679.5], [59.5, 679.5]])


def frame_with_print(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """An empty page with a checkerboard of 4 pixels in each box x, y, width, height, counted from its corner."""
    frame = np.full((720, 600, 3), 200, np.uint8)
    y, x = np.mgrid[:720, :600] // 4
    for left, top, width, height in boxes:
        place = np.s_[40 + top : 40 + top + height, 60 + left : 60 + left + width]
        frame[place] = np.where(((x + y) % 2)[place][..., None], 240, 40)
    return frame


def looks(frame: np.ndarray, details: int, corners: np.ndarray = PAGE) -> list[np.ndarray]:
    pose = corners_to_homography(corners, frame.shape[1], frame.shape[0])
    return list(target_looks(frame, pose, SIDE, details))


def test_without_details_the_whole_target_alone_is_seen() -> None:
    (whole,) = looks(frame_with_print((0, 0, 480, 640)), 0)
    assert whole.shape == (SIDE, SIDE, 3)
    assert (whole[:, :12] == 128).all()
    assert (whole[:, -12:] == 128).all()
    assert (whole[:, 12:-12] != 128).any()


def test_details_are_where_there_is_print_the_largest_first() -> None:
    # One patch of print, 60 pixels: of each size the best detail holds all of it, and fills more and more with it.
    seen = looks(frame_with_print((300, 500, 60, 60)), 1)[1:]
    assert len(seen) == 3  # 240, 120 and 60 pixels; one of 480 shows too little print
    shares = [float((np.abs(look[..., 0].astype(int) - 200) > 8).mean()) for look in seen]
    assert shares[0] == pytest.approx((60 / 240) ** 2, rel=0.2)
    assert shares[-1] > 0.8
    assert shares == sorted(shares)


def test_of_one_size_they_hardly_overlap() -> None:
    seen = looks(frame_with_print((20, 30, 60, 60), (400, 560, 60, 30)), 2)
    assert len(seen) == 7
    shares = [float((np.abs(look[..., 0].astype(int) - 200) > 8).mean()) for look in (seen[3], seen[6])]
    assert shares[0] > 0.8
    assert shares[1] == pytest.approx(0.5, abs=0.1), "the other print, not the same once more"


@pytest.mark.parametrize(("height", "largest"), [(640, 480), (620, 240)])
def test_a_detail_that_is_nearly_the_whole_is_left_out(height: int, largest: int) -> None:
    corners = PAGE[0] + (PAGE - PAGE[0]) * (1, height / 640)
    sizes = [size for size in (480, 240, 120, 60) if size <= largest]
    assert len(looks(frame_with_print((0, 0, 480, 640)), 1, corners)) == 1 + len(sizes)


def test_an_empty_page_and_a_small_target_have_no_details() -> None:
    assert len(looks(frame_with_print(), 3)) == 1
    small = PAGE[0] + (PAGE - PAGE[0]) / 16
    assert len(looks(frame_with_print((0, 0, 480, 640)), 3, small)) == 1


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_frames_of_any_number_of_channels_are_looked_at(channels: int) -> None:
    grey = cv2.cvtColor(frame_with_print((300, 500, 60, 60)), cv2.COLOR_BGR2GRAY)
    frame = grey if channels == 1 else np.repeat(grey[..., None], channels, axis=2)
    expected, seen = looks(grey, 1), looks(frame, 1)
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected, strict=True):
        np.testing.assert_allclose(one if one.ndim == 2 else one[..., channels - 1], other, atol=1)


def test_grey_looks_are_those_of_the_colours() -> None:
    frame = frame_with_print((0, 0, 480, 640), (300, 500, 60, 60))
    frame[..., 1] = np.arange(600) // 4
    pose = corners_to_homography(PAGE, frame.shape[1], frame.shape[0])
    coloured, grey = (list(target_looks(frame, pose, SIDE, 2, grey=is_grey)) for is_grey in (False, True))
    assert len(grey) == len(coloured) > 3
    for one, other in zip(grey, coloured, strict=True):
        assert one.shape == (SIDE, SIDE)
        np.testing.assert_allclose(one.astype(int), cv2.cvtColor(other, cv2.COLOR_BGR2GRAY), atol=2)


@pytest.mark.parametrize(("details", "count"), [(0, 1), (1, 5), (2, 8)])
def test_the_network_sees_as_many_details_as_its_file_says(details: int, count: int) -> None:
    seen = []

    class Unsure:
        def prepare_signature(self, signature: str, frame: object) -> None:
            pass

        def run_signature(self, signature: str, frame: np.ndarray) -> dict[str, np.ndarray]:
            seen.append(frame)
            return {"scores": np.zeros((1, 4), np.int8)}

    scores = ClassScoresSpec(size=4, scale=1 / 16, zero_point=0, activation="logits")
    spec = TurnSpec(InputSpec(SIDE, SIDE, 1, "GREY", (0.0, 1.0), 1 / 255, -128), scores, 0.7, 0, 0, details)
    frame = frame_with_print((0, 0, 480, 640))
    pose = corners_to_homography(PAGE, frame.shape[1], frame.shape[0])
    turn = TurnNetwork(spec, Unsure()).look(frame, pose)  # type: ignore[arg-type]
    assert (turn.quarters, len(seen)) == (None, count)
    assert turn.score == pytest.approx(joint_probabilities([np.full(4, 0.25)]).max())


def test_targets_are_expected_to_be_upright_and_least_of_all_to_stand_on_their_heads() -> None:
    upright, left, head, right = joint_probabilities([np.full(4, 0.25)])
    assert upright > left == right > head
    assert upright + left + head + right == pytest.approx(1)


def test_looks_that_agree_are_surer_than_each_and_one_that_does_not_is_outvoted() -> None:
    likely, against = np.array([0.05, 0.85, 0.05, 0.05]), np.array([0.9997, 0.0001, 0.0001, 0.0001])
    alone, twice, thrice = (joint_probabilities([likely] * count)[1] for count in (1, 2, 3))
    assert alone < twice < thrice
    joint = joint_probabilities([likely, likely, likely, against])
    assert joint.argmax() == 1, "no look counts a turn as less likely than 0.005"
    assert joint.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("look", "turn", "count"),
    [((0.05, 0.9, 0.02, 0.03), 1, 3), ((0.9, 0.05, 0.02, 0.03), 0, 1)],
    ids=["left", "upright"],
)
def test_once_it_is_sure_no_more_looks_are_taken(look: tuple[float, ...], turn: int, count: int) -> None:
    taken = []

    def sure() -> Iterator[np.ndarray]:
        for number in range(9):
            taken.append(number)
            yield np.array(look)

    assert joint_probabilities(sure()).argmax() == turn
    assert len(taken) == count


@pytest.mark.parametrize(
    ("aspect", "size"), [(1.0, (96, 96)), (1.5, (96, 64)), (1 / 1.5, (64, 96)), (4.6, (96, 24)), (0.1, (24, 96))]
)
def test_the_network_sees_the_targets_aspect_in_the_middle_of_grey(aspect: float, size: tuple[int, int]) -> None:
    assert letterbox_size(aspect, 96) == size
    crop = np.full((size[1], size[0], 3), 7, np.uint8)
    square = letterboxed(crop, 96)
    np.testing.assert_array_equal(np.rot90(square, 2), square)
    assert (square == 7).sum() == crop.size
    assert set(np.unique(square)) <= {7, 128}


def test_the_aspect_is_that_of_the_edges_in_the_frame() -> None:
    assert aspect_of(100 + 30 * SQUARE * (2, 1)) == pytest.approx(2)
    assert aspect_of(np.roll(100 + 30 * SQUARE * (2, 1), 1, axis=0)) == pytest.approx(0.5)
