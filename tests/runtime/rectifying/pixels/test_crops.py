"""The part of a frame that a refine network sees lies where the homography says, at every scale."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.geometry import corners_to_homography, normalised_to_pixels, transform_points
from stn_rectify.runtime.rectifying.pixels.crops import crop_homography, target_crop

SLANTED = np.array([[110, 60], [540, 95], [500, 420], [85, 370]], np.float64)


def _ramps(width: int, height: int) -> np.ndarray:
    """Pixel (x, y) says where it is: channels x/4, y/4 and their sum."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.stack([x / 4, y / 4, (x + y) / 8], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("supersampling", [1, 2, 3])
@pytest.mark.parametrize("shrink", [1.0, 0.5, 0.12], ids=["five pixels for one", "two for one", "magnified"])
def test_every_pixel_shows_the_place_it_stands_for(shrink, supersampling):
    frame = _ramps(640, 480)
    corners = SLANTED.mean(axis=0) + (SLANTED - SLANTED.mean(axis=0)) * shrink
    pose = corners_to_homography(corners, 640, 480)
    crop = target_crop(frame, pose, size=(64, 48), margin=0.15, supersampling=supersampling)
    assert crop.shape == (48, 64, 3)
    rows, columns = np.mgrid[4:44:8, 4:60:8]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float64)
    seen = transform_points(np.linalg.inv(normalised_to_pixels(64, 48)), pixels)
    places = transform_points(normalised_to_pixels(640, 480) @ crop_homography(pose, 0.15), seen)
    found = 4 * crop[rows.ravel(), columns.ravel(), :2].astype(np.float64)
    np.testing.assert_allclose(found, places, atol=7)  # a grey level is 4 pixels, rounded up to three times


def test_the_margin_is_a_share_of_the_target_side():
    pose = np.diag([0.5, 0.25, 1.0])
    corners = transform_points(crop_homography(pose, 0.2), np.array([[1.0, 1.0]]))
    np.testing.assert_allclose(corners, [[0.5 * 1.4, 0.25 * 1.4]])


def test_outside_the_frame_its_edge_is_repeated():
    frame = np.full((60, 80), 10, np.uint8)
    frame[:, -10:] = 200
    pose = np.array([[1.0, 0, 1.0], [0, 1, 0], [0, 0, 1]])  # the right half lies outside
    crop = target_crop(frame, pose, size=(32, 32), margin=0.0)
    assert crop.shape == (32, 32)
    assert (crop[:, 17:] == 200).all()
    assert (crop[:, :10] == 10).all()


@pytest.mark.parametrize("supersampling", [1, 2])
def test_fine_stripes_are_averaged_and_do_not_become_false_ones(supersampling):
    frame = np.zeros((480, 640), np.uint8)
    frame[:, ::2] = 255
    crop = target_crop(frame, np.eye(3), size=(64, 64), margin=0.0, supersampling=supersampling)
    assert np.abs(crop.astype(int) - 128).max() <= 32  # sampled without averaging: 128


def test_a_pose_wholly_outside_the_frame_still_gives_a_crop():
    pose = np.array([[0.1, 0, 5.0], [0, 0.1, 5.0], [0, 0, 1]])
    crop = target_crop(_ramps(64, 64), pose, size=(16, 16), margin=0.2)
    assert (crop == crop[0, 0]).all()
