"""Files that are read, and files that are replaced in one step."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.process.standard_streams import escaped

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_file(file: str | PathLike[str]) -> BinaryIO:
    """Opens a file for reading. What is no regular file is refused at once: opening a pipe would wait for its writer.

    Raises:
        OSError: if it cannot be opened, or is no regular file; ``strerror`` says what it is.
    """
    _check_regular(os.stat(file).st_mode, file)  # a socket cannot be opened, and a device may do something then
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check_regular(os.fstat(descriptor).st_mode, file)  # it may be another one by now
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(file: str | PathLike[str]) -> bytes:
    """The content of a file; see `open_file`.

    Raises:
        OSError: if it cannot be read, or is no regular file.
    """
    with open_file(file) as stream:
        return stream.read()


def is_text(name: str) -> bool:
    """Tells whether a name is Unicode text: Linux takes any bytes, those that are no text stand as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def text_name(file: str | PathLike[str]) -> Iterator[str]:
    """Gives a name that is Unicode text for a file, with the same ending: its own, or a link's.

    OpenCV takes no other names; it crashes at them. The link lasts as long as the block, in which the file is opened.

    Args:
        file: need not exist.

    Raises:
        OSError: if the link cannot be made.
    """
    name = os.fspath(file)
    if is_text(name):
        yield name
        return
    usual = tempfile.gettempdir()
    where = usual if is_text(usual) else "/tmp"  # nosec B108  # a folder of our own in it
    with tempfile.TemporaryDirectory(prefix="stn-rectify-", dir=where) as folder:
        link = os.path.join(folder, f"link{escaped(Path(name).suffix)}")
        os.symlink(os.path.abspath(name), link)
        yield link


def _check_regular(mode: int, file: str | PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(file))


def sync(path: str | PathLike[str]) -> None:
    """Brings a file's content, or the names in a folder, to the disk itself.

    A file's before it is renamed: the new name may reach the disk earlier, and is that of an empty file then.

    Raises:
        OSError: if the disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


@contextmanager
def partial_file(file: Path) -> Iterator[Path]:
    """Gives a name beside ``file`` to write to; what was written replaces ``file`` at the end of the block.

    It is on the disk itself by then, so that a power cut leaves the old file or the new one. After an error nothing of
    it is left, and ``file`` is as it was. A pipe or a device, which nothing can replace, is
    written to itself.

    Raises:
        DataError: if the file cannot be written, because the disk is full for instance.
    """
    is_itself = file.exists() and not file.is_file() and not file.is_dir()
    partial = file if is_itself else file.with_name(f"{file.stem}.partial{file.suffix}")
    try:
        yield partial
        if not is_itself:
            sync(partial)
            os.replace(partial, file)
            sync(file.parent)
    except OSError as error:
        raise DataError(
            f"{file} cannot be written ({error.strerror or error}): make room for it, then run the same command again"
        ) from error
    finally:
        if not is_itself:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
