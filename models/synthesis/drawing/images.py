"""The picture type of this package and the few operations on pictures that all its parts share."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, Image

#: float64, [N, 2], x and y in pixels.
Points = FloatArray
#: Blue, green, red; values outside 0–255 saturate when drawn.
Colour = tuple[float, float, float]


def filled(width: int, height: int, colour: Colour) -> Image:
    """A picture [height, width, 3] of one colour."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.clip(colour, 0, 255).astype(np.uint8)
    return image


def resized(image: Image, width: int, height: int) -> Image:
    """The picture at another size, averaged where it shrinks and interpolated where it grows."""
    shrinks = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def blended(over: Image, under: Image, alpha: Image) -> Image:
    """``over`` where ``alpha`` [H, W] is 255, ``under`` where it is 0."""
    weight = alpha.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(over, under, weight, 1 - weight), np.uint8)


def tinted(image: Image, offset: Colour) -> Image:
    """The picture with a colour added; offsets may be negative."""
    return np.asarray(cv2.add(image, np.array([*offset, 0.0])), np.uint8)


def smooth_field(
    rng: np.random.Generator, width: int, height: int, cells: tuple[int, int] = (2, 2), channels: int = 1
) -> npt.NDArray[np.float32]:
    """Smooth noise of unit variance at its nodes: float32 [height, width] or [height, width, channels]."""
    nodes = rng.standard_normal((cells[1], cells[0], channels), dtype=np.float32)
    return np.asarray(cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def shaded(rng: np.random.Generator, image: Image, strength: float) -> Image:
    """The picture under a slow change of brightness and, less so, of colour; ``strength`` in grey levels."""
    height, width = image.shape[:2]
    nodes = rng.normal(0, strength, (2, 3, 1)) + rng.normal(0, 0.3 * strength, (2, 3, 3))
    field = cv2.resize(nodes.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(image, field, dtype=cv2.CV_8U), np.uint8)
