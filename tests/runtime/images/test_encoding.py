from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.images.encoding import png, preview_jpeg, shrunk


@pytest.mark.parametrize("size", [(100, 400), (400, 100), (3000, 1), (1, 1)])
def test_a_preview_is_no_larger_and_has_the_same_aspect(size: tuple[int, int]) -> None:
    height, width = size
    small = shrunk(np.zeros((height, width, 3), np.uint8), 200)
    scale = min(1, 200 / max(size))
    assert small.shape == (max(1, round(height * scale)), max(1, round(width * scale)), 3)


def test_a_small_picture_is_not_copied() -> None:
    image = np.zeros((10, 20), np.uint8)
    assert shrunk(image, 20) is image


@pytest.mark.parametrize(("channels", "shown"), [(None, 1), (1, 1), (2, 1), (3, 3), (4, 3), (6, 3)])
def test_every_number_of_channels_can_be_seen(channels: int | None, shown: int) -> None:
    image = np.full((30, 40) if channels is None else (30, 40, channels), 50, np.uint8)
    if channels is not None:
        image[..., shown:] = 200
    for encoded in (png(image), preview_jpeg(image, 20)):
        found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        assert (1 if found.ndim == 2 else found.shape[2]) == shown
        assert abs(found.astype(int) - 50).max() <= 2


def test_a_png_has_every_pixel() -> None:
    image = np.random.default_rng(1).integers(0, 256, (17, 23, 3), np.uint8)
    found = cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, image)
