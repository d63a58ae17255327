"""A hidden folder below --out where everything is made; finished files are moved out of it by renaming."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from stn_rectify.runtime.errors import UsageError

_NAME = ".stn-convert"


class StagingFolder:
    """The one staging folder of ``out``; holding it keeps other runs out of ``out``.

    What a killed run left is cleared away. The lock is the kernel's, so that a killed run holds nothing.

    Raises:
        UsageError: if ``out`` cannot be written, TensorFlow cannot write there, or another run is writing to it.
    """

    def __init__(self, out: Path) -> None:
        try:
            str(out.absolute()).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{out.absolute()} is not valid UTF-8, as TensorFlow needs it: choose another --out"
            ) from None
        self.out = out
        self.path = out / _NAME
        try:
            self._lock = self._locked()
            for leftover in self.path.iterdir():
                if leftover.name != "lock":
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        except OSError as error:
            problem = f"cannot write to {out}: {error.strerror or error}"
            raise UsageError(f"{problem}; choose another --out or make room") from error

    def _locked(self) -> int:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o644)
            except FileNotFoundError:
                continue  # another run has just removed the folder
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_ino == os.stat(self.path / "lock").st_ino:
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise UsageError(
                    f"another stn-convert is writing to {self.out}: wait for it, or choose another --out"
                ) from None
            except FileNotFoundError:
                pass
            os.close(lock)  # of a folder that was removed meanwhile

    def folder(self, name: str) -> Path:
        """A new folder of this name in the staging folder."""
        folder = self.path / f"model.{name}"
        folder.mkdir()
        return folder

    def publish(self, file: Path) -> None:
        """Gives a finished file its final name."""
        os.replace(file, self.out / file.name)

    def write(self, name: str, text: str) -> None:
        """Replaces a text file in ``out`` in one step; names that are not UTF-8 are escaped, as JSON has it."""
        file = self.path / name
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
        self.publish(file)

    def remove(self) -> None:
        """Ends the staging: nothing of it is left."""
        with suppress(OSError):
            shutil.rmtree(self.path)
        os.close(self._lock)
