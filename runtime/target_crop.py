"""The part of a frame that a refine network sees: the target as rectified so far, and a margin around it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.geometry import normalised_to_pixels, pixels_to_normalised, transform_points
from stn_rectify.runtime.preprocess import resize_antialiased

__all__ = ["REFINE_MARGIN", "crop_homography", "target_crop"]

#: What the crops of a refine network show beyond each edge of the target, as a share of its side, unless its file says
#: otherwise.
REFINE_MARGIN = 0.2

_SUPERSAMPLING = 2
_BORDER_PX = 2  # what bilinear sampling and reducing may reach over the crop's bounds
_CROP_OUTLINE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)


def crop_homography(homography: npt.NDArray[np.float64], margin: float) -> npt.NDArray[np.float64]:
    """Maps crop coordinates to frame coordinates, both normalised.

    Args:
        homography: [3, 3], target → frame, normalised.
        margin: what the crop shows beyond each edge of the target, as a share of the target's side.

    Returns:
        float64 [3, 3].
    """
    return np.asarray(homography @ np.diag([1 + 2 * margin, 1 + 2 * margin, 1.0]))


def target_crop(
    frame: npt.NDArray[np.uint8], homography: npt.NDArray[np.float64], *, size: tuple[int, int], margin: float
) -> npt.NDArray[np.uint8]:
    """Samples the target and a margin around it from the full-resolution frame, without aliasing.

    Args:
        frame: uint8 [H, W, C] or [H, W], up to four channels.
        homography: [3, 3], target → frame, normalised.
        size: width and height of the crop, pixels.
        margin: see `crop_homography`.

    Returns:
        uint8 [height, width, C] or [height, width]; what lies outside the frame repeats its edge.
    """
    fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    to_crop = crop_homography(homography, margin)
    frame_height, frame_width = frame.shape[:2]
    to_pixels = normalised_to_pixels(frame_width, frame_height) @ to_crop
    part, offset, reduction = _reduced_part(frame, transform_points(to_pixels, _CROP_OUTLINE), fine)
    # Centre of pixel p of the part lies at reduction·p + (reduction - 1)/2 + offset of the frame.
    to_part = np.array([[1.0, 0, -offset[0]], [0, 1.0, -offset[1]], [0, 0, 1]])
    shrink = np.array(
        [
            [1 / reduction, 0, -(reduction - 1) / 2 / reduction],
            [0, 1 / reduction, -(reduction - 1) / 2 / reduction],
            [0, 0, 1],
        ]
    )
    from_fine = shrink @ to_part @ to_pixels @ pixels_to_normalised(*fine)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Any = cv2.warpPerspective(part, from_fine, fine, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return resize_antialiased(warped, *size)


def _reduced_part(
    frame: npt.NDArray[np.uint8], outline: npt.NDArray[np.float64], fine: tuple[int, int]
) -> tuple[npt.NDArray[np.uint8], tuple[int, int], int]:
    """The part of the frame within the outline, at a size near that of the crop; where it begins; the reduction."""
    frame_height, frame_width = frame.shape[:2]
    edges = np.linalg.norm(outline[[1, 2, 3, 0]] - outline, axis=1)
    strides = (min(edges[0], edges[2]) / fine[0], min(edges[1], edges[3]) / fine[1])
    reduction = max(1, int(min(strides)))
    low = np.floor(outline.min(axis=0)).astype(int) - _BORDER_PX * reduction
    high = np.ceil(outline.max(axis=0)).astype(int) + _BORDER_PX * reduction
    left, top = np.clip(low, 0, (frame_width - 1, frame_height - 1)).tolist()
    right, bottom = np.clip(high, (left, top), (frame_width - 1, frame_height - 1)).tolist()
    part = frame[top : bottom + 1, left : right + 1]
    if reduction == 1:
        return part, (left, top), 1
    width, height = part.shape[1] // reduction, part.shape[0] // reduction
    if min(width, height) < 1:
        return part, (left, top), 1
    whole = part[: height * reduction, : width * reduction]
    return _shrunk(whole, reduction), (left, top), reduction


def _shrunk(image: npt.NDArray[np.uint8], reduction: int) -> npt.NDArray[np.uint8]:
    """Averages over squares of ``reduction`` pixels; twice a half takes OpenCV a third of the time of a quarter."""
    while reduction > 1:
        step = 2 if reduction % 2 == 0 else reduction
        size = (image.shape[1] // step, image.shape[0] // step)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        reduction //= step
    return image
