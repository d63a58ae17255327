"""The errors this project raises on bad input.

Each message says what was wrong, with which file or device, and what to do about it. The command lines print it
as one line and exit non-zero.
"""

from __future__ import annotations

import warnings


class StnRectifyError(Exception):
    """Base of all errors that stn-rectify raises on purpose."""


class StnRectifyWarning(UserWarning):
    """Something was left out or taken for granted; the command lines print it as one line."""


class ModelFileError(StnRectifyError):
    """A model file is missing, truncated, not ours, or holds something the device cannot run."""


class SourceError(StnRectifyError):
    """A camera, video or image cannot be opened or read."""


class DataError(StnRectifyError):
    """An array, a frame or a data file has the wrong shape, dtype or content."""


class UsageError(StnRectifyError):
    """An object or a command was used in a way it does not support."""


def warn(message: str) -> None:
    """Issues a `StnRectifyWarning`."""
    warnings.warn(message, StnRectifyWarning, stacklevel=3)


def first_line(error: BaseException) -> str:
    """The first line of what an error of another library says; its type where it says nothing.

    What TensorFlow says of code that it traces begins with a traceback; the error is its last line.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1 if lines[0] == "in user code:" else 0] if lines else type(error).__name__


def shown(value: object) -> str:
    """A value that somebody gave, in one line of a message: 80 characters at most, of an array what it is."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        return f"an array {list(shape)} of {dtype}"
    return f"{' '.join(repr(value).split()):.80}"
