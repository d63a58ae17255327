"""Rectified pictures and before/after pictures as files in a folder, which may be limited in size."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from os import PathLike
from pathlib import Path, PurePath

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_choice, check_flag, check_instance, check_path, check_real, check_whole
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.images.kinds import VIDEO_SUFFIXES, called_image
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.group_commit import GroupCommit
from stn_rectify.runtime.sinks.overview import Captions, draw_overview
from stn_rectify.runtime.sinks.pace import Pace
from stn_rectify.runtime.sinks.result_sink import Job, ResultSink, cannot_write
from stn_rectify.runtime.sources import CapturedFrame

_BLOCK = 4096  # what the smallest file takes on most disks
_WAITING_SHARE = 0.25  # of a size limit that may be without a name


class SizeLimit:
    """Keeps the files of a folder below a number of bytes: the oldest go first.

    The folder is read once. From then on the files are known by name, so that neither their number nor somebody else
    who removes some of them matters.

    Args:
        folder: exists.
        limit_bytes: what they may take, in whole blocks of 4 KiB.
        pattern: which files may be removed; its group ``time`` sorts them by age. All others stay, and do not count.

    Raises:
        OSError: if the folder cannot be read.

    Attributes:
        limit_bytes: as given.
    """

    def __init__(self, folder: Path, limit_bytes: int, pattern: re.Pattern[str]) -> None:
        self._folder, self.limit_bytes = folder, limit_bytes
        dated_files = []
        with os.scandir(folder) as entries:
            for entry in entries:
                match = pattern.fullmatch(entry.name)
                if match is not None and entry.is_file(follow_symlinks=False):
                    dated_files.append((match["time"], entry.name, _on_disk(entry.stat(follow_symlinks=False).st_size)))
        self._files = OrderedDict((name, size) for _, name, size in sorted(dated_files))
        self._total = sum(self._files.values())

    def add(self, name: str, size_bytes: int) -> None:
        """Counts a file that was written, perhaps anew, as the newest, and removes the oldest ones that are too many.

        Raises:
            OSError: if a file cannot be removed.
        """
        self._total += _on_disk(size_bytes) - self._files.pop(name, 0)
        self._files[name] = _on_disk(size_bytes)
        while self._total > self.limit_bytes and len(self._files) > 1:
            oldest = next(iter(self._files))
            (self._folder / oldest).unlink(missing_ok=True)
            self._total -= self._files.pop(oldest)


def _on_disk(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK) * _BLOCK


_JPEG_QUALITY = 90
_CLOSE_MS = 1000  # times that differ by more do so because the clock was set
_DATED = re.compile(r".+-(?P<time>\d{8}T\d{6}\.\d{3}Z)\.((\d+\.)?rectified\.(png|jpg)|overview\.jpg)")
# What an interrupted run left of our own pictures.
_PARTIAL = re.compile(r"\..+\.((\d+\.)?rectified\.(png|jpg)|overview\.jpg)\.partial")


class SaveSink(ResultSink):
    """Two pictures per frame, and one for each further target.

    ``NAME.rectified.png`` is the rectified image, ``NAME.overview.jpg`` the frame with the target marked
    beside it (see `draw_overview`). A file appears under its name only when it is complete and on the disk itself, so
    that a power cut leaves none half written; what one left under a hidden name is removed by the next run. NAME is
    that of the image, ``photo``, and of its page, ``scan-page2``; of a further image of this name in a run, and of
    frames of a video, with the frame's index, ``clip-000007``; of a further video of this name, ``clip-2-000007``.
    With ``dated`` it is the source's name and the frame's UTC time, so that runs of a camera do not overwrite one
    another's pictures: ``video0-20261122T230841.123Z``. Of several targets the best is ``NAME.rectified.png``, the
    others ``NAME.2.rectified.png`` and so on, the overview marks all of them. Where an earlier run found more in
    the same frame, its pictures of further ones are removed.

    Args:
        folder: made if it does not exist.
        picture_format: of the rectified image, ``"png"`` or ``"jpg"``.
        pace: which results are saved; None saves each.
        dated: whether names have the time in place of the index.
        limit_bytes: what the dated pictures in the folder may take, those of earlier runs included. The oldest are
            removed. Only with ``dated``: other names do not tell their age. None sets no limit.
        commit_s: how long pictures may wait for one another before they are brought to the disk and get their names,
            together, which spares SD cards; in the end none waits any more. 0: each at once.

    Attributes:
        folder: where they are.
        saved: results that were written, those included that wait for their names.

    Raises:
        UsageError: if the folder is a file, or is not there yet and called like an image or a video.
        StnRectifyError: if the folder cannot be made or read.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        picture_format: str = "png",
        pace: Pace | None = None,
        dated: bool = False,
        limit_bytes: int | None = None,
        commit_s: float = 0.0,
    ) -> None:
        commit_s = check_real("commit_s", commit_s, "a number of seconds from 0", least=0)
        folder, dated = check_path("folder", folder), check_flag("dated", dated)
        limit_bytes = None if limit_bytes is None else check_whole("limit_bytes", limit_bytes, 1)
        check_instance("pace", pace, Pace | None, "a Pace or None")
        picture_format = check_choice("picture_format", picture_format, ("png", "jpg"))
        check_folder_name(folder)
        self.folder, self.saved = Path(folder), 0
        self._suffix, self._pace, self._dated = f".{picture_format}", pace or Pace(), dated
        self._captions, self._owners = Captions(), dict[str, int]()  # names of images, and the index of whose they are
        self._last_dated: tuple[int, tuple[str, int, int | None] | None] = (0, None)  # milliseconds, and whose they are
        self._stems = dict[str, tuple[str, int]]()  # what numbers stand behind, whose it is, and its last number
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._commit = GroupCommit(self.folder, commit_s)
            self._commit.remove_orphans(_PARTIAL)
            self._limit = SizeLimit(self.folder, limit_bytes, _DATED) if dated and limit_bytes is not None else None
        except FileExistsError as error:
            raise UsageError(f"{folder} is a file: name a folder for the pictures") from error
        except OSError as error:
            raise cannot_write(str(folder), error) from error

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Saves the result if it is its turn; see `save`."""
        self.write_targets(frame, result, (), None)

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule | None
    ) -> None:
        """Saves the results if it is their turn; see `save`."""
        job = self.job(frame, result, targets, rule)
        if job is not None:
            job()

    def job(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule | None
    ) -> Job | None:
        """Looks whether it is the results' turn; encoding and writing are left."""
        return partial(self._add, frame, result, targets, rule) if self._pace.is_due(frame) else None

    def save(
        self,
        frame: CapturedFrame,
        result: Rectification,
        targets: Sequence[Rectification] = (),
        rule: MissRule | None = None,
    ) -> None:
        """Writes the pictures at once, whatever the pace, and all that wait.

        Args:
            frame: as it is seen through the view.
            result: of the best target, or of a miss.
            targets: all of them, best first.
            rule: says which are drawn as found.

        Raises:
            StnRectifyError: if the pictures cannot be written, for example because the disk is full.
        """
        self._add(frame, result, targets, rule)
        self.commit()

    def settle(self) -> None:
        """Brings the pictures to the disk and gives them their names, where they have waited long enough.

        Raises:
            StnRectifyError: if the disk does not take them.
        """
        if self._commit.is_due:
            self.commit()

    def commit(self) -> None:
        """Brings the pictures to the disk and gives them their names, now.

        Raises:
            StnRectifyError: if the disk does not take them.
        """
        waiting = len(self._commit)  # two of a result, mostly
        try:
            self._commit.commit()
        except OSError as error:
            lost = (waiting + 1) // 2
            self.saved -= lost
            name = error.filename2 or error.filename or self.folder  # rather than the hidden one
            raise cannot_write(str(name), error, lost=lost) from error

    def close(self) -> None:
        """Gives the last pictures their names.

        Raises:
            StnRectifyError: if the disk does not take them.
        """
        self.commit()

    def _add(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule | None
    ) -> None:
        name = self._name(frame)
        quality = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        options = quality if self._suffix == ".jpg" else ()
        self._write_file(f"{name}.rectified{self._suffix}", result.image, options)
        for number, target in enumerate(targets[1:], 2):
            self._write_file(f"{name}.{number}.rectified{self._suffix}", target.image, options)
        self._remove_further(name, max(1, len(targets)) + 1)
        overview = draw_overview(frame.image, result, targets, rule, self._captions.caption(frame))
        self._write_file(f"{name}.overview.jpg", overview, quality)
        self.saved += 1
        self.settle()

    def _name(self, frame: CapturedFrame) -> str:
        """What its pictures are called, up to the first dot that is ours."""
        stem = _file_stem(frame.source)
        if self._dated:
            return f"{stem}-{self._time(frame)}"
        name = stem if frame.page is None else f"{stem}-page{frame.page}"
        if not frame.is_still or self._owners.setdefault(name, frame.index) != frame.index:
            return f"{self._stem_of_numbers(stem, frame)}-{frame.index:06d}"
        return name

    def _time(self, frame: CapturedFrame) -> str:
        """Its time, of which the frames of a video, read faster than it plays, may share one: theirs follow on."""
        moment_ms, whose = round(frame.timestamp * 1000), (frame.source, frame.index, frame.page)
        last_ms, last = self._last_dated
        if whose == last:
            moment_ms = last_ms
        elif 0 <= last_ms - moment_ms < _CLOSE_MS:
            moment_ms = last_ms + 1
        self._last_dated = moment_ms, whose
        return _utc(moment_ms)

    def _stem_of_numbers(self, stem: str, frame: CapturedFrame) -> str:
        """The stem for a video, or for images; another one where that is taken: each video begins at 0."""
        whose, candidate, number = "" if frame.is_still else frame.source, stem, 1
        while candidate in self._stems:
            owner, last = self._stems[candidate]
            if owner == whose and (frame.is_still or frame.index >= last):
                break
            number += 1
            candidate = f"{stem}-{number}"
        self._stems[candidate] = (whose, frame.index)
        return candidate

    def _remove_further(self, name: str, number: int) -> None:
        """Removes the pictures of an earlier run from that target on."""
        path = self.folder / f"{name}.{number}.rectified{self._suffix}"
        try:
            while not self._dated and path.is_file():
                path.unlink()
                number += 1
                path = self.folder / f"{name}.{number}.rectified{self._suffix}"
        except OSError as error:
            raise cannot_write(str(path), error) from error

    def _write_file(self, name: str, image: Image, options: tuple[int, ...]) -> None:
        path = self.folder / name
        encoded = cv2.imencode(path.suffix, image, options)[1]
        try:
            self._commit.write(name, encoded.tobytes())
            if self._limit is not None:
                if self._commit.size_bytes > self._limit.limit_bytes * _WAITING_SHARE:
                    self.commit()  # what has no name yet cannot be removed
                self._limit.add(name, encoded.nbytes)
        except OSError as error:
            raise cannot_write(str(path), error) from error


def check_folder_name(folder: str | PathLike[str]) -> None:
    """Checks that what is to become a folder is not called like a file that somebody wanted.

    Args:
        folder: any name is right for one that is there.

    Raises:
        UsageError: if it is not there, and called like an image or a video.
    """
    name = Path(folder)
    suffix = name.suffix.lower()
    if (called_image(suffix) or suffix in VIDEO_SUFFIXES) and not name.exists():
        raise UsageError(
            f"{name} would be a folder: pictures are saved into one, so name it without {name.suffix}, or make it first"
        )


def _utc(moment_ms: int) -> str:
    """Milliseconds of UTC: summer time would have an hour twice."""
    moment = datetime.fromtimestamp(moment_ms // 1000, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}.{moment_ms % 1000:03d}Z"


def _file_stem(source: str) -> str:
    """The source's last part without suffix, in characters that every file system takes."""
    stem = re.sub(r"[^\w.-]+", "_", PurePath(source).stem)
    return stem.lstrip(".")[:80] or "frame"
