"""The crop check: which part of the frame a pose shows."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.report.comparisons.frame_points import frame_points, outline
from stn_rectify.runtime.evaluation.quadrilateral_overlap import kept_share
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    corners_to_homography,
    homography_to_theta,
    identity_theta,
    pixel_centres,
)


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_the_identity_shows_the_whole_frame(transform):
    border = outline(identity_theta(transform), transform, (40, 64))
    whole = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 39.5], [-0.5, 39.5]])
    assert kept_share(whole, border) == pytest.approx(1)
    np.testing.assert_allclose(border[:: len(border) // 4], whole, atol=1e-9)


def test_pixel_centres_of_the_identity_are_the_frames_pixels():
    points = frame_points(identity_theta("projective"), "projective", (3, 4), pixel_centres(4, 3))
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
