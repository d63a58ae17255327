"""Where results go: JSON lines and picture files."""

from __future__ import annotations

import errno
import json
import os
import re
from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path, PurePath
from types import TracebackType
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.overview import draw_overview
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["JsonlSink", "ResultSink", "SaveSink"]

Self = TypeVar("Self", bound="ResultSink")

_STDOUT = 1
_FULL = (errno.ENOSPC, errno.EDQUOT)
_JPEG_QUALITY = 90


class ResultSink(ABC):
    """Takes results one by one; a context manager."""

    @abstractmethod
    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Takes the result for one frame.

        Raises:
            StnRectifyError: it cannot be written, and why.
        """

    def close(self) -> None:  # noqa: B027 -- most sinks hold nothing
        """Releases what the sink holds. Closing twice does no harm."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JsonlSink(ResultSink):
    """One JSON object per line and frame, each line written at once.

    Keys: ``source``, ``frame`` (its index), ``timestamp`` (Unix seconds), ``corners`` (four [x, y], frame
        pixels),
    ``score``, ``label``, ``label_score`` (null without a recognizer, and where the score is 0), ``latency_ms``.

    Args:
        file: the file to append to, made if it does not exist; ``"-"`` is standard output. Where an earlier
            run was cut off within a line, that line is ended first.

    Raises:
        StnRectifyError: the file cannot be opened.
    """

    def __init__(self, file: str | PathLike[str]) -> None:
        to_stdout = os.fspath(file) == "-"
        self._name = "standard output" if to_stdout else os.fspath(file)
        try:
            # Unbuffered: a reader sees each line at once, and nothing is left to fail while closing.
            if to_stdout:
                self._file = open(_STDOUT, "wb", buffering=0, closefd=False)  # noqa: SIM115
            else:
                self._file = open(file, "ab", buffering=0)  # noqa: SIM115
                if _ends_within_a_line(file):
                    self._file.write(b"\n")
        except OSError as error:
            raise _cannot_write(self._name, error) from error

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes one line.

        Raises:
            BrokenPipeError: the reader of a pipe has gone.
            StnRectifyError: it cannot be written, for example because the disk is full.
        """
        values = {
            "source": frame.source,
            "frame": frame.index,
            "timestamp": round(frame.timestamp, 6),
            "corners": [[round(x, 3), round(y, 3)] for x, y in result.corners.tolist()],
            "score": round(result.score, 4),
            "label": result.label,
            "label_score": None if result.label_score is None else round(result.label_score, 4),
            "latency_ms": round(result.latency_ms, 3),
        }
        line = memoryview(json.dumps(values).encode() + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _cannot_write(self._name, error) from error

    def close(self) -> None:
        """Closes the file; standard output stays open."""
        self._file.close()


class SaveSink(ResultSink):
    """Two pictures per frame, named after source and frame index.

    ``NAME.rectified.png`` is the rectified image, ``NAME.overview.jpg`` the frame with the target marked
    beside it (see `draw_overview`). A file appears under its name only when it is complete.

    Args:
        folder: made if it does not exist.

    Raises:
        StnRectifyError: the folder cannot be made.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(str(folder), error) from error

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes both pictures.

        Raises:
            StnRectifyError: they cannot be written, for example because the disk is full.
        """
        name = f"{_file_stem(frame.source)}-{frame.index:06d}"
        self._save(f"{name}.rectified.png", result.image)
        overview = draw_overview(frame.image, result)
        self._save(f"{name}.overview.jpg", overview, cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)

    def _save(self, name: str, image: npt.NDArray[np.uint8], *options: int) -> None:
        path, partial = self._folder / name, self._folder / f".{name}.partial"
        encoded = cv2.imencode(path.suffix, image, options)[1]
        try:
            try:
                partial.write_bytes(encoded.tobytes())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(str(path), error) from error


def _file_stem(source: str) -> str:
    """The source's last part without suffix, in characters that every file system takes."""
    stem = re.sub(r"[^\w.-]+", "_", PurePath(source).stem)
    return stem.lstrip(".")[:80] or "frame"


def _ends_within_a_line(file: str | PathLike[str]) -> bool:
    if not os.path.isfile(file) or not os.access(file, os.R_OK):  # opening a pipe would wait for its writer
        return False
    with open(file, "rb") as opened:
        if opened.seek(0, os.SEEK_END) == 0:
            return False
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) != b"\n"


def _cannot_write(name: str, error: OSError) -> StnRectifyError:
    advice = "free space there or choose another place" if error.errno in _FULL else "choose another place"
    return StnRectifyError(f"cannot write {name}: {error.strerror or error}; {advice}")
