"""A before/after picture: the frame with the target marked, beside the rectified image.

Videos and windows want pictures of one size: `boxed` puts them into it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.checks import check_instance
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.results import MissRule, Rectification

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


_ONE_COLUMN = 3  # as many rectified images stand below one another
_TEXT_HEIGHT = 21  # of OpenCV's font at scale 1, pixels


def draw_overview(
    frame: Array, result: Rectification, targets: Sequence[Rectification] = (), rule: MissRule | None = None
) -> Image:
    """Draws the corners into a copy of the frame and puts the rectified image beside it.

    Args:
        frame: uint8 [H, W, 3] BGR or [H, W] grey.
        result: what `Rectifier.rectify` gave for it, or the best of several targets.
        targets: all targets of the frame, best first. Of two and more all are drawn.
        rule: says what counts as found; None for a score above 0.5.

    Returns:
        uint8 [H, W + w, 3] BGR. The rectified image is scaled to fit, w is at most W. The quadrilateral is
        green where the target counts as found, else red; a dot marks its top-left corner. Several rectified images
        stand below one another, from four on in two and more columns; they and their quadrilaterals have the track's
        number, or without tracks the place in the order of scores.

    Raises:
        DataError: if the frame is no picture.
        UsageError: if ``result`` or ``rule`` is something else.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3) or frame.dtype != np.uint8:
        raise DataError(f"the frame is {type(frame).__name__}, no picture: pass BGR uint8 [H, W, 3] or grey [H, W]")
    check_instance("result", result, Rectification, "what Rectifier.rectify gave")
    check_instance("rule", rule, MissRule | None, "a MissRule or None")
    view, rule = _bgr(frame).copy(), rule or MissRule()
    if len(targets) < 2:
        _mark(view, result, is_found=rule.is_found(result))
        return np.hstack([view, _fit(_bgr(result.image), view.shape[1], view.shape[0])])
    names = target_names(targets)
    for target, name in zip(targets, names, strict=True):
        _mark(view, target, is_found=rule.is_found(target), name=name)
    return np.hstack([view, draw_targets(targets, view.shape[1], view.shape[0])])


def target_names(targets: Sequence[Rectification]) -> list[str]:
    """What targets are called in pictures: the track's number, or the place in the order of scores."""
    return [str(place if target.track is None else target.track) for place, target in enumerate(targets, 1)]


def draw_targets(targets: Sequence[Rectification], max_width: int, height: int) -> Image:
    """Puts the rectified images of several targets, one or more, into one picture, each with its name.

    Args:
        targets: best first.
        max_width: of the picture, pixels.
        height: of the picture, pixels.

    Returns:
        uint8 [height, w, 3] BGR, w at most ``max_width``.
    """
    columns = 1 if len(targets) <= _ONE_COLUMN else math.ceil(math.sqrt(len(targets)))
    rows = math.ceil(len(targets) / columns)
    cell_width, cell_height = max(1, max_width // columns), max(1, height // rows)
    cells = []
    for target, name in zip(targets, target_names(targets), strict=True):
        cell = _fit(_bgr(target.image), cell_width, cell_height)
        _write(cell, name, (2, 2), _TARGET_COLOUR)
        cells.append(cell)
    picture = np.full((height, max_width, 3), _BACKGROUND, np.uint8)
    left = 0
    for first in range(0, len(cells), rows):
        column = cells[first : first + rows]
        for row, cell in enumerate(column):
            picture[row * cell_height : (row + 1) * cell_height, left : left + cell.shape[1]] = cell
        left += max(cell.shape[1] for cell in column)
    return picture[:, :left]


def _mark(view: Image, target: Rectification, *, is_found: bool, name: str | None = None) -> None:
    """Draws the target's corners into the picture."""
    thickness = max(1, round(max(view.shape[:2]) / 320))
    colour = _TARGET_COLOUR if is_found else _MISS_COLOUR
    points = np.clip(np.rint(target.corners), -_DRAWABLE, _DRAWABLE).astype(np.int32)
    cv2.polylines(view, [points], isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
    first = (int(points[0, 0]), int(points[0, 1]))
    cv2.circle(view, first, 3 * thickness, colour, cv2.FILLED, cv2.LINE_AA)
    if name is not None:
        _write(view, name, (first[0] + 4 * thickness, first[1] + 2 * thickness), colour)


def _write(picture: Image, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Writes a text into the picture, its top left at ``place``, with a dark outline."""
    scale = max(0.5, picture.shape[0] / 600)
    origin = (place[0], place[1] + round(_TEXT_HEIGHT * scale))
    for ink, width in (((0, 0, 0), 4), (colour, 1)):
        cv2.putText(
            picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, max(1, round(width * scale)), cv2.LINE_AA
        )


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
