"""Pictures as files, for people to look at: in a browser, in Home Assistant."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.drawing import visible

_JPEG_QUALITY = 80


def shrunk(image: Image, longest_px: int) -> Image:
    """The picture with no side longer than that.

    Args:
        image: uint8 [H, W, 3] BGR or [H, W] grey.
        longest_px: of the longer side, pixels, 1 or more.

    Returns:
        uint8 [h, w, 3] or [h, w], of the same aspect; ``image`` itself where it is small enough.
    """
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def preview_jpeg(image: Image, longest_px: int) -> bytes:
    """The picture as a JPEG file of quality 80, with no side longer than ``longest_px``; see `shrunk`.

    Of other channels than one or three those are shown that `visible` gives, in the file of `png` as well.
    """
    small = shrunk(visible(image), longest_px)
    return bytes(cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1])


def png(image: Image) -> bytes:
    """The picture as a PNG file, pixel for pixel."""
    return bytes(cv2.imencode(".png", visible(image))[1])
