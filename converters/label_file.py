"""A file of labels, one a line. Importing this does not import TensorFlow."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.runtime.errors import UsageError

__all__ = ["read_labels"]


def read_labels(file: Path) -> tuple[str, ...]:
    """The labels of a text file, in UTF-8 with or without a byte order mark; empty lines count for nothing.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"labels {file} cannot be read ({error}): give a text file in UTF-8, a label a line"
        ) from error
