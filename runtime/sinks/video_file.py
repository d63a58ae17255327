"""The file of a video while it is written: its name, and what runs that were cut off have left."""

from __future__ import annotations

import fcntl
import glob
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import cv2

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.files import sync, text_name
from stn_rectify.runtime.sources.addresses import ffmpeg_name
from stn_rectify.runtime.sources.containers import read_container

_PARTIAL = ".partial"
_DIRECTIVE = re.compile(r"%[-_0^#]?\d*[A-Za-z%]")  # of strftime
_FEW = 200  # frames that are counted one by one


class VideoFile(Closing):
    """A video's file under its partial name, ``NAME.partial.mkv``, locked, so that no other run takes it for left over.

    Args:
        path: the video's name.
        numbered: where there is such a file already, or another run writes it: whether the video is called
            ``NAME-2.mkv``, or the next one that is free; else that is an error.
        report: called with a line about a video of that name that was cut off; see `salvage`.

    Raises:
        UsageError: if there is such a file.
        OSError: if it cannot be written.

    Attributes:
        path: the name that the video gets.
        partial: the name that it has.
    """

    def __init__(self, path: Path, *, numbered: bool, report: Callable[[str], None] | None = None) -> None:
        self._descriptor: int | None = None
        for name in _numbered(path) if numbered else (path,):
            self.path, self.partial = name, partial_name(name)
            if not name.exists():
                _salvage_unlocked(self.partial, report)
                self._descriptor = _locked(self.partial, os.O_RDWR | os.O_CREAT)
            if self._descriptor is not None:
                return
        if path.exists():
            raise UsageError(f"{path} exists: remove it, or choose another name")
        raise UsageError(f"{self.partial} is being written by another run: choose another name")

    @property
    def size_bytes(self) -> int:
        """Its size so far. Raises OSError if it is gone."""
        return self.partial.stat().st_size

    def sync(self) -> None:
        """Brings what was written to the disk.

        Raises:
            OSError: if the disk does not take it.
        """
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)

    def finish(self) -> None:
        """Brings the video to the disk, and gives it its name, or the next one if another file got that meanwhile.

        Raises:
            OSError: if the disk does not take it, or it cannot be renamed.
        """
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        self.path = _free(self.path)
        self.partial.rename(self.path)
        sync(self.path.parent)
        self.close()

    def discard(self) -> None:
        """Removes it.

        Raises:
            OSError: if it cannot be removed.
        """
        if self._descriptor is not None:
            self.partial.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leaves it where it is, for anybody. Closing twice does no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def partial_name(path: Path) -> Path:
    """The name of a video while it is written; FFmpeg takes the format from the ending."""
    return path.with_name(f"{path.stem}{_PARTIAL}{path.suffix}")


def dated_name(name: str) -> str:
    """The name at this moment of one with the directives of `strftime`."""
    return datetime.now().strftime(name) if "%" in name else name


def salvage(name: str, report: Callable[[str], None] | None = None) -> None:
    """Gives the videos of runs that were cut off a name, ``NAME.recovered.mkv``; removes those that show nothing.

    One that another run is writing stays.

    Args:
        name: of the videos, with the directives of `strftime` or without; what `VideoFile` numbers is among them.
        report: called with a line for each.

    Raises:
        OSError: if one cannot be renamed or removed.
    """
    for partial in _partial_files(Path(name)):
        _salvage_unlocked(partial, report)


def count_frames(path: Path) -> int:
    """Gives how many frames a video has; 0 for one that is cut off.

    Of a longer one it is what the container says, which some only estimate.
    """
    if read_container(path).is_cut:
        return 0
    with _opened(path) as video:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        if not 0 <= count <= _FEW:
            return max(count, 0)
        counted = 0
        while counted <= _FEW and video.isOpened() and video.grab():
            counted += 1
        return counted


def _salvage_unlocked(partial: Path, report: Callable[[str], None] | None) -> None:
    """Does nothing where there is no such file, or another run has locked it. Raises OSError."""
    try:
        descriptor = _locked(partial, os.O_RDWR)
    except FileNotFoundError:
        return
    if descriptor is None:
        return
    try:
        line = _salvage(partial)
    finally:
        os.close(descriptor)
    if line and report is not None:
        report(line)


def _salvage(partial: Path) -> str:
    """A line that says what has become of it; empty for a file without content."""
    path = partial.with_name(f"{partial.stem.removesuffix(_PARTIAL)}{partial.suffix}")
    size_bytes = partial.stat().st_size
    with _opened(partial) as video:
        shows = size_bytes > 0 and video.isOpened() and video.grab()
    if shows:
        recovered = _free(path.with_name(f"{path.stem}.recovered{path.suffix}"))
        partial.rename(recovered)
        return f"{path} of a run that was cut off is {recovered} now"
    partial.unlink()
    return f"{partial} of a run that was cut off is removed: nothing in it can be watched" if size_bytes else ""


def _partial_files(name: Path) -> Iterator[Path]:
    """The files with partial names that such a name may have had."""
    parts = re.split(f"({_DIRECTIVE.pattern})", name.stem)
    stem = "".join(".+" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    fits = re.compile(rf"{stem}(-\d+)?{re.escape(_PARTIAL + name.suffix)}", re.DOTALL)
    folder = str(name.parent)
    parts = re.split(f"({_DIRECTIVE.pattern})", folder)
    pattern = "".join("*" if index % 2 else glob.escape(part) for index, part in enumerate(parts))
    for found in [folder] if len(parts) == 1 else glob.glob(pattern):
        with suppress(OSError), os.scandir(found) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            yield from (Path(found, one) for one in sorted(names) if fits.fullmatch(one))


def _locked(path: Path, flags: int) -> int | None:
    """A descriptor of a file that nobody else has locked; None if somebody has. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # else it was renamed or removed just now
            return descriptor
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks
        return descriptor
    os.close(descriptor)
    return None


def _free(path: Path) -> Path:
    """The first of a name's numbered ones that no file has."""
    return next(name for name in _numbered(path) if not name.exists())


def _numbered(path: Path) -> Iterator[Path]:
    """``NAME``, ``NAME-2``, ``NAME-3``, without end."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in itertools.count(2))


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """A video as OpenCV sees it, perhaps not open."""
    with text_name(path) as name:
        video = cv2.VideoCapture(ffmpeg_name(name), cv2.CAP_FFMPEG)
    try:
        yield video
    finally:
        video.release()
