"""The image as OCR engines take it, and the text as they are asked for it: a line, or a block of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError, UsageError

#: What is written on a target: one line, or several below each other.
TextKind: TypeAlias = Literal["line", "block"]

#: From so many times its width on, an image of one line shows it standing on its side.
UPENDED = 1.5
_MOST_PX = 4000  # along a side: no line and no page needs more


def check_text(text: object) -> TextKind:
    """Checks the argument ``text``.

    Raises:
        UsageError: if it is neither ``"line"`` nor ``"block"``.
    """
    if text not in get_args(TextKind):
        raise UsageError(f"text is {text!r}: choose {', '.join(map(repr, get_args(TextKind)))}")
    return text  # type: ignore[return-value]


def line_size(own: tuple[int, int], height: int) -> tuple[int, int]:
    """Width and height of the image of a line, pixels, in the target's aspect.

    Args:
        own: width and height of the target in the frame, pixels.
        height: that lines shall have, pixels; the width of an image that shows one on its side.
    """
    width, tall = own
    if tall >= UPENDED * width:
        return height, _side(height * tall / width)
    return _side(height * width / tall), height


def block_size(own: tuple[int, int], least: int) -> tuple[int, int]:
    """Width and height of the image of a block, pixels: the target's own, or larger, its shorter side ``least``."""
    scale = max(1.0, least / min(own))
    return _side(own[0] * scale), _side(own[1] * scale)


def _side(length: float) -> int:
    return min(_MOST_PX, max(1, round(length)))


def as_bgr(image: Image) -> Image:
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


def one_line(text: str) -> str:
    """The text with a single space between its words."""
    return " ".join(text.split())


def tidy_lines(text: str) -> str:
    """The lines of a text that have words, each tidied by `one_line`."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


def weighted_score(parts: Sequence[tuple[str, float]]) -> float | None:
    """The mean of the parts' scores, each weighted by its characters; None without a character."""
    characters = sum(len(text) for text, _ in parts)
    return sum(len(text) * score for text, score in parts) / characters if characters else None
