"""Files that are replaced in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stn_rectify.runtime.errors import DataError


@contextmanager
def partial_file(file: Path) -> Iterator[Path]:
    """Gives a name beside ``file`` to write to; what was written replaces ``file`` at the end of the block.

    After an error nothing of it is left, and ``file`` is as it was.

    Raises:
        DataError: if the file cannot be written, because the disk is full for instance.
    """
    partial = file.with_name(f"{file.stem}.partial{file.suffix}")
    try:
        yield partial
        os.replace(partial, file)
    except OSError as error:
        raise DataError(
            f"{file} cannot be written ({error.strerror or error}): make room for it, then run the same command again"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
