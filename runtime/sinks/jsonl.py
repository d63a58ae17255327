"""A result as the values that JSON lines, MQTT and the web view give out; and the JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from io import FileIO
from os import PathLike
from typing import Any

from stn_rectify.runtime.checks import check_flag, check_path
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.process.standard_streams import STDOUT_IS_CLOSED, is_pipe_of_stdout, is_stdout_open
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.results.line import line_values
from stn_rectify.runtime.sinks.result_sink import ResultSink, cannot_write
from stn_rectify.runtime.sources import CapturedFrame


def result_values(
    frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification] | None = None
) -> dict[str, Any]:
    """Gives a result as values of types that JSON has; pictures are left out.

    Args:
        frame: as it is seen through the view.
        result: of this frame; of several targets that of the best one.
        targets: all targets, best first; None where only one was looked for.

    Returns:
        The keys of `stn_rectify.runtime.results.line.ResultLine`, which says what they mean: ``source``, ``frame`` (its
        index), ``page`` (only of files of several), ``timestamp``, ``corners``, ``score``, ``label``, ``label_score``,
        ``latency_ms``; ``labels``, ``read``, ``turn_score``, ``track`` and ``turn`` where they are known; with
        ``targets`` a list of that name. `Rectification.to_dict` gives the same.
    """
    return line_values(result, frame, targets)


_STDOUT = 1


class JsonlSink(ResultSink):
    """One JSON object per line and frame, each line written at once.

    `result_values` says which keys it has.

    Args:
        file: the file to append to, made if it does not exist; ``"-"`` is standard output. Where an earlier
            run was cut off within a line, that line is ended first.
        targets: whether `write_targets` writes the key ``targets``.

    Raises:
        StnRectifyError: if the file cannot be opened, or standard output is closed.
    """

    def __init__(self, file: str | PathLike[str], *, targets: bool = True) -> None:
        file, self._has_targets = check_path("file", file), check_flag("targets", targets)
        self._path = None if os.fspath(file) == "-" else file
        self._name = "standard output" if self._path is None else os.fspath(file)
        self._file = self._open()

    def reopen(self) -> None:
        """Opens the file anew, made if it has been moved away; standard output stays as it is.

        Raises:
            StnRectifyError: if the file cannot be opened; lines go on into the one that was open.
        """
        if self._path is not None:
            before, self._file = self._file, self._open()
            before.close()

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes one line.

        Raises:
            BrokenPipeError: if the reader of standard output has left, who has what it wanted.
            StnRectifyError: if the line cannot be written, for example because the disk is full, or the reader of
                another pipe has left.
        """
        self._write_line(result_values(frame, result))

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Writes one line; see `write`."""
        self._write_line(result_values(frame, result, targets if self._has_targets else None))

    def _open(self) -> FileIO:
        """Opens the file for appending. Raises StnRectifyError."""
        # Unbuffered: a reader sees each line at once, and nothing is left to fail while closing.
        try:
            if self._path is None:
                if not is_stdout_open():
                    raise StnRectifyError(STDOUT_IS_CLOSED)
                return open(_STDOUT, "wb", buffering=0, closefd=False)
            file = open(self._path, "ab", buffering=0)  # noqa: SIM115
            if _ends_within_a_line(self._path):
                file.write(b"\n")
            return file
        except OSError as error:
            raise cannot_write(self._name, error) from error

    def _write_line(self, values: dict[str, Any]) -> None:
        line = memoryview(json.dumps(values).encode() + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]
        except BrokenPipeError as error:
            if is_pipe_of_stdout(self._file.fileno()):
                raise
            raise StnRectifyError(f"cannot write {self._name}: its reader has left; start it again") from error
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
