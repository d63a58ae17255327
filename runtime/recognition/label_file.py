"""The labels of a recognizer's classes, from a text file, a label a line."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import UsageError

__all__ = ["read_labels"]


def read_labels(file: str | PathLike[str]) -> tuple[str, ...]:
    """The labels of a text file, in UTF-8 with or without a byte order mark, in the order of the classes.

    Empty lines count for nothing; a line of one space is the label of the space.

    Raises:
        UsageError: it cannot be read, or there are none.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"labels {file} cannot be read ({error}): give a text file in UTF-8, a label a line"
        ) from error
    labels = tuple(line if line == " " else line.strip() for line in lines if line == " " or line.strip())
    if not labels:
        raise UsageError(f"labels {file}: the file has no lines: write a label a line")
    return labels
