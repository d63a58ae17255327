"""The paper's distortions: poses are what is drawn, within the paper's ranges, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.models.digits import DISTORTIONS
from stn_rectify.models.digits.distortions import distort
from stn_rectify.runtime.geometry import corners_to_homography, pixel_homography

CANVAS = (42, 42)


def drawn(kind, count=300, seed=0, side=28):
    """Images with one bright dot on their diagonal, nearer to the top-left corner, distorted."""
    images = np.zeros((count, side, side, 1), np.uint8)
    images[:, 8:11, 8:11] = 255
    return distort(images, np.full(count, kind), CANVAS, np.random.default_rng(seed))


def centre_of_mass(image):
    i, j = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image[..., 0].astype(float)
    return np.array([(weight * j).sum(), (weight * i).sum()]) / weight.sum()


@pytest.mark.parametrize("kind", ["R", "RTS", "P"])
def test_a_known_point_lands_where_the_corners_say(kind):
    found = drawn(kind, 40)
    for image, corners in zip(found.images, found.corners, strict=True):
        theta = corners_to_homography(corners, 42, 42)
        matrix = pixel_homography((theta / theta[2, 2]).ravel()[:8], (42, 42), (28, 28))
        x, y, w = matrix @ [9, 9, 1]
        if not (3 < x / w < 38 and 3 < y / w < 38):
            continue  # not whole on the canvas
        np.testing.assert_allclose(centre_of_mass(image), [x / w, y / w], atol=0.35)


def test_the_control_points_of_a_spline_show_what_lies_beside_them():
    """The image's pixels hold their own x: what the canvas shows says from where it was read."""
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8) * 8 + 16, (200, 28, 28))[..., None]
    found = distort(ramp.copy(), np.full(200, "E"), CANVAS, np.random.default_rng(1)).images.astype(float)
    # The lattice spans the image, 7 to 35 on the canvas: its inner points lie a third of 28 px further in.
    places = np.array([7 - 0.5 + 28 / 3, 7 - 0.5 + 56 / 3])
    rows, columns = np.rint(places).astype(int), np.rint(places).astype(int)
    read = (found[:, rows][:, :, columns, 0] - 16) / 8
    moved = read - (columns - 7)
    assert abs(moved.mean()) < 0.2
    assert 1.2 < moved.std() < 1.8  # N(0, 1.5 px)


def test_a_bent_image_has_its_corners_where_its_edge_is_seen():
    images = np.full((50, 28, 28, 1), 255, np.uint8)
    found = distort(images, np.full(50, "E"), CANVAS, np.random.default_rng(2))
    for image, corners in zip(found.images, found.corners, strict=True):
        inside = corners + 0.12 * (corners.mean(axis=0) - corners)
        outside = corners - 0.2 * (corners.mean(axis=0) - corners)
        for point in np.rint(inside).astype(int):
            assert image[point[1], point[0], 0] > 0
        for point in np.rint(outside).astype(int):
            if point.min() >= 0 and point.max() < 42:
                assert image[point[1], point[0], 0] < 128


def test_poses_stay_within_the_ranges_of_the_paper():
    def angles_and_scales(kind):
        top = np.diff(drawn(kind, 1000).corners[:, :2], axis=1)[:, 0]
        return np.degrees(np.arctan2(top[:, 1], top[:, 0])), np.linalg.norm(top, axis=1) / 28

    angles, scales = angles_and_scales("R")
    assert -90 <= angles.min() < -85
    assert 85 < angles.max() <= 90
    np.testing.assert_allclose(scales, 1, atol=1e-6)
    angles, scales = angles_and_scales("RTS")
    assert -45 <= angles.min() < -42
    assert 42 < angles.max() <= 45
    assert 0.7 <= scales.min() < 0.72
    assert 1.18 < scales.max() <= 1.2
    centres = drawn("RTS", 1000).corners.mean(axis=1)
    assert (centres > 9.8 - 0.5).all()
    assert (centres < 42 - 9.8 - 0.5).all()
    assert np.ptp(centres, axis=0).min() > 18
    # A corner of the canvas moves by N(0, 5 px); one of the image, half as far out, by less.
    spread = drawn("P", 1000).corners.std(axis=0).mean()
    assert 2 < spread < 5


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_the_same_seed_draws_the_same(kind):
    first, again, other = drawn(kind, 20), drawn(kind, 20), drawn(kind, 20, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.corners, again.corners)
    assert (first.corners != other.corners).any()


def test_lengths_grow_with_the_image():
    large = distort(np.zeros((400, 56, 56, 1), np.uint8), np.full(400, "E"), (84, 84), np.random.default_rng(0))
    small = drawn("E", 400)
    np.testing.assert_allclose(large.corners + 0.5, 2 * (small.corners + 0.5), atol=1e-6)
