"""A result as the values that JSON lines, MQTT and the web view give out; and the JSON lines."""

from __future__ import annotations

import json
import os
from os import PathLike
from typing import Any

from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sinks.result_sink import ResultSink, cannot_write
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["JsonlSink", "result_values"]


def result_values(frame: CapturedFrame, result: Rectification) -> dict[str, Any]:
    """Gives a result as values of types that JSON has; pictures are left out.

    Args:
        frame: as it is seen through the view.
        result: of this frame.

    Returns:
        ``source``, ``frame`` (its index), ``timestamp`` (Unix seconds), ``corners`` (four [x, y], frame pixels),
        ``score``, ``label``, ``label_score`` (None without a recognizer, and where the score is 0), ``latency_ms``;
        and ``labels`` (pairs of label and score, best first) where the best few were asked for.
    """
    labels = [[label, round(score, 4)] for label, score in result.top_labels]
    return {
        "source": frame.source,
        "frame": frame.index,
        "timestamp": round(frame.timestamp, 6),
        "corners": [[round(x, 3), round(y, 3)] for x, y in result.corners.tolist()],
        "score": round(result.score, 4),
        "label": result.label,
        "label_score": None if result.label_score is None else round(result.label_score, 4),
        "latency_ms": round(result.latency_ms, 3),
        **({"labels": labels} if labels else {}),
    }


_STDOUT = 1


class JsonlSink(ResultSink):
    """One JSON object per line and frame, each line written at once.

    `result_values` says which keys it has.

    Args:
        file: the file to append to, made if it does not exist; ``"-"`` is standard output. Where an earlier
            run was cut off within a line, that line is ended first.

    Raises:
        StnRectifyError: if the file cannot be opened.
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
            raise cannot_write(self._name, error) from error

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes one line.

        Raises:
            BrokenPipeError: if the reader of a pipe has gone.
            StnRectifyError: if the line cannot be written, for example because the disk is full.
        """
        line = memoryview(json.dumps(result_values(frame, result)).encode() + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(self._name, error) from error

    def close(self) -> None:
        """Closes the file; standard output stays open."""
        self._file.close()


def _ends_within_a_line(file: str | PathLike[str]) -> bool:
    if not os.path.isfile(file) or not os.access(file, os.R_OK):  # opening a pipe would wait for its writer
        return False
    with open(file, "rb") as opened:
        if opened.seek(0, os.SEEK_END) == 0:
            return False
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) != b"\n"
