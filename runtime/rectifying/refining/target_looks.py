"""What a turn network is shown of a target: all of it, and details with print, as large as letters need to be.

In a small picture of a page no letter can be read, and which side is up shows in letters.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array, FloatArray, Image
from stn_rectify.runtime.geometry import homography_to_corners
from stn_rectify.runtime.rectifying.pixels.crops import FINE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import OPENCV_CHANNELS, by_channels
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid

#: What lies around a target that is not square, in the square picture that the network sees: the pixel value.
_AROUND = 128
#: Longer targets than this, in widths or heights, are squeezed to it.
_LONGEST = 4.0

#: Details are squares of the shorter side of the target, its half and so on; no smaller ones than this, frame pixels.
_LEAST_DETAIL_PX = 52.0
_SIZES = 5
#: A detail as large as the shorter side says no more than the whole of a target whose sides differ by less.
_NEARLY_SQUARE = 1.3
#: Print is looked for in a picture of the target in which the smallest details have this side, pixels.
_OVERVIEW_SIDE = 32
#: The mean difference between a detail and its own smoothed copy, levels, below which there is no print in it.
_LEAST_PRINT = 1.5


def target_looks(
    frame: Image,
    homography: FloatArray,
    side: int,
    details: int,
    *,
    grey: bool = False,
    pyramid: FramePyramid | None = None,
) -> Iterator[Image]:
    """The pictures of a target that a turn network sees, that of the whole target first.

    Args:
        frame: uint8 [H, W, C] or [H, W].
        homography: [3, 3], target → frame, normalised: a usable pose.
        side: of the pictures, pixels.
        details: how many of each size there are at most; 0 for the whole target alone.
        grey: whether the pictures of a BGR frame are grey.
        pyramid: one that holds the frame, if that has no more than four channels.

    Yields:
        uint8 [side, side, C], or [side, side] of a grey frame or with ``grey``. After the whole, the detail with most
        print of each size, the largest first; then those with second most, and so on.
    """
    corners = homography_to_corners(homography, frame.shape[1], frame.shape[0])
    size = letterbox_size(aspect_of(corners), side)
    yield letterboxed(_crop(frame, homography, size, grey, pyramid), side)
    if not details:
        return
    for part in _printed_parts(frame, homography, _mean_sides(corners), details, pyramid):
        yield _crop(frame, homography @ part, (side, side), grey, pyramid)


def _crop(
    frame: Image, homography: FloatArray, size: tuple[int, int], grey: bool, pyramid: FramePyramid | None
) -> Image:
    if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
        return by_channels(frame, lambda part: _crop(part, homography, size, False, None))
    return target_crop(
        frame, homography, size=size, margin=0.0, supersampling=FINE_SUPERSAMPLING, grey=grey, pyramid=pyramid
    )


def _printed_parts(
    frame: Image, homography: FloatArray, sides: FloatArray, details: int, pyramid: FramePyramid | None
) -> Iterator[FloatArray]:
    """Square parts of a target with print, from their own coordinates to the target's, [3, 3]."""
    shorter, longer = float(sides.min()), float(sides.max())
    halvings = [k for k in range(_SIZES) if shorter / 2**k >= _LEAST_DETAIL_PX]
    if not halvings:
        return
    scale = _OVERVIEW_SIDE * 2 ** halvings[-1] / shorter  # of the overview, for each pixel of the frame
    size = np.maximum(_OVERVIEW_SIDE, np.rint(np.minimum(sides, _LONGEST * shorter) * scale)).astype(int)
    is_bgr = frame.ndim == 3 and frame.shape[2] == 3
    overview = _crop(frame, homography, (int(size[0]), int(size[1])), is_bgr, pyramid)
    levels: Array = overview if overview.ndim == 2 else overview.mean(axis=2).astype(np.uint8)
    print_there = cv2.absdiff(levels, cv2.blur(levels, (5, 5))).astype(np.float32)
    if longer < _NEARLY_SQUARE * shorter:
        halvings = halvings[1:]
    by_size = [list(_most_printed(print_there, _OVERVIEW_SIDE * 2 ** (max(halvings) - k), details)) for k in halvings]
    for number in range(details):
        yield from (parts[number] for parts in by_size if number < len(parts))


def _most_printed(print_there: Array, side: int, count: int) -> Iterator[FloatArray]:
    """The squares of a side with most print that hardly overlap, at most ``count``, as of `_printed_parts`."""
    height, width = print_there.shape
    side = min(side, height, width)
    means = np.asarray(cv2.blur(print_there, (side, side)))
    # The mean around a pixel is that of the square of which it is the middle one.
    first = side // 2
    means = means[first : first + height - side + 1, first : first + width - side + 1].copy()
    extent = np.array([side / width, side / height])
    for _ in range(count):
        top, left = np.unravel_index(int(means.argmax()), means.shape)
        if means[top, left] < _LEAST_PRINT:
            return
        x, y = 2 * np.array([left, top]) / (width, height) + extent - 1
        yield np.array([[extent[0], 0.0, x], [0.0, extent[1], y], [0.0, 0.0, 1.0]])
        near = 3 * side // 4
        means[max(0, top - near) : top + near, max(0, left - near) : left + near] = -1


def _mean_sides(corners: FloatArray) -> FloatArray:
    """Mean lengths of the horizontal and of the vertical edges of a target in the frame; corners [4, 2], pixels."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return np.array([top + bottom, left + right]) / 2


def aspect_of(corners: FloatArray) -> float:
    """Width over height of a target in the frame, by the mean lengths of its edges; corners [4, 2], pixels."""
    width, height = _mean_sides(corners)
    return float(width / max(height, 1e-9))


def letterbox_size(aspect: float, side: int) -> tuple[int, int]:
    """Width and height of a target in the picture that a turn network sees, pixels.

    Args:
        aspect: width over height of the target.
        side: of the picture.
    """
    ratio = min(max(aspect, 1 / aspect), _LONGEST)
    shorter = side - 2 * round((side - side / ratio) / 2)  # in the middle, to the pixel
    return (side, shorter) if aspect >= 1 else (shorter, side)


def letterboxed(crop: Image, side: int) -> Image:
    """A picture of `letterbox_size` in the middle of a grey square."""
    across, down = (side - crop.shape[1]) // 2, (side - crop.shape[0]) // 2
    square: Image = np.full((side, side, *crop.shape[2:]), _AROUND, np.uint8)
    square[down : side - down, across : side - across] = crop
    return square
