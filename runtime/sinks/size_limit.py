"""A folder that must not outgrow its share of the disk."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path

__all__ = ["SizeLimit"]

_BLOCK = 4096  # what the smallest file takes on most disks


class SizeLimit:
    """Keeps the files of a folder below a number of bytes: the oldest go first.

    The folder is read once. From then on the files are known by name, so that neither their number nor somebody else
    who removes some of them matters.

    Args:
        folder: exists.
        limit_bytes: what they may take, in whole blocks of 4 KiB.
        pattern: which files may be removed; its group ``time`` sorts them by age. All others stay, and do not count.

    Raises:
        OSError: the folder cannot be read.
    """

    def __init__(self, folder: Path, limit_bytes: int, pattern: re.Pattern[str]) -> None:
        self._folder, self._limit = folder, limit_bytes
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                match = pattern.fullmatch(entry.name)
                if match is not None and entry.is_file(follow_symlinks=False):
                    found.append((match["time"], entry.name, _on_disk(entry.stat(follow_symlinks=False).st_size)))
        self._files = OrderedDict((name, size) for _, name, size in sorted(found))
        self._total = sum(self._files.values())

    def add(self, name: str, size_bytes: int) -> None:
        """Counts a file that was written, perhaps anew, as the newest, and removes the oldest ones that are too many.

        Raises:
            OSError: a file cannot be removed.
        """
        self._total += _on_disk(size_bytes) - self._files.pop(name, 0)
        self._files[name] = _on_disk(size_bytes)
        while self._total > self._limit and len(self._files) > 1:
            oldest = next(iter(self._files))
            (self._folder / oldest).unlink(missing_ok=True)
            self._total -= self._files.pop(oldest)


def _on_disk(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK) * _BLOCK
