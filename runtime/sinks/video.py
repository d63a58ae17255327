"""Results as a video."""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_flag, check_path, check_positive, check_real
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.files import text_name
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.overview import Captions, boxed, draw_overview, overview_size
from stn_rectify.runtime.sinks.result_sink import OutputError, ResultSink, cannot_write
from stn_rectify.runtime.sinks.video_file import VideoFile, count_frames
from stn_rectify.runtime.sources import CapturedFrame
from stn_rectify.runtime.sources.addresses import ffmpeg_name

# MPEG-4, which OpenCV's own packages can write; H.264 they cannot.
_FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "XVID", ".mov": "mp4v"}
#: What a video's file name may end with.
VIDEO_SUFFIXES = tuple(_FOURCC)

_LONGEST_GAP_S = 1.0
# What must be left on the disk, so that the video can be ended: FFmpeg's buffer, and an index of some bytes a frame.
_RESERVE_BYTES, _RESERVE_BYTES_PER_FRAME = 16_000_000, 64
_SPARE_BYTES = 4_000_000  # that must be free beyond it before another video is begun
_LOOK_EVERY = 10  # frames


class VideoSink(ResultSink):
    """A video of before/after pictures (see `draw_overview`), of constant size and frame rate.

    The picture is as high as the first frame and twice as wide, later frames of another size are scaled to fit. While
    it is written the file is called ``NAME.partial.mp4``; `close` gives it its name, if it is complete and shows
    something. What a run that was cut off has left becomes ``NAME.recovered.mkv``, where something of it can be
    watched: of an ``.mkv`` or ``.avi`` all but the end, of an ``.mp4`` or ``.mov`` nothing.

    Where the disk gets full the video is ended while there is room for that. The next picture for which there is room
    again begins ``NAME-2.mp4``, if ``numbered``.

    Args:
        file: does not exist yet; its ending is one of `VIDEO_SUFFIXES`.
        framerate: frames per second.
        real_time: repeat or leave out pictures so that the video runs as fast as the clock did, for cameras; gaps
            are cut to a second. Else each result is one picture.
        numbered: where the file exists: whether the video is called ``NAME-2.mp4``, or the next one that is free. A
            file that reaches the size limit of the process (``RLIMIT_FSIZE``) is then followed by the next one.
        commit_s: how often `settle` brings pictures to the disk itself, seconds; None leaves that to the system.
        report: called with a line about a video that was cut off.

    Raises:
        UsageError: if the file exists or has another ending, or an argument is of the wrong type.
        StnRectifyError: if the file cannot be written.
    """

    def __init__(
        self,
        file: str | PathLike[str],
        *,
        framerate: float = 25.0,
        real_time: bool = False,
        numbered: bool = False,
        commit_s: float | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._path = Path(check_path("file", file))
        self._framerate = check_positive("framerate", framerate)
        self._real_time, self._numbered = check_flag("real_time", real_time), check_flag("numbered", numbered)
        self._commit_s = None if commit_s is None else check_real("commit_s", commit_s, "seconds from 0", least=0)
        self._report = report
        if self._path.suffix.lower() not in _FOURCC:
            raise UsageError(f"{file} is no video file to write: its name ends with {', '.join(_FOURCC)}")
        self._file: VideoFile | None = self._claim()
        self._writer: cv2.VideoWriter | None = None
        self._size, self._captions = (0, 0), Captions()
        self._count = 0
        self._clock_s, self._last_s = 0.0, 0.0
        self._committed_s = time.monotonic()
        self._was_full = False

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Adds the picture.

        Raises:
            StnRectifyError: if the picture cannot be written, for example because the disk is full. What was written
                can be watched.
        """
        self._add(frame, draw_overview(frame.image, result, caption=self._captions.caption(frame)))

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Adds the picture; see `write`."""
        self._add(frame, draw_overview(frame.image, result, targets, rule, self._captions.caption(frame)))

    def settle(self) -> None:
        """Brings the pictures to the disk, where ``commit_s`` has passed.

        Raises:
            StnRectifyError: if the disk does not take them.
        """
        now = time.monotonic()
        if self._commit_s is None or self._writer is None or now - self._committed_s < self._commit_s:
            return
        self._committed_s = now
        try:
            self._opened_file().sync()
        except OSError as error:
            raise cannot_write(str(self._path), error) from error

    def close(self) -> None:
        """Ends the video and gives the file its name. Without a picture there is no file.

        Raises:
            StnRectifyError: if the video is not complete, or its file cannot be renamed.
        """
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            try:
                if self._writer is not None:
                    self._writer.release()
                    self._writer = None
                if self._count == 0:
                    file.discard()
                elif self._is_complete(file):
                    file.finish()
                else:  # FFmpeg keeps its errors to itself
                    raise StnRectifyError(
                        f"cannot write {file.path}: the video is not complete; is the disk full? What there is of it "
                        f"is {file.partial}"
                    )
            except OSError as error:
                raise cannot_write(str(file.path), error) from error

    def _claim(self) -> VideoFile:
        try:
            return VideoFile(self._path, numbered=self._numbered, report=self._report)
        except OSError as error:
            raise cannot_write(str(self._path), error) from error

    def _opened_file(self) -> VideoFile:
        if self._file is None:
            self._file = self._claim()
        return self._file

    def _add(self, frame: CapturedFrame, overview: Image) -> None:
        if self._writer is None:
            self._begin(frame)
        for _ in range(self._due(frame)):
            if self._count % _LOOK_EVERY == 0 and not self._has_room():
                self.close()
                self._begin(frame)
            assert self._writer is not None, "`_begin` has opened it"
            self._writer.write(boxed(overview, self._size))
            self._count += 1
        self.settle()

    def _begin(self, frame: CapturedFrame) -> None:
        """Begins a video with this frame. Raises StnRectifyError, also where there is no room for one."""
        file = self._opened_file()
        self._count, self._clock_s, self._last_s = 0, 0.0, frame.timestamp
        self._check_disk(spare_bytes=_SPARE_BYTES if self._was_full else 0)
        self._was_full = False
        width, height = overview_size(frame.image)
        self._size = (width, height + height % 2)  # the codec halves the colours' resolution
        fourcc = cv2.VideoWriter.fourcc(*_FOURCC[self._path.suffix.lower()])
        try:
            with text_name(file.partial) as name:
                writer = cv2.VideoWriter(ffmpeg_name(name), cv2.CAP_FFMPEG, fourcc, self._framerate, self._size)
        except OSError as error:
            raise cannot_write(str(file.path), error) from error
        if not writer.isOpened():
            raise StnRectifyError(f"cannot write {file.path}: this OpenCV writes no such video; try another ending")
        self._writer = writer

    def _due(self, frame: CapturedFrame) -> int:
        """Gives how many times the picture is written: in real time, until the time of its frame is reached."""
        if not self._real_time:
            return 1
        self._clock_s += min(max(frame.timestamp - self._last_s, 0.0), _LONGEST_GAP_S)  # Unix time may be set back
        self._last_s = frame.timestamp
        return max(0, round(self._clock_s * self._framerate) + 1 - self._count)

    def _has_room(self) -> bool:
        """Tells whether the file may grow. Raises StnRectifyError, with the video ended, where it may not go on."""
        try:
            self._check_disk()
            self._check_size()
        except OutputError as error:
            if self._numbered and self._count and error.errno == errno.EFBIG:
                return False
            self._was_full = error.is_full
            self._end_after(error)
            raise
        return True

    def _end_after(self, error: StnRectifyError) -> None:
        """Ends the video; what goes wrong with that belongs to the same line."""
        try:
            self.close()
        except StnRectifyError as other:
            raise error from other

    def _check_disk(self, *, spare_bytes: int = 0) -> None:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError as error:
            raise cannot_write(str(self._path), error) from error
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes() + spare_bytes:
            raise cannot_write(str(self._path), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _check_size(self) -> None:
        largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            size_bytes = self._opened_file().size_bytes  # also whether it is still there
        except OSError as error:
            raise cannot_write(str(self._path), error) from error
        if largest not in (resource.RLIM_INFINITY, -1) and size_bytes + self._reserve_bytes() > largest:
            raise cannot_write(str(self._path), OSError(errno.EFBIG, os.strerror(errno.EFBIG)))

    def _reserve_bytes(self) -> int:
        return _RESERVE_BYTES + _RESERVE_BYTES_PER_FRAME * self._count

    def _is_complete(self, file: VideoFile) -> bool:
        frames = count_frames(file.partial)
        return frames > 0 and abs(frames - self._count) <= self._count / 50  # some containers only estimate it
