"""Crops for a refine network: the corners are where the target is, whatever the error of the pose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.models.training.pose_training import TrainingRecipe
from stn_rectify.models.training.samples.refine_crops import crop_drawer, perturbation
from stn_rectify.runtime.geometry import UNIT_CORNERS, is_valid_quadrilateral, normalised_to_pixels, transform_points

TARGET = np.array([[-0.4, -0.5], [0.5, -0.3], [0.45, 0.4], [-0.5, 0.55]])
SIDE = 192


class _Pool:
    """Two frames: a white target on black, and nothing."""

    scan_poses: np.ndarray | None = None

    def __init__(self) -> None:
        outline = transform_points(normalised_to_pixels(SIDE, SIDE), TARGET)
        with_target = np.zeros((SIDE, SIDE, 3), np.uint8)
        cv2.fillConvexPoly(with_target, (outline * 256).round().astype(np.int32), (255,) * 3, cv2.LINE_AA, 8)
        self.frames = np.stack([with_target, np.full_like(with_target, 90)])
        self.corners = np.stack([TARGET, np.full((4, 2), np.nan)]).astype(np.float32)

    def __len__(self) -> int:
        return 2


def _draws(k: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    draw, pool, rng = crop_drawer(0.2), _Pool(), np.random.default_rng(3)
    return [draw(rng, pool, k, (64, 64)) for _ in range(count)]


def test_the_corners_outline_the_target_in_the_crop():
    checked = 0
    for crop, corners in _draws(0, 200):
        if np.isnan(corners).any():
            continue
        assert is_valid_quadrilateral(corners, 0.1)
        outline = transform_points(normalised_to_pixels(64, 64), corners)
        expected = np.zeros((64, 64), np.uint8)
        cv2.fillConvexPoly(expected, (outline * 256).round().astype(np.int32), 255, cv2.LINE_AA, 8)
        wrong = np.abs(expected.astype(int) - crop[..., 0]).mean() / 255
        assert wrong < 0.02
        checked += 1
    assert checked > 150


def test_corners_begin_at_the_top_left_of_the_crop():
    for _, corners in _draws(0, 100):
        if np.isfinite(corners).all():
            assert (corners @ UNIT_CORNERS[0]).argmax() == 0


def test_an_empty_frame_gives_crops_without_a_target():
    assert all(np.isnan(corners).all() for _, corners in _draws(1, 10))


def _scan_crops(pose: np.ndarray) -> list[np.ndarray]:
    """Corners of the target in 100 crops of a pool where the scan network took ``pose`` for the target."""
    pool, rng = _Pool(), np.random.default_rng(3)
    pool.scan_poses = np.stack([pose, pose])
    draw = crop_drawer(0.2, turns=False)
    return [draw(rng, pool, 0, (64, 64))[1] for _ in range(100)]


def test_crops_show_where_the_scan_network_looked():
    off = np.diag([0.3, 0.3, 1.0])  # in the middle of the target, far too small for a perturbation
    found = [corners for corners in _scan_crops(off) if np.isfinite(corners).all()]
    plain = [corners for _, corners in _draws(0, 100) if np.isfinite(corners).all()]
    assert np.abs(found).max() < 1.7, "more of the target lies outside than a network can tell"
    assert len(found) > len(plain) * 0.8, "a crop of no use is drawn again around the target"
    near = np.array([[0.47, 0, 0.02], [0, 0.47, 0.01], [0, 0, 1.0]])
    assert sum(np.isfinite(corners).all() for corners in _scan_crops(near)) > 80


def test_where_the_scan_network_took_something_else_for_the_target_there_is_none():
    elsewhere = np.array([[0.1, 0, 0.85], [0, 0.1, 0.85], [0, 0, 1.0]])
    missing = sum(np.isnan(corners).all() for corners in _scan_crops(elsewhere))
    assert missing > 30


def test_errors_of_the_pose_are_small_and_large():
    rng = np.random.default_rng(0)
    moved = [
        np.abs(transform_points(perturbation(rng), UNIT_CORNERS) - UNIT_CORNERS).mean() / 2 for _ in range(400)
    ]  # shares of the side
    assert np.percentile(moved, 10) < 0.02
    assert np.percentile(moved, 90) > 0.12


@pytest.mark.parametrize("first", [0, 1])
def test_the_same_batch_is_drawn_again(first):
    recipe = TrainingRecipe(samples=4, batch_size=2, refine_margin=0.2)
    one, two = (next(recipe.batches(_Pool(), 0, first=0, batch_size=1 + first)) for _ in range(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.corners, two.corners)
