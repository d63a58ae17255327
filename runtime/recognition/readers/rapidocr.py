"""RapidOCR as a recognizer: PaddleOCR's networks on onnxruntime, whose wheel brings them along.

https://github.com/RapidAI/RapidOCR
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import StnRectifyError, UsageError, first_line
from stn_rectify.runtime.process.installation import install_command, pip_command
from stn_rectify.runtime.recognition.readers.text_image import (
    UPENDED,
    TextKind,
    as_bgr,
    block_size,
    check_text,
    line_size,
    one_line,
    weighted_score,
)
from stn_rectify.runtime.recognition.recognition import Recognition

_LINE_HEIGHT = 48  # pixels: what its recognition network sees
_LEAST_BLOCK = 400  # pixels along the shorter side
_SURE = 0.5  # below it a line is tried upside down, too


class RapidOcrRecognizer:
    """Reads texts with RapidOCR (extra ``ocr``).

    A line is read by the recognition network alone, at the 48 pixels of height that it sees, without a search for text.
    An image that shows it on its side, or whose text is doubtful, is read turned as well, and the surer one is taken:
    not all models say which side is up. A block is searched for lines first.

    Args:
        text: ``"line"``, or ``"block"`` for several lines below each other.
        threads: that its networks compute with, 1 or more.

    Raises:
        StnRectifyError: if the package is missing or cannot be used.
        UsageError: if ``text`` is out of range.

    Example:
        >>> pipeline = Pipeline(rectifier, recognizer=RapidOcrRecognizer())  # doctest: +SKIP
    """

    def __init__(self, *, text: TextKind = "line", threads: int = 1) -> None:
        self._text = check_text(text)
        if threads < 1:
            raise UsageError(f"threads is {threads}: must be 1 or more")
        try:
            from rapidocr_onnxruntime import RapidOCR

            self._engine: Any = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1)
        except ImportError as error:
            missing = "" if error.name == "rapidocr_onnxruntime" else f" ({first_line(error)})"
            raise StnRectifyError(
                f"the recognizer rapidocr needs rapidocr-onnxruntime{missing}: {install_command('ocr')}"
            ) from error
        except Exception as error:  # its configuration, its networks, onnxruntime: whatever they raise
            mend = pip_command("install", "--force-reinstall", "rapidocr-onnxruntime")
            raise StnRectifyError(f"rapidocr-onnxruntime cannot start ({first_line(error)}): {mend}") from error

    @property
    def description(self) -> str:
        """The engine, its version, and what it reads."""
        return f"rapidocr (rapidocr-onnxruntime {metadata.version('rapidocr-onnxruntime')}, text {self._text})"

    def image_size(self, own: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the image that it wants of a target of this width and height in the frame, pixels."""
        return line_size(own, _LINE_HEIGHT) if self._text == "line" else block_size(own, _LEAST_BLOCK)

    def recognize(self, image: Image) -> Recognition | None:
        """Reads an upright image, BGR uint8 [h, w, 3] or grey [h, w].

        Returns:
            The text; lines of a block are separated by a line feed, and its score is their mean, weighted by their
            lengths. None if there is none.

        Raises:
            DataError: if the image has the wrong type, dtype or shape.
        """
        bgr = as_bgr(image)
        return self._line(bgr) if self._text == "line" else self._block(bgr)

    def _line(self, image: Image) -> Recognition | None:
        if image.shape[0] >= UPENDED * image.shape[1]:
            turns = [
                self._read(_turned(image, turn)) for turn in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE)
            ]
            best = max(turns, key=lambda read: read[1])
        else:
            best = self._read(image)
            if best[1] < _SURE:
                best = max(best, self._read(_turned(image, cv2.ROTATE_180)), key=lambda read: read[1])
        return Recognition(*best) if best[0] else None

    def _read(self, image: Image) -> tuple[str, float]:
        """The text and its score; an empty text has a score of 0."""
        lines, _ = self._engine(image, use_det=False, use_cls=False, use_rec=True)
        text, score = lines[0] if lines else ("", 0.0)
        text = one_line(text)
        return text, _share(score) if text else 0.0

    def _block(self, image: Image) -> Recognition | None:
        found, _ = self._engine(image, use_det=True, use_cls=True, use_rec=True)
        pieces = [(np.asarray(box, np.float64), one_line(text), _share(score)) for box, text, score in found or ()]
        rows = _rows([piece for piece in pieces if piece[1]])
        parts = [(text, score) for row in rows for _, text, score in row]
        score = weighted_score(parts)
        return Recognition("\n".join(" ".join(text for _, text, _ in row) for row in rows), score) if parts else None


_Piece = tuple[np.ndarray[Any, np.dtype[np.float64]], str, float]


def _rows(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Pieces of text in the order of reading: those on one height are a row, from left to right."""
    rows: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda one: one[0][:, 1].mean()):
        middle = piece[0][:, 1].mean()
        if rows and middle < rows[-1][0][0][:, 1].mean() + 0.5 * np.ptp(rows[-1][0][0][:, 1]):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda one: one[0][:, 0].mean()) for row in rows]


def _turned(image: Image, turn: int) -> Image:
    return np.asarray(cv2.rotate(image, turn), np.uint8)


def _share(score: Any) -> float:
    return min(1.0, max(0.0, float(score)))
