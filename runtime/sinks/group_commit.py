"""Files that reach the disk, and their names, together: whole after a power cut, and few writes for an SD card."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.runtime.files import sync

_MOST_WAITING = 64  # each has an open file
_FEWEST_TOGETHER = 3  # a flush for each costs more than one of the whole disk


@dataclass(frozen=True)
class _Written:
    """A file that was written and has no name yet."""

    name: str
    size_bytes: int
    descriptor: int


class GroupCommit:
    """Writes files into a folder under hidden names, and gives them their own names when they are on the disk.

    A rename reaches the disk before the content does, unless the content is brought there first: then a power cut
    leaves files of 0 bytes. Bringing each there by itself makes a disk write its journal each time, so files wait for
    one another.

    Args:
        folder: exists. Where somebody removes it, the next file makes it anew, unless the folder that it was in is gone
            as well, as with a stick that was pulled.
        interval_s: how long a file may wait, seconds; 0: each is by itself.
    """

    def __init__(self, folder: Path, interval_s: float) -> None:
        self._folder, self._interval_s = folder, interval_s
        self._waiting: dict[str, _Written] = {}
        self._since_s = 0.0

    def __len__(self) -> int:
        """The number of files that wait."""
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """Their size, together."""
        return sum(written.size_bytes for written in self._waiting.values())

    @property
    def is_due(self) -> bool:
        """Tells whether the first of them has waited long enough, or there are too many."""
        if not self._waiting:
            return False
        return len(self._waiting) >= _MOST_WAITING or time.monotonic() - self._since_s >= self._interval_s

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, which gets its name by the next `commit`; one of the same name that waits is replaced.

        Raises:
            OSError: if it cannot be written; nothing is left of it.
        """
        if not self._waiting:
            self._since_s = time.monotonic()
        self._drop(self._waiting.pop(name, None))
        descriptor = self._create(self._partial(name))
        try:
            with suppress(OSError):  # a file system without locks; see `remove_orphans`
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            self._drop(_Written(name, 0, descriptor))
            raise
        self._waiting[name] = _Written(name, len(content), descriptor)

    def commit(self) -> None:
        """Brings all that waits to the disk, and gives the files their names.

        Raises:
            OSError: if the disk does not take them. Those that have no name by then are removed.
        """
        waiting, self._waiting = list(self._waiting.values()), {}
        named = 0
        try:
            _sync_together([written.descriptor for written in waiting])
            for written in waiting:
                path = self._folder / written.name
                self._partial(written.name).replace(path)
                named += 1
            if named:
                sync(self._folder)
        finally:
            for written in waiting[:named]:
                os.close(written.descriptor)
            for written in waiting[named:]:
                self._drop(written)

    def remove_orphans(self, pattern: re.Pattern[str]) -> int:
        """Removes what an earlier run has left without a name; files of a run that goes on are locked, and stay.

        Args:
            pattern: fits the hidden names, and no others.

        Returns:
            How many there were.

        Raises:
            OSError: if the folder cannot be read.
        """
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(".") and pattern.fullmatch(entry.name)]
        return sum(remove_unlocked(self._folder / name) for name in names)

    def _create(self, partial: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            return os.open(partial, flags, 0o666)
        except FileNotFoundError:
            self._folder.mkdir(exist_ok=True)
            return os.open(partial, flags, 0o666)

    def _partial(self, name: str) -> Path:
        return self._folder / f".{name}.partial"

    def _drop(self, written: _Written | None) -> None:
        if written is not None:
            with suppress(OSError):
                self._partial(written.name).unlink(missing_ok=True)
            os.close(written.descriptor)


def _sync_together(descriptors: Sequence[int]) -> None:
    """Brings files of one disk to it; several by one write of its journal and one flush. Raises OSError."""
    if len(descriptors) >= _FEWEST_TOGETHER and _sync_disk(descriptors[0]):
        return
    for descriptor in descriptors:
        os.fsync(descriptor)


def _sync_disk(descriptor: int) -> bool:
    """Brings all of the file's disk to it; False where the system cannot. Raises OSError."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    if syncfs(descriptor) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number))


def remove_unlocked(path: Path) -> bool:
    """Removes a file that no process has locked; tells whether it did."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
