"""A before/after picture: the frame with the target marked, beside the rectified image.

Videos and windows want pictures of one size: `boxed` puts them into it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import PurePath

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.checks import check_instance
from stn_rectify.runtime.drawing import FOUND, bgr, letter, mark
from stn_rectify.runtime.process.standard_streams import escaped
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.results.target import checked_picture, target_caption
from stn_rectify.runtime.sources import CapturedFrame
from stn_rectify.runtime.sources.addresses import is_url

_BACKGROUND = 32
_CAPTION_COLOUR = (230, 230, 230)
_RATE_FRAMES = 64  # the rate is that of so many frames, a few seconds


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


_ONE_COLUMN = 3  # as many rectified images stand below one another


def draw_overview(
    frame: Array,
    result: Rectification,
    targets: Sequence[Rectification] = (),
    rule: MissRule | None = None,
    caption: str = "",
) -> Image:
    """Draws the corners into a copy of the frame and puts the rectified image beside it.

    Args:
        frame: uint8 [H, W, 3] BGR or [H, W] grey.
        result: what `Rectifier.rectify` gave for it, or the best of several targets.
        targets: all targets of the frame, best first. Of two and more all are drawn.
        rule: says what counts as found; None for a score above 0.5.
        caption: is written into the frame's lower left corner, such as where it comes from (`Captions`).

    Returns:
        uint8 [H, W + w, 3] BGR. The rectified image is scaled to fit, w is at most W. The quadrilateral is
        green where the target counts as found, else red; a dot marks its top-left corner, score and label stand above
        or below it. Several rectified images stand below one another, from four on in two and more columns; they and
        their quadrilaterals have the track's number, or without tracks the place in the order of scores.

    Raises:
        DataError: if the frame is no picture.
        UsageError: if ``result`` or ``rule`` is something else.
    """
    view = bgr(checked_picture(frame)).copy()
    check_instance("result", result, Rectification, "what Rectifier.rectify gave")
    check_instance("rule", rule, MissRule | None, "a MissRule or None")
    rule = rule or MissRule()
    if len(targets) < 2:
        mark(view, result.corners, target_caption(result), is_found=rule.is_found(result))
        rectified = _fit(bgr(result.image), view.shape[1], view.shape[0])
    else:
        for target, name in zip(targets, target_names(targets), strict=True):
            mark(view, target.corners, f"{name}: {target_caption(target)}", is_found=rule.is_found(target))
        rectified = draw_targets(targets, view.shape[1], view.shape[0])
    if caption:
        letter(view, caption, (0, view.shape[0]), _CAPTION_COLOUR)
    return np.hstack([view, rectified])


class Captions:
    """The captions of a run's pictures, one after the other: source and page, or number and frames per second."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=_RATE_FRAMES)

    def caption(self, frame: CapturedFrame) -> str:
        """The caption of the next picture.

        Args:
            frame: whose result is drawn. Of cameras and videos the rate is that at which such frames come here.

        Returns:
            ``photo.jpg``, ``scan.tif page 2``, ``video0 frame 17, 24.8 fps``; without the rate as long as it is not
            known.
        """
        name = frame.source if is_url(frame.source) else PurePath(frame.source).name
        if frame.is_still:
            return escaped(name if frame.page is None else f"{name} page {frame.page}")
        self._times_s.append(time.monotonic())
        taken_s = self._times_s[-1] - self._times_s[0]
        rate = f", {(len(self._times_s) - 1) / taken_s:.1f} fps" if taken_s > 0 else ""
        return escaped(f"{name} frame {frame.index}{rate}")


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
        cell = _fit(bgr(target.image), cell_width, cell_height)
        letter(cell, name, (2, 2), FOUND)
        cells.append(cell)
    picture = np.full((height, max_width, 3), _BACKGROUND, np.uint8)
    left = 0
    for first in range(0, len(cells), rows):
        column = cells[first : first + rows]
        for row, cell in enumerate(column):
            picture[row * cell_height : (row + 1) * cell_height, left : left + cell.shape[1]] = cell
        left += max(cell.shape[1] for cell in column)
    return picture[:, :left]


def _fit(image: Image, max_width: int, height: int) -> Image:
    """The image scaled to lie in the middle of a dark column of this height."""
    scale = min(max_width / image.shape[1], height / image.shape[0])
    w, h = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
    column = np.full((height, w, 3), 32, np.uint8)
    top = (height - h) // 2
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    column[top : top + h] = cv2.resize(image, (w, h), interpolation=shrinks)
    return column
