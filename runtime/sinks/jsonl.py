"""A result as the values that JSON lines, MQTT and the web view give out; and the JSON lines."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from io import FileIO
from os import PathLike
from pathlib import Path
from typing import Any

from stn_rectify.runtime.checks import check_flag, check_path, check_real
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.process.standard_streams import STDOUT_IS_CLOSED, is_pipe_of_stdout, is_stdout_open
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.results.line import line_values
from stn_rectify.runtime.sinks.result_sink import Job, OutputError, ResultSink, cannot_write
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
_LINE_BYTES = 1000  # that a line takes in memory, about, with a target


class JsonlSink(ResultSink):
    """One JSON object per line and frame, each line written at once.

    `result_values` says which keys it has. A line is whole or not there: what a full disk has taken of one is removed.
    A file that somebody removes is made anew by the next line.

    Args:
        file: the file to append to, made if it does not exist; ``"-"`` is standard output. Where an earlier
            run was cut off within a line, that line is ended first.
        targets: whether `write_targets` writes the key ``targets``.
        waits: whether it waits for the reader of a pipe, here as well. Else a line for which there is no reader yet is
            an error, and the next one may find one.
        commit_s: how often `settle` brings lines to the disk itself, seconds; None leaves that to the system, which on
            Linux does it after half a minute.

    Raises:
        StnRectifyError: if the file cannot be opened, or standard output is closed.
    """

    def __init__(
        self,
        file: str | PathLike[str],
        *,
        targets: bool = True,
        waits: bool = True,
        commit_s: float | None = None,
    ) -> None:
        file, self._has_targets = check_path("file", file), check_flag("targets", targets)
        self._waits = check_flag("waits", waits)
        self._commit_s = None if commit_s is None else check_real("commit_s", commit_s, "seconds from 0", least=0)
        self._path = None if os.fspath(file) == "-" else file
        self._name = "standard output" if self._path is None else os.fspath(file)
        self._committed_s, self._is_committed = time.monotonic(), True
        self._file: FileIO | None = None
        if waits or not _is_pipe(self._path):
            self._file = self._open()

    def reopen(self) -> None:
        """Opens the file anew, made if it has been moved away; standard output stays as it is.

        Raises:
            StnRectifyError: if the file cannot be opened; lines go on into the one that was open.
        """
        if self._path is not None and self._file is not None:
            before, self._file = self._file, self._open()
            before.close()

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Writes one line.

        Raises:
            BrokenPipeError: if the reader of standard output has left, who has what it wanted. That of a named pipe as
                standard output is another one that has left.
            StnRectifyError: if the line cannot be written, for example because the disk is full, or the reader of
                another pipe has left.
        """
        self._write_line(_line(result_values(frame, result)))

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Writes one line; see `write`."""
        self.job(frame, result, targets, rule)()

    def job(self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule) -> Job:
        """Makes the line; writing it is left."""
        line = _line(result_values(frame, result, targets if self._has_targets else None))
        return partial(self._write_line, line)

    def weight(self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification]) -> int:
        """That of a line, which keeps no pictures."""
        return _LINE_BYTES * max(1, len(targets))

    def settle(self) -> None:
        """Brings the lines to the disk, where ``commit_s`` has passed.

        Raises:
            StnRectifyError: if the disk does not take them.
        """
        now = time.monotonic()
        if self._commit_s is not None and not self._is_committed and now - self._committed_s >= self._commit_s:
            self._committed_s = now
            self._commit()

    def close(self) -> None:
        """Closes the file; standard output stays open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> FileIO:
        """Opens the file for appending. Raises StnRectifyError."""
        # Unbuffered: a reader sees each line at once, and nothing is left to fail while closing.
        try:
            if self._path is None:
                if not is_stdout_open():
                    raise StnRectifyError(STDOUT_IS_CLOSED)
                return open(_STDOUT, "wb", buffering=0, closefd=False)
            if not self._waits and _is_pipe(self._path):
                return _open_pipe(self._path)
            file = open(self._path, "ab", buffering=0)  # noqa: SIM115
            if _ends_within_a_line(self._path):
                file.write(b"\n")
            return file
        except OSError as error:
            raise cannot_write(self._name, error) from error

    def _write_line(self, line: bytes) -> None:
        if self._file is None:
            self._file = self._open()
        elif _is_removed(self._file):
            self.reopen()
        descriptor = self._file.fileno()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BrokenPipeError as error:
            if is_pipe_of_stdout(descriptor):
                raise
            raise OutputError(f"cannot write {self._name}: its reader has left; start it again", error=error) from error
        except OSError as error:
            _remove_from_end(descriptor, len(line) - len(rest))
            raise cannot_write(self._name, error) from error
        self._is_committed = False
        self.settle()

    def _commit(self) -> None:
        if self._file is None:
            return
        try:
            os.fdatasync(self._file.fileno())
            self._is_committed = True
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS):  # a pipe, a terminal
                raise cannot_write(self._name, error) from error
            self._commit_s = None


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _is_pipe(file: str | PathLike[str] | None) -> bool:
    return file is not None and Path(file).is_fifo()


def _open_pipe(file: str | PathLike[str]) -> FileIO:
    """Opens a named pipe without waiting for its reader; without one that is an OSError. Writing waits as ever."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "nobody reads this pipe yet") from error
        raise
    os.set_blocking(descriptor, True)
    return open(descriptor, "wb", buffering=0)


def _is_removed(file: FileIO) -> bool:
    """Tells whether a file, or the folder that it was in, is gone: what is written to it nobody will find."""
    status = os.fstat(file.fileno())
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 0


def _remove_from_end(descriptor: int, count: int) -> None:
    """Takes the beginning of a line out of a file again, unless somebody else has written behind it."""
    with suppress(OSError):
        status = os.fstat(descriptor)
        if count and stat.S_ISREG(status.st_mode) and os.lseek(descriptor, 0, os.SEEK_CUR) == status.st_size:
            os.ftruncate(descriptor, status.st_size - count)


def _ends_within_a_line(file: str | PathLike[str]) -> bool:
    if not os.path.isfile(file) or not os.access(file, os.R_OK):  # opening a pipe would wait for its writer
        return False
    with open(file, "rb") as opened:
        if opened.seek(0, os.SEEK_END) == 0:
            return False
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) != b"\n"
