"""The thin-plate spline: against the solved spline, and through the Rectifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.geometry import (
    CONTROL_POINTS,
    identity_theta,
    normalised_to_pixels,
    theta_to_corners,
    transform_points,
)
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis, spline_map
from tests.spline_truth import spline_points

MakeModel = Callable[..., Path]


def scattered(seed: int, spread: float = 0.07, scale: float = 1.0) -> np.ndarray:
    return scale * identity_theta("tps") + np.random.default_rng(seed).normal(0, spread, 32)


BENT = tuple(scattered(0, 0.05, 0.7).tolist())
IDENTITY = tuple(identity_theta("tps").tolist())


def by_basis(theta: np.ndarray, points: np.ndarray) -> np.ndarray:
    return spline_basis(points) @ np.reshape(theta, (16, 2))


def test_points_agree_with_the_solved_spline() -> None:
    points = np.random.default_rng(1).uniform(-1.2, 1.2, (50, 2))
    for seed in range(5):
        theta = scattered(seed, 0.3)
        np.testing.assert_allclose(by_basis(theta, points), spline_points(theta, points), atol=1e-9)


def test_control_points_go_exactly_where_theta_says() -> None:
    theta = scattered(2, 0.5)
    np.testing.assert_allclose(by_basis(theta, CONTROL_POINTS).ravel(), theta, atol=1e-12)


def test_an_affine_arrangement_of_control_points_is_that_affine_map() -> None:
    matrix, shift = np.array([[0.6, -0.3], [0.2, 0.9]]), np.array([0.1, -0.2])
    points = np.random.default_rng(3).uniform(-1, 1, (40, 2))
    theta = CONTROL_POINTS @ matrix.T + shift
    np.testing.assert_allclose(by_basis(theta, points), points @ matrix.T + shift, atol=1e-12)
    np.testing.assert_allclose(spline_basis(points).sum(axis=1), 1)


def test_corners_are_where_the_spline_puts_the_corners_of_the_output() -> None:
    theta = np.stack([scattered(4), scattered(5)])
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    corners = theta_to_corners(theta, 320, 240)
    for k in range(2):
        expected = transform_points(normalised_to_pixels(320, 240), spline_points(theta[k], unit))
        np.testing.assert_allclose(corners[k], expected, atol=1e-9)


@pytest.mark.parametrize("size", [(640, 480), (97, 31), (8, 300), (1, 1)], ids=str)
def test_the_map_for_opencv_is_the_spline(size: tuple[int, int]) -> None:
    width, height = size
    frame = (1280, 720)
    x, y = np.meshgrid((2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    for seed in range(3):
        theta = scattered(seed)
        found = np.stack(spline_map(theta, frame, size), axis=-1)
        assert found.dtype == np.float32
        exact = transform_points(normalised_to_pixels(*frame), spline_points(theta, points))
        np.testing.assert_allclose(found.reshape(-1, 2), exact, atol=0.3)
        assert np.abs(found.reshape(-1, 2) - exact).mean() < 0.02


def warp_by_hand(frame: np.ndarray, theta: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear sampling in float64, zeros outside."""
    x, y = np.meshgrid((2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1)
    p = spline_points(theta, np.stack([x.ravel(), y.ravel()], axis=1))
    u = np.clip((p[:, 0] + 1) / 2 * frame.shape[1] - 0.5, -1, frame.shape[1])
    v = np.clip((p[:, 1] + 1) / 2 * frame.shape[0] - 0.5, -1, frame.shape[0])
    padded = np.pad(frame.astype(float), ((1, 2), (1, 2), (0, 0)))
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    fx, fy = (u - left)[:, None], (v - top)[:, None]
    upper = padded[top + 1, left + 1] * (1 - fx) + padded[top + 1, left + 2] * fx
    lower = padded[top + 2, left + 1] * (1 - fx) + padded[top + 2, left + 2] * fx
    return (upper * (1 - fy) + lower * fy).reshape(height, width, -1)


def test_pixels_of_the_frame_agree_with_sampling_by_hand(make_model: MakeModel, frame: np.ndarray) -> None:
    theta = scattered(6, 0.05, 1.1)  # some of it outside the frame
    with Rectifier(make_model(tuple(theta.tolist())), output_size=(60, 40)) as rectifier:
        image = rectifier.rectify(frame).image
    difference = np.abs(image - warp_by_hand(frame, theta, 60, 40))
    assert np.percentile(difference, 95) <= 2
    assert difference.max() <= 12  # at the edges, where OpenCV's 1/32 px count most


def test_the_homography_is_that_of_the_corners(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(BENT), output_size=(80, 50)) as rectifier:
        result = rectifier.rectify(frame)
    np.testing.assert_allclose(result.corners, theta_to_corners(np.array(BENT), 320, 240), atol=0.01)
    outer = np.array([[-0.5, -0.5], [79.5, -0.5], [79.5, 49.5], [-0.5, 49.5]])
    np.testing.assert_allclose(transform_points(result.homography, outer), result.corners, atol=0.01)
    assert result.homography[2, 2] == 1


@pytest.mark.parametrize("shape", [(240, 320, 3), (37, 61), (720, 1280, 3), (50, 60, 6)], ids=str)
def test_identity_theta_returns_the_frame_bit_for_bit(make_model: MakeModel, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    noise[-shape[0] // 2 :, -shape[1] // 2 :] = 0
    network = (32, 48, 6 if shape[2:] == (6,) else 3)
    with Rectifier(make_model(IDENTITY, network), output_size=shape[1::-1]) as rectifier:
        np.testing.assert_array_equal(rectifier.rectify(noise).image, noise)


def test_padding_border_repeats_the_edge(make_model: MakeModel) -> None:
    """The frame fills the middle half of the image; around it, border has the frame's nearest pixel."""
    noise = np.random.default_rng(4).integers(1, 256, (60, 80, 3), np.uint8)
    noise[-20:, -20:] = 0
    theta = tuple((2 * identity_theta("tps")).tolist())
    for padding, mode in (("zeros", "constant"), ("border", "edge")):
        with Rectifier(make_model(theta, padding=padding), output_size=(160, 120)) as rectifier:
            image = rectifier.rectify(noise).image
        np.testing.assert_array_equal(image, np.pad(noise, ((30, 30), (40, 40), (0, 0)), mode=mode))


def mirrored() -> tuple[float, ...]:
    return tuple((CONTROL_POINTS * [-1, 1]).ravel().tolist())


@pytest.mark.parametrize("theta", [mirrored(), (0.0,) * 32, (2000.0,) * 32], ids=["mirrored", "a point", "far away"])
def test_an_unusable_pose_gives_the_frame_and_no_score(
    make_model: MakeModel, frame: np.ndarray, theta: tuple[float, ...]
) -> None:
    with Rectifier(make_model(theta), output_size=(80, 60)) as rectifier:
        result = rectifier.rectify(frame)
    assert result.score == 0
    np.testing.assert_array_equal(result.corners, [[-0.5, -0.5], [319.5, -0.5], [319.5, 239.5], [-0.5, 239.5]])
    assert np.abs(result.image.astype(int) - cv2.resize(frame, (80, 60), interpolation=cv2.INTER_AREA)).max() < 30


def test_wild_control_points_between_good_corners_do_no_harm(make_model: MakeModel, frame: np.ndarray) -> None:
    theta = identity_theta("tps").reshape(16, 2)
    theta[[5, 6, 9, 10]] = [[2000, -2000], [-2000, 2000], [2000, 2000], [-2000, -2000]]
    with Rectifier(make_model(tuple(theta.ravel().tolist()))) as rectifier:
        assert rectifier.rectify(frame).image.shape == frame.shape
