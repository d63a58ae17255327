"""Overlaps of quadrilaterals against cases worked out by hand, and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.evaluation.quadrilateral_overlap import filled_share, intersection_over_union, kept_share


def square(left, top, side=10.0):
    return np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]])


DIAMOND = np.array([[5, -5], [15, 5], [5, 15], [-5, 5]], float)


@pytest.mark.parametrize(
    ("shown", "share"),
    [
        pytest.param(square(0, 0), 1.0, id="the target itself"),
        pytest.param(square(-5, -5, 20), 1.0, id="all of it and more"),
        pytest.param(square(5, 0), 0.5, id="its right half"),
        pytest.param(square(5, 5), 0.25, id="a quarter"),
        pytest.param(square(2, 3, 2), 0.04, id="a cut-out inside"),
        pytest.param(square(30, 30), 0.0, id="beside it"),
        pytest.param(square(10, 0), 0.0, id="touching it"),
        pytest.param(DIAMOND, 1.0, id="a diamond through its corners"),
        pytest.param(DIAMOND / 2 + 2.5, 0.5, id="a diamond inside it"),
        pytest.param(square(5, 0)[::-1], 0.5, id="mirrored"),
        # A "U" of three strips, 4 wide, around a gap that is 2 wide and 6 high.
        pytest.param(
            np.array([[0, 0], [4, 0], [4, 6], [6, 6], [6, 0], [10, 0], [10, 10], [0, 10]], float), 0.88, id="not convex"
        ),
    ],
)
def test_kept_share_is_the_area_of_the_target_inside_what_is_shown(shown, share):
    assert kept_share(square(0, 0), shown) == pytest.approx(share)
    assert kept_share(square(0, 0)[::-1], shown) == pytest.approx(share)


def test_kept_share_agrees_with_opencv_on_convex_quadrilaterals():
    rng = np.random.default_rng(0)
    shares = []
    while len(shares) < 200:
        a, b = (square(0, 0, 40) + rng.uniform(-12, 12, (4, 2)) + rng.uniform(-15, 15, 2) for _ in range(2))
        if not (cv2.isContourConvex(a.astype(np.float32)) and cv2.isContourConvex(b.astype(np.float32))):
            continue
        area, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
        shares.append((kept_share(a, b), area / cv2.contourArea(a.astype(np.float32))))
    ours, theirs = np.array(shares).T
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert ours.min() < 0.5 < 0.9 < ours.max()


def test_filled_share_counts_the_points_inside_the_target():
    points = np.stack(np.meshgrid(*[np.arange(10) + 0.5] * 2), axis=-1).reshape(-1, 2)  # a raster over the square
    assert filled_share(square(0, 0), points) == 1
    assert filled_share(square(0, 0)[::-1], points) == 1
    assert filled_share(square(5, 0), points) == 0.5
    assert filled_share(square(-20, 0), points) == 0
    assert filled_share(DIAMOND / 2 + 2.5, points) == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        pytest.param(square(0, 0), 1.0, id="the target itself"),
        pytest.param(square(-5, -5, 20), 0.25, id="twice as large"),
        pytest.param(square(2, 3, 5), 0.25, id="half as large"),
        pytest.param(square(5, 0), 1 / 3, id="half beside it"),
        pytest.param(square(5, 5), 1 / 7, id="a quarter in it"),
        pytest.param(square(30, 30), 0.0, id="beside it"),
        pytest.param(square(10, 0), 0.0, id="touching it"),
        pytest.param(DIAMOND, 0.5, id="a diamond through its corners"),
        pytest.param(square(0, 0)[::-1], 0.0, id="mirrored"),
        pytest.param(square(0, 0)[[0, 2, 1, 3]], 0.0, id="crossed"),
        pytest.param(np.full((4, 2), np.nan), 0.0, id="not a number"),
        pytest.param(np.zeros((4, 2)), 0.0, id="a point"),
    ],
)
def test_intersection_over_union(found, share):
    assert intersection_over_union(found, square(0, 0)) == pytest.approx(share)


def test_targets_that_leave_the_frame_count_whole():
    """Half of both is outside a frame that begins at 0; what is outside is compared as well."""
    target = square(-5, 0)
    assert intersection_over_union(target, target) == pytest.approx(1)
    assert intersection_over_union(square(-10, 0, 10), target) == pytest.approx(1 / 3)
    assert intersection_over_union(square(-500, -500, 1000), target) == pytest.approx(1e-4)
