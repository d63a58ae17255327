"""Pose supervision."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models.network.poses import CornerLoss, theta_to_corners
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    corners_to_homography,
    homography_to_theta,
    normalised_to_pixels,
    theta_to_homography,
    transform_points,
)


@pytest.mark.parametrize("size", [6, 8])
def test_corners_are_those_of_the_geometry(size):
    rng = np.random.default_rng(0)
    theta = (np.array([1, 0, 0, 0, 1, 0, 0, 0]) + rng.uniform(-0.3, 0.3, (20, 8)))[:, :size]
    expected = transform_points(theta_to_homography(theta), UNIT_CORNERS)
    np.testing.assert_allclose(theta_to_corners(theta.astype("float32")), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_zero_at_the_truth_and_grows_with_distance():
    corners = np.array([[-0.5, -0.4], [0.6, -0.5], [0.5, 0.4], [-0.4, 0.5]])
    pixels = transform_points(normalised_to_pixels(64, 64), corners)
    truth = homography_to_theta(corners_to_homography(pixels, 64, 64))[None]
    loss = CornerLoss()
    losses = [float(loss(corners[None].astype("float32"), truth + shift)) for shift in (0, 0.01, 0.05, 0.2)]
    assert losses[0] < 1e-8
    assert losses == sorted(losses)


def test_a_small_target_weighs_more_for_the_same_distance():
    theta = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], "float32")
    large, small = (UNIT_CORNERS[None] * s for s in (1.0, 0.3))
    shifted = [homography_to_theta(np.diag([s, s, 1.0]))[None] + 0.05 * np.eye(8)[2] for s in (1.0, 0.3)]
    loss = CornerLoss(size_weight=0.5)
    assert float(loss(small, shifted[1])) > float(loss(large, shifted[0])) > float(loss(large, theta))


def test_the_loss_survives_serialisation():
    loss = CornerLoss(beta=0.1, size_weight=0.2)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (again.beta, again.size_weight) == (0.1, 0.2)
