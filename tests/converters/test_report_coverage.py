"""The crop check's geometry against cases worked out by hand, and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.converters.report.coverage import filled_share, kept_share
from stn_rectify.converters.report.frame_points import frame_points, outline, pixel_centres
from stn_rectify.runtime.geometry import UNIT_CORNERS, corners_to_homography, homography_to_theta, identity_theta


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
    points = pixel_centres(10, 10) * 5 + 5  # a raster over the square (0, 0) to (10, 10)
    assert filled_share(square(0, 0), points) == 1
    assert filled_share(square(0, 0)[::-1], points) == 1
    assert filled_share(square(5, 0), points) == 0.5
    assert filled_share(square(-20, 0), points) == 0
    assert filled_share(DIAMOND / 2 + 2.5, points) == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_the_identity_shows_the_whole_frame(transform):
    border = outline(identity_theta(transform), transform, (40, 64))
    whole = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 39.5], [-0.5, 39.5]])
    assert kept_share(whole, border) == pytest.approx(1)
    np.testing.assert_allclose(border[:: len(border) // 4], whole, atol=1e-9)


def test_pixel_centres_of_the_identity_are_the_frames_pixels():
    points = frame_points(identity_theta("projective"), "projective", (3, 4), pixel_centres(3, 4))
    np.testing.assert_allclose(points, [[x, y] for y in range(3) for x in range(4)], atol=1e-12)


def test_a_spline_through_an_affine_maps_points_shows_what_the_map_shows():
    corners = np.array([[10.0, 8.0], [50.0, 5.0], [55.0, 33.0], [12.0, 30.0]])
    affine = np.array([0.6, 0.1, 0.05, -0.1, 0.5, 0.1])
    lattice = np.stack(np.meshgrid(*[np.linspace(-1, 1, 4)] * 2), axis=-1).reshape(-1, 2)
    spline = (lattice @ affine.reshape(2, 3)[:, :2].T + affine.reshape(2, 3)[:, 2]).ravel()
    shown = outline(affine, "affine", (40, 64))
    assert kept_share(shown, outline(spline, "tps", (40, 64))) == pytest.approx(1)
    assert kept_share(corners, outline(spline, "tps", (40, 64))) == pytest.approx(kept_share(corners, shown))


def test_a_bulging_spline_keeps_more_than_its_corners_do():
    theta = identity_theta("tps").reshape(16, 2) * 0.5
    theta[[1, 2], 1] -= 0.3  # the middle of the upper side, upwards
    border = outline(theta.ravel(), "tps", (40, 40))
    corners = frame_points(theta.ravel(), "tps", (40, 40), UNIT_CORNERS)
    target = corners + np.array([[0, -4], [0, -4], [0, 0], [0, 0]])
    assert kept_share(target, corners) == pytest.approx(20 / 24)
    assert kept_share(target, border) > 0.93


def test_points_behind_the_camera_stay_finite():
    theta = np.array([1, 0, 0, 0, 1, 0, 2.0, 0])
    assert np.isfinite(frame_points(theta, "projective", (32, 32), UNIT_CORNERS)).all()


def test_the_outline_of_a_homography_is_its_corners():
    corners = np.array([[10.0, 8.0], [50.0, 5.0], [55.0, 33.0], [12.0, 30.0]])
    theta = homography_to_theta(corners_to_homography(corners, 64, 40))
    np.testing.assert_allclose(outline(theta, "projective", (40, 64)), corners, atol=1e-9)
