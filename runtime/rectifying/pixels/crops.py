"""The part of a frame that a refine network sees: the target as rectified so far, and a margin around it."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import map_unit_corners, normalised_to_pixels, pixels_to_normalised
from stn_rectify.runtime.rectifying.pixels.preprocess import resize_antialiased
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid, halved

#: What the crops of a refine network show beyond each edge of the target, as a share of its side, unless its file says
#: otherwise.
REFINE_MARGIN = 0.2

#: Samples along each side for one pixel of a crop that is to show the target as well as can be.
FINE_SUPERSAMPLING = 2

#: The same, of a crop that another one follows.
COARSE_SUPERSAMPLING = 1

_BORDER_PX = 2  # what bilinear sampling and reducing may reach over the crop's bounds


def crop_homography(homography: FloatArray, margin: float) -> FloatArray:
    """Maps crop coordinates to frame coordinates, both normalised.

    Args:
        homography: [3, 3], target → frame, normalised.
        margin: what the crop shows beyond each edge of the target, as a share of the target's side.

    Returns:
        float64 [3, 3].
    """
    return np.asarray(homography * (1 + 2 * margin, 1 + 2 * margin, 1.0))


def target_crop(
    frame: Image,
    homography: FloatArray,
    *,
    size: tuple[int, int],
    margin: float,
    supersampling: int = FINE_SUPERSAMPLING,
    grey: bool = False,
    pyramid: FramePyramid | None = None,
) -> Image:
    """Samples the target and a margin around it from the full-resolution frame, without aliasing.

    Args:
        frame: uint8 [H, W, C] or [H, W], up to four channels.
        homography: [3, 3], target → frame, normalised.
        size: width and height of the crop, pixels.
        margin: see `crop_homography`.
        supersampling: samples along each side for one pixel; their averages are the crop. 1 takes a third of the work
            of 2, out of a frame halved once more where it is large enough.
        grey: whether the crop of a BGR frame is grey, which takes two thirds of the work.
        pyramid: one that holds the frame, which spares making its halves; the crop is the same.

    Returns:
        uint8 [height, width, C], or [height, width] of a grey frame or with ``grey``; what lies outside the frame
        repeats its edge.
    """
    fine = (size[0] * supersampling, size[1] * supersampling)
    frame_height, frame_width = frame.shape[:2]
    to_pixels = normalised_to_pixels(frame_width, frame_height) @ crop_homography(homography, margin)
    outline = map_unit_corners(to_pixels).tolist()
    halvings = _halvings(outline, fine, (frame_width, frame_height))
    part, (left, top) = _reduced_part(frame, outline, halvings, pyramid)
    if grey and part.ndim == 3:
        part = np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)
    # Centre of pixel p of the part lies at reduction·(p + left) + (reduction - 1)/2 of the frame.
    reduction = 2**halvings
    shift = (reduction - 1) / 2 / reduction
    to_part = np.array([[1 / reduction, 0, -shift - left], [0, 1 / reduction, -shift - top], [0, 0, 1]])
    from_fine = to_part @ to_pixels @ pixels_to_normalised(*fine)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Any = cv2.warpPerspective(part, from_fine, fine, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return resize_antialiased(warped, *size)


def _halvings(outline: list[list[float]], fine: tuple[int, int], frame_size: tuple[int, int]) -> int:
    """Gives how many times the frame can be halved before its pixels are larger than those of the crop."""
    top, right, bottom, left = map(math.dist, outline, outline[1:] + outline[:1])
    stride = min(min(top, bottom) / fine[0], min(right, left) / fine[1])
    return max(0, math.frexp(min(stride, *frame_size))[1] - 1)  # of the whole powers of two up to it


def _reduced_part(
    frame: Image, outline: list[list[float]], halvings: int, pyramid: FramePyramid | None
) -> tuple[Image, tuple[int, int]]:
    """The part of the halved frame within the outline, and where in it that begins."""
    reduction = 2**halvings
    spans = []
    for axis, side in ((0, frame.shape[1]), (1, frame.shape[0])):
        low, high = min(point[axis] for point in outline), max(point[axis] for point in outline)
        last = side // reduction - 1
        first = min(max(math.floor(low / reduction) - _BORDER_PX, 0), last)
        spans.append((first, min(max(math.ceil(high / reduction) + _BORDER_PX, first), last) + 1))
    (left, right), (top, bottom) = spans
    if pyramid is not None:
        return pyramid.level(halvings)[top:bottom, left:right], (left, top)
    part = frame[top * reduction : bottom * reduction, left * reduction : right * reduction]
    for _ in range(halvings):
        part = halved(part)
    return part, (left, top)
