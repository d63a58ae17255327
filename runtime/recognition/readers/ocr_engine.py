"""The common part of OCR engines: the image as they take it, and lines that stand on their side or head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias, get_args

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_choice
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.recognition.recognition import Recognition

#: What is written on a target: one line, or several below each other.
TextKind: TypeAlias = Literal["line", "block"]

_KINDS: tuple[TextKind, ...] = get_args(TextKind)
_UPENDED = 1.5  # from so many times its width on, an image of one line shows it standing on its side
_MOST_PX = 4000  # along a side: no line and no page needs more
_QUARTERS = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE)


def check_text_kind(text: object) -> TextKind:
    """Checks the argument ``text``.

    Raises:
        UsageError: if it is neither ``"line"`` nor ``"block"``.
    """
    return check_choice("text", text, _KINDS)


class OcrEngine(ABC):
    """An OCR engine as a recognizer; a subclass reads one image (`_read`), and says what sizes suit it.

    Args:
        text: ``"line"``, or ``"block"`` for several lines below each other.

    Raises:
        UsageError: if ``text`` is neither.
    """

    #: That lines shall have, pixels.
    _LINE_HEIGHT: ClassVar[int]
    #: Pixels that a block shall have along its shorter side, or more.
    _LEAST_BLOCK: ClassVar[int]
    #: Below this score a line is tried upside down, too.
    _SURE: ClassVar[float] = 0.0

    def __init__(self, text: TextKind) -> None:
        self._text = check_text_kind(text)

    def image_size(self, own: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the image that it wants of a target of this width and height in the frame, pixels."""
        return _line_size(own, self._LINE_HEIGHT) if self._text == "line" else _block_size(own, self._LEAST_BLOCK)

    def recognize(self, image: Image) -> Recognition | None:
        """Reads an upright image, BGR uint8 [h, w, 3] or grey [h, w].

        Returns:
            The text; lines of a block are separated by a line feed. Its score is the mean of its parts', weighted by
            their lengths. None if there is none.

        Raises:
            DataError: if the image has the wrong type, dtype or shape.
            StnRectifyError: if the engine fails, or takes too long.
        """
        bgr = _as_bgr(image)
        if self._text == "block":
            return self._read(bgr)
        if _is_upended(bgr.shape[1], bgr.shape[0]):
            return max((self._read(_turned(bgr, turn)) for turn in _QUARTERS), key=_certainty)
        read = self._read(bgr)
        if _certainty(read) < self._SURE:
            read = max(read, self._read(_turned(bgr, cv2.ROTATE_180)), key=_certainty)
        return read

    @abstractmethod
    def _read(self, image: Image) -> Recognition | None:
        """Reads an image, BGR uint8 [h, w, 3], as it stands; None if no text is on it."""


def _certainty(read: Recognition | None) -> float:
    return 0.0 if read is None or read.score is None else read.score


def _is_upended(width: int, height: int) -> bool:
    return height >= _UPENDED * width


def _turned(image: Image, turn: int) -> Image:
    return np.asarray(cv2.rotate(image, turn), np.uint8)


def _line_size(own: tuple[int, int], height: int) -> tuple[int, int]:
    """Width and height of the image of a line, pixels, in the target's aspect.

    Args:
        own: width and height of the target in the frame, pixels.
        height: that lines shall have, pixels; the width of an image that shows one on its side.
    """
    width, tall = own
    if _is_upended(width, tall):
        return height, _side(height * tall / width)
    return _side(height * width / tall), height


def _block_size(own: tuple[int, int], least: int) -> tuple[int, int]:
    """Width and height of the image of a block, pixels: the target's own, or larger, its shorter side ``least``."""
    scale = max(1.0, least / min(own))
    return _side(own[0] * scale), _side(own[1] * scale)


def _side(length: float) -> int:
    return min(_MOST_PX, max(1, round(length)))


def _as_bgr(image: Image) -> Image:
    """An image as BGR uint8 [h, w, 3].

    Args:
        image: BGR [h, w, 3], grey [h, w] or [h, w, 1], or BGRA [h, w, 4]; uint8.

    Raises:
        DataError: if it is something else.
    """
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if getattr(image, "dtype", None) != np.uint8 or len(shape) not in (2, 3) or 0 in shape:
        raise DataError(f"the image is {type(image).__name__} {shape}: must be uint8, [h, w, 3] or [h, w]")
    channels = 1 if len(shape) == 2 else shape[2]
    if channels == 3:
        return image
    if channels not in (1, 4):
        raise DataError(f"the image has {channels} channels: a text is read from 1, 3 or 4")
    code = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def weighted_score(parts: Sequence[tuple[str, float]]) -> float | None:
    """The mean of the parts' scores, each weighted by its characters; None without a character."""
    characters = sum(len(text) for text, _ in parts)
    return sum(len(text) * score for text, score in parts) / characters if characters else None
