"""Tesseract as a recognizer: pytesseract runs the program of Debian's package tesseract-ocr.

https://github.com/tesseract-ocr/tesseract
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_positive, check_text
from stn_rectify.runtime.errors import StnRectifyError, UsageError, first_line
from stn_rectify.runtime.process.installation import install_command
from stn_rectify.runtime.recognition.readers.ocr_engine import OcrEngine, TextKind, weighted_score
from stn_rectify.runtime.recognition.recognition import Recognition

_BORDER = 0.25  # of background around the image of a line, of its height: letters at the edge are not read
_LEAST_CONTRAST = 2.0  # grey levels: on an even picture it finds letters
#: ``--psm``: a single line; a uniform block.
_PAGE_MODES = {"line": 7, "block": 6}
_PROGRAM_MISSING = "the recognizer tesseract needs the program tesseract: sudo apt install tesseract-ocr"


class TesseractRecognizer(OcrEngine):
    """Reads texts with Tesseract (extra ``tesseract``, and the program: Debian's ``tesseract-ocr``).

    Args:
        text: ``"line"``, or ``"block"`` for several lines below each other.
        language: of the text, as Tesseract names them, such as ``"eng"`` or ``"deu+eng"``.
        timeout_s: time that an image may take, seconds.

    Raises:
        StnRectifyError: if package or program is missing or cannot be used.
        UsageError: if ``text`` or ``timeout_s`` is out of range, or the language is not installed.
    """

    _LINE_HEIGHT = 64  # capitals of some 40, where Tesseract reads best
    _LEAST_BLOCK = 1000

    def __init__(self, *, text: TextKind = "line", language: str = "eng", timeout_s: float = 30.0) -> None:
        super().__init__(text)
        self._language, self._timeout_s = check_text("language", language), check_positive("timeout_s", timeout_s)
        try:
            import pytesseract
        except ImportError as error:
            raise StnRectifyError(
                f"the recognizer tesseract needs pytesseract: {install_command('tesseract')}, and the program: "
                "sudo apt install tesseract-ocr"
            ) from error
        self._tesseract: Any = pytesseract
        try:
            self._version = str(pytesseract.get_tesseract_version()).split()[0]
            languages = pytesseract.get_languages()
        except pytesseract.TesseractNotFoundError as error:
            raise StnRectifyError(_PROGRAM_MISSING) from error
        except (pytesseract.TesseractError, SystemExit, OSError, ValueError) as error:
            raise StnRectifyError(f"tesseract cannot be run ({first_line(error)}): try tesseract --version") from error
        missing = [name for name in language.split("+") if name not in languages]
        if missing:
            raise UsageError(
                f"tesseract has no language {missing[0]!r}, only {', '.join(sorted(languages)) or 'none'}: "
                f"sudo apt install tesseract-ocr-{missing[0].lower().replace('_', '-') or 'eng'}"
            )

    @property
    def description(self) -> str:
        """The engine, its version, and what it reads."""
        return f"tesseract ({self._version}, {self._language}, text {self._text})"

    def _read(self, image: Image) -> Recognition | None:
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        if grey.std() < _LEAST_CONTRAST:
            return None
        if self._text == "line":
            grey = np.pad(grey, round(_BORDER * grey.shape[0]), constant_values=int(np.median(grey)))
        try:
            words = self._tesseract.image_to_data(
                grey,
                lang=self._language,
                config=f"--psm {_PAGE_MODES[self._text]}",
                timeout=self._timeout_s,
                output_type=self._tesseract.Output.DICT,
            )
        except self._tesseract.TesseractError as error:
            raise StnRectifyError(f"tesseract cannot read the image: {first_line(error)}") from error
        except self._tesseract.TesseractNotFoundError as error:
            raise StnRectifyError(_PROGRAM_MISSING) from error
        except RuntimeError as error:  # so it says that the time is over
            raise StnRectifyError(f"tesseract took more than {self._timeout_s:g} s") from error
        return _recognition(words)


def _recognition(words: dict[str, list[Any]]) -> Recognition | None:
    """The lines of Tesseract's table; confidences are percent there, and -1 of what is no word."""
    lines: dict[tuple[int, ...], list[str]] = {}
    parts: list[tuple[str, float]] = []
    keys = ("block_num", "par_num", "line_num")
    for place, word in enumerate(words["text"]):
        confidence = float(words["conf"][place])
        if confidence >= 0 and word.strip():
            lines.setdefault(tuple(words[key][place] for key in keys), []).append(word.strip())
            parts.append((word.strip(), min(1.0, confidence / 100)))
    return Recognition("\n".join(map(" ".join, lines.values())), weighted_score(parts)) if parts else None
