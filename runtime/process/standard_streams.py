"""Standard input, output and error, whatever state the program gets them in, and the lines for people.

A program may be started with any of the three closed, and whoever reads one may leave. Results and messages must not
get into each other for that, nor into a file that happens to get the number of a stream that is closed.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from stn_rectify.runtime.errors import StnRectifyError

#: Said where results are to go to standard output.
STDOUT_IS_CLOSED = "cannot write standard output: it is closed; open it, or name a file"

_STDIN, _STDOUT, _STDERR = 0, 1, 2
# What would move the cursor, colour or hide the rest of a log, or turn its reading direction round.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def say(line: str) -> None:
    """Prints a line for people; standard output is left to results.

    Control characters are escaped, as a file may be called by any. Where standard error is closed, or its reader has
    left, the line is lost.
    """
    if sys.stderr is not None:  # `print` would then take standard output
        with suppress(OSError):
            print(escaped(line), file=sys.stderr, flush=True)


@contextmanager
def stderr_without(line: bytes) -> Iterator[None]:
    """Leaves one line out of what a library in C writes to standard error within the block; all else follows it.

    The descriptor is the whole process's: what other threads write meanwhile comes a moment later, too. Where nothing
    can be held back, the line is there as well.

    Args:
        line: without its end.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            own = os.dup(_STDERR)
        except OSError:  # it is closed, or there is no place
            yield
            return
        stack.callback(os.close, own)
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(own, _STDERR)
            held.seek(0)
            rest = b"".join(one for one in held.readlines() if one.rstrip(b"\r\n") != line)
            with suppress(OSError):  # its reader has left
                while rest:
                    rest = rest[os.write(_STDERR, rest) :]


def write_stdout(text: str) -> None:
    """Writes results, such as a table, to standard output at once.

    Raises:
        BrokenPipeError: if its reader has left, who has what it wanted.
        StnRectifyError: if it is closed or cannot be written to.
    """
    if not is_stdout_open():
        raise StnRectifyError(STDOUT_IS_CLOSED)
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StnRectifyError(f"cannot write standard output: {error.strerror or error}; name a file") from error


def escaped(text: str) -> str:
    r"""The text as one line: control characters as ``\x1b``, and bytes of a name that are no text as ``\udce9``."""
    visible = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
    return visible.encode("utf-8", "backslashreplace").decode("utf-8")


def prepare_standard_streams() -> None:
    """Makes the three streams safe to use; for the beginning of a program.

    One that is closed gets its descriptor taken, so that no file gets it: reading from standard input and writing to
    standard output then fail, and messages go nowhere. What cannot be encoded is escaped. A reader of standard error
    that leaves takes the messages with it, but does not end the run.
    """
    # A descriptor for the other direction, as in GNU's stdopen: whoever uses it gets an error, and nothing is lost
    # without a word. Messages are not worth one.
    _take(_STDIN, os.O_WRONLY)
    _take(_STDOUT, os.O_RDONLY)
    _take(_STDERR, os.O_WRONLY)
    if sys.stdout is None:  # for libraries that print; results go through `write_stdout`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name can be any bytes
    if sys.stderr is None or isinstance(sys.stderr, io.TextIOWrapper):
        messages: Any = io.BufferedWriter(_Messages())
        sys.stderr = io.TextIOWrapper(
            messages,
            encoding=getattr(sys.stderr, "encoding", "utf-8"),
            errors="backslashreplace",
            line_buffering=True,
        )


def is_open(descriptor: int, mode: int) -> bool:
    """Tells whether a descriptor is open for reading (``os.O_RDONLY``) or writing (``os.O_WRONLY``)."""
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        return False
    return found in (mode, os.O_RDWR)


def is_stdin_open() -> bool:
    """Tells whether something can be read from standard input."""
    return sys.stdin is not None and is_open(_STDIN, os.O_RDONLY)


def is_stdout_open() -> bool:
    """Tells whether something can be written to standard output."""
    return sys.stdout is not None and is_open(_STDOUT, os.O_WRONLY)


def is_pipe_of_stdout(descriptor: int) -> bool:
    """Tells whether a descriptor is a shell's pipe as standard output, or the same pipe, as with ``/dev/stdout``.

    Its reader is the next program of a line, which ends when it has what it wanted. A pipe with a name of its own is
    there for a reader that comes back.
    """
    try:
        own, stdout = os.fstat(descriptor), os.fstat(_STDOUT)
    except OSError:
        return False
    return stat.S_ISFIFO(own.st_mode) and os.path.samestat(own, stdout) and not _has_name(own)


def _has_name(pipe: os.stat_result) -> bool:
    """Tells whether a pipe lies in a folder, by its device: those without a name have one of the kernel's."""
    reading, writing = os.pipe()
    try:
        return os.fstat(reading).st_dev != pipe.st_dev
    finally:
        os.close(reading)
        os.close(writing)


def leave_stdout() -> None:
    """Takes standard output away from Python after its reader has left: it would stumble over it as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)


def _take(descriptor: int, mode: int) -> None:
    """Opens a descriptor that is closed; a new one is always the lowest that is free, and those below are taken."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, mode)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)


class _Messages(io.RawIOBase):
    """Standard error that takes everything, also what nobody reads any more."""

    def fileno(self) -> int:
        return _STDERR

    def isatty(self) -> bool:
        return os.isatty(_STDERR)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return os.write(_STDERR, data)
        except OSError:
            return len(data)
