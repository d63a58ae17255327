from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import resize_antialiased
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(48, 64, 3), (48, 64), (37, 61, 3), (5, 9), (1, 1, 3)])
def test_a_level_is_the_mean_of_squares_of_pixels(shape: tuple[int, ...]) -> None:
    frame, pyramid = noise(shape), FramePyramid()
    pyramid.load(frame)
    assert pyramid.level(0) is frame
    if min(shape[:2]) < 2:
        return
    height, width = shape[0] // 2, shape[1] // 2
    squares = frame[: 2 * height, : 2 * width].astype(float).reshape(height, 2, width, 2, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(pyramid.level(1).reshape(squares.shape), squares, atol=0.5)


def test_every_frame_is_seen_as_by_a_pyramid_of_its_own() -> None:
    """Also after frames of other sizes and channels, whose memory it may take over."""
    shared = FramePyramid()
    for seed, shape in enumerate(
        [(240, 320, 3), (240, 320, 3), (240, 320), (101, 75, 3), (480, 640, 3), (240, 320, 3)]
    ):
        frame, own = noise(shape, seed), FramePyramid()
        shared.load(frame)
        own.load(frame)
        for level in (3, 1, 2):
            np.testing.assert_array_equal(shared.level(level), own.level(level))


@pytest.mark.parametrize(
    "shape", [(480, 640, 3), (480, 640), (720, 1280, 3), (479, 641, 3), (60, 500, 3), (128, 128, 3)]
)
def test_resizing_is_the_same_with_it(shape: tuple[int, ...]) -> None:
    frame, pyramid = noise(shape), FramePyramid()
    pyramid.load(frame)
    with_it = resize_antialiased(frame, 64, 64, pyramid)
    np.testing.assert_array_equal(with_it, resize_antialiased(frame, 64, 64))


@pytest.mark.parametrize("size", [(640, 480), (641, 359), (1280, 720), (1919, 1081), (40, 900)])
@pytest.mark.parametrize("scale", [0.05, 0.3, 0.9, 2.5])
def test_a_crop_is_the_same_with_it(size: tuple[int, int], scale: float) -> None:
    frame = np.asarray(cv2.GaussianBlur(noise((size[1], size[0], 3)), (0, 0), 2), np.uint8)
    pyramid, middle = FramePyramid(), np.array(size) * (0.45, 0.55)
    pyramid.load(frame)
    square = np.array([[-0.5, -0.4], [0.5, -0.5], [0.4, 0.5], [-0.5, 0.45]])
    pose = corners_to_homography(middle + scale * square * size, *size)
    with_it = target_crop(frame, pose, size=(64, 64), margin=0.2, pyramid=pyramid)
    np.testing.assert_array_equal(with_it, target_crop(frame, pose, size=(64, 64), margin=0.2))
