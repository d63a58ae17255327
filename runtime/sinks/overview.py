"""A before/after picture: the frame with the target marked, beside the rectified image.

Videos and windows want pictures of one size: `boxed` puts them into it.
"""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.results import Rectification

_BACKGROUND = 32


def overview_size(frame: Image) -> tuple[int, int]:
    """Width and height that `draw_overview` does not exceed, whatever the target; only its width varies."""
    height, width = frame.shape[:2]
    return 2 * width, height


def boxed(picture: Image, size: tuple[int, int]) -> Image:
    """The picture in the top left corner of a dark one, shrunk if it does not fit.

    Args:
        picture: uint8 [h, w, 3].
        size: width and height.

    Returns:
        uint8 [height, width, 3].
    """
    width, height = size
    scale = min(1.0, width / picture.shape[1], height / picture.shape[0])
    if scale < 1:
        fitting = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, fitting, interpolation=cv2.INTER_AREA), np.uint8)
    box = np.full((height, width, 3), _BACKGROUND, np.uint8)
    box[: picture.shape[0], : picture.shape[1]] = picture
    return box


_TARGET_COLOUR, _MISS_COLOUR = (80, 220, 60), (60, 60, 230)  # BGR
_DRAWABLE = 16000.0  # OpenCV draws with 16-bit coordinates, corners may lie anywhere


def draw_overview(frame: Image, result: Rectification) -> Image:
    """Draws the corners into a copy of the frame and puts the rectified image beside it.

    Args:
        frame: uint8 [H, W, 3] BGR or [H, W] grey.
        result: what `Rectifier.rectify` gave for it.

    Returns:
        uint8 [H, W + w, 3] BGR. The rectified image is scaled to fit, w is at most W. The quadrilateral is
        green where the score is above 0.5, else red; a dot marks its top-left corner.
    """
    view = _bgr(frame).copy()
    height, width = view.shape[:2]
    thickness = max(1, round(max(height, width) / 320))
    colour = _TARGET_COLOUR if result.score > 0.5 else _MISS_COLOUR
    points = np.clip(np.rint(result.corners), -_DRAWABLE, _DRAWABLE).astype(np.int32)
    cv2.polylines(view, [points], isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
    first = (int(points[0, 0]), int(points[0, 1]))
    cv2.circle(view, first, 3 * thickness, colour, cv2.FILLED, cv2.LINE_AA)
    return np.hstack([view, _fit(_bgr(result.image), width, height)])


def _fit(image: Image, max_width: int, height: int) -> Image:
    """The image scaled to lie in the middle of a dark column of this height."""
    scale = min(max_width / image.shape[1], height / image.shape[0])
    w, h = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    column = np.full((height, w, 3), 32, np.uint8)
    top = (height - h) // 2
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    column[top : top + h] = cv2.resize(image, (w, h), interpolation=shrinks)
    return column


def _bgr(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8) if image.ndim == 2 else image
