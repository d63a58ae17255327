"""RapidOCR as a recognizer: PaddleOCR's networks on onnxruntime, whose wheel brings them along.

https://github.com/RapidAI/RapidOCR
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_whole
from stn_rectify.runtime.errors import StnRectifyError, first_line
from stn_rectify.runtime.process.installation import install_command, pip_command
from stn_rectify.runtime.recognition.readers.ocr_engine import OcrEngine, TextKind, weighted_score
from stn_rectify.runtime.recognition.recognition import Recognition


class RapidOcrRecognizer(OcrEngine):
    """Reads texts with RapidOCR (extra ``ocr``).

    A line is read by the recognition network alone, at the 48 pixels of height that it sees, without a search for text.
    An image that shows it on its side, or whose text is doubtful, is read turned as well, and the surer one is taken:
    not all models say which side is up. A block is searched for lines first.

    Args:
        text: ``"line"``, or ``"block"`` for several lines below each other.
        threads: that its networks compute with, 1 or more.

    Raises:
        StnRectifyError: if the package is missing or cannot be used.
        UsageError: if ``text`` or ``threads`` is out of range.

    Example:
        >>> pipeline = Pipeline(rectifier, recognizer=RapidOcrRecognizer())  # doctest: +SKIP
    """

    _LINE_HEIGHT = 48  # what its recognition network sees
    _LEAST_BLOCK = 400
    _SURE = 0.5

    def __init__(self, *, text: TextKind = "line", threads: int = 1) -> None:
        super().__init__(text)
        threads = check_whole("threads", threads, 1)
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

    def _read(self, image: Image) -> Recognition | None:
        return self._line(image) if self._text == "line" else self._block(image)

    def _line(self, image: Image) -> Recognition | None:
        lines, _ = self._engine(image, use_det=False, use_cls=False, use_rec=True)
        text, score = lines[0] if lines else ("", 0.0)
        return Recognition(_one_line(text), _share(score)) if text.strip() else None

    def _block(self, image: Image) -> Recognition | None:
        found, _ = self._engine(image, use_det=True, use_cls=True, use_rec=True)
        pieces = [(np.asarray(box, np.float64), _one_line(text), _share(score)) for box, text, score in found or ()]
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


def _one_line(text: str) -> str:
    """The text with a single space between its words."""
    return " ".join(text.split())


def _share(score: Any) -> float:
    return min(1.0, max(0.0, float(score)))
