"""The place on a device where the model lies that a service uses: a new one takes the old one's place in one step.

::

    current.tflite                     a link to the one in use: what ``--model`` names
    versions/general-3f2a….tflite      the one in use and the one before it, by name and SHA-256
    versions/general-3f2a….before      the name of the one that it replaced

The link is replaced by rename(2), after all has been written to the disk: whenever the program is killed or the power
goes, ``current.tflite`` is the old or the new model, whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.files import sync
from stn_rectify.runtime.model.model_file import ModelFile

_DIGITS = 16  # of the SHA-256 in a name


@dataclass(frozen=True)
class ModelStore:
    """The models of a device.

    Attributes:
        folder: where they lie; made by the first `install`.

    Example:
        >>> ModelStore(Path("/etc/stn-rectify/models")).current  # doctest: +SKIP
        PosixPath('/etc/stn-rectify/models/current.tflite')
    """

    folder: Path

    @property
    def current(self) -> Path:
        """The link to the model in use, which is there once one has been installed."""
        return self.folder / "current.tflite"

    @property
    def in_use(self) -> Path | None:
        """The file of the model in use; None without one."""
        try:
            file = self.folder / os.readlink(self.current)
        except OSError:
            return None
        return file if file.is_file() else None

    @property
    def before(self) -> Path | None:
        """The file of the model that was in use before; None without one."""
        in_use = self.in_use
        if in_use is None:
            return None
        try:
            file = self._versions / in_use.with_suffix(".before").read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return file if file != in_use and file.is_file() else None

    def install(self, content: bytes, check: Callable[[Path], ModelFile]) -> Path:
        """Puts a model in the place of the one in use.

        Args:
            content: of the file.
            check: opens the copy in the store and tries it; called before the copy is used.

        Returns:
            The file in the store, the model in use from now on.

        Raises:
            StnRectifyError: if ``check`` refuses the copy, or it cannot be written; the model in use stays.
        """
        with self._changes():
            partial = self._versions / ".partial.tflite"
            try:
                _write_through(partial, content)
                name = "".join(
                    letter if letter.isalnum() or letter in "-_" else "_" for letter in _name(check(partial))
                )
                file = self._versions / f"{name}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}.tflite"
                os.replace(partial, file)  # the same model again mends a file that a worn card has damaged
                if file != self.in_use:
                    self._use(file)
            finally:
                self._clear_away()
        return file

    def rollback(self, check: Callable[[Path], ModelFile]) -> Path:
        """Puts the model that was in use before in the place of the one in use; once more puts that back.

        Args:
            check: opens the file and tries it.

        Returns:
            The file that is in use from now on.

        Raises:
            StnRectifyError: if there is none, or ``check`` refuses it; the model in use stays.
        """
        before = self.before
        if before is None:
            raise StnRectifyError(f"{self.folder} has no model before the one in use: nothing to go back to")
        with self._changes():
            check(before)
            self._use(before)
        return before

    @property
    def _versions(self) -> Path:
        return self.folder / "versions"

    def _use(self, file: Path) -> None:
        """Swaps the link; what the file replaces is noted before, beside the file."""
        in_use = self.in_use
        note = file.with_suffix(".before")
        _write_through(note.with_name(f".{note.name}"), b"" if in_use is None else in_use.name.encode())
        os.replace(note.with_name(f".{note.name}"), note)
        sync(self._versions)
        link = self.folder / ".current"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("versions") / file.name)
        os.replace(link, self.current)
        sync(self.folder)

    def _clear_away(self) -> None:
        """Removes what is neither the model in use nor the one before: what was refused or cut off included."""
        kept = {file.stem for file in (self.in_use, self.before) if file is not None}
        for file in self._versions.iterdir():
            if file.stem not in kept:
                with suppress(OSError):
                    file.unlink()

    @contextmanager
    def _changes(self) -> Iterator[None]:
        """One change at a time; an OSError becomes one line."""
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            with open(self.folder / ".lock", "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StnRectifyError(
                f"cannot change the models in {self.folder}: {error.strerror or error}; the model in use stays: "
                "see that there is room and that this user may write there (sudo), or name another folder by --store"
            ) from error


def _name(model: ModelFile) -> str:
    return model.metadata.name or "model"


def _write_through(file: Path, content: bytes) -> None:
    """Writes a file to the disk itself: a rename may reach it before the content does."""
    with open(file, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fchmod(opened.fileno(), 0o644)  # root installs it, the service reads it
        os.fsync(opened.fileno())
