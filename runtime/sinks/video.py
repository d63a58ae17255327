"""Results as a video."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_flag, check_path, check_positive
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.files import text_name
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.overview import Captions, boxed, draw_overview, overview_size
from stn_rectify.runtime.sinks.result_sink import ResultSink, cannot_write
from stn_rectify.runtime.sources import CapturedFrame
from stn_rectify.runtime.sources.addresses import ffmpeg_name

# MPEG-4, which OpenCV's own packages can write; H.264 they cannot.
_FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "XVID", ".mov": "mp4v"}
#: What a video's file name may end with.
VIDEO_SUFFIXES = tuple(_FOURCC)

_LONGEST_GAP_S = 1.0
# What must be left on the disk, so that the video can be ended: FFmpeg's buffer, and an index of some bytes a frame.
_RESERVE_BYTES, _RESERVE_BYTES_PER_FRAME = 16_000_000, 64
_LOOK_EVERY = 10  # frames


class VideoSink(ResultSink):
    """A video of before/after pictures (see `draw_overview`), of constant size and frame rate.

    The picture is as high as the first frame and twice as wide, later frames of another size are scaled to fit. While
    it is written the file is called ``NAME.partial.mp4``; `close` gives it its name. After a power cut an ``.mkv`` or
    ``.avi`` can be watched under that name, an ``.mp4`` or ``.mov`` cannot.

    Args:
        file: does not exist yet; its ending is one of `VIDEO_SUFFIXES`.
        framerate: frames per second.
        real_time: repeat or leave out pictures so that the video runs as fast as the clock did, for cameras; gaps
            are cut to a second. Else each result is one picture.

    Raises:
        UsageError: if the file exists or has another ending, or an argument is of the wrong type.
        StnRectifyError: if the file cannot be written.
    """

    def __init__(self, file: str | PathLike[str], *, framerate: float = 25.0, real_time: bool = False) -> None:
        self._path = Path(check_path("file", file))
        self._framerate = check_positive("framerate", framerate)
        self._real_time = check_flag("real_time", real_time)
        if self._path.suffix.lower() not in _FOURCC:
            raise UsageError(f"{file} is no video file to write: its name ends with {', '.join(_FOURCC)}")
        if self._path.exists():
            raise UsageError(f"{file} exists: remove it, or choose another name")
        # FFmpeg takes the format from the ending.
        self._partial = self._path.with_name(f"{self._path.stem}.partial{self._path.suffix}")
        try:
            if self._partial.exists() and self._partial.stat().st_size:
                raise UsageError(f"{self._partial} is of a run that was cut off: rename or remove it")
            self._partial.touch()
        except OSError as error:
            raise cannot_write(str(file), error) from error
        self._writer: cv2.VideoWriter | None = None
        self._size, self._captions = (0, 0), Captions()
        self._count = 0
        self._clock_s, self._last_s = 0.0, 0.0

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

    def _add(self, frame: CapturedFrame, overview: Image) -> None:
        if self._writer is None:
            self._writer = self._open(frame)
        picture = boxed(overview, self._size)
        for _ in range(self._due(frame)):
            if self._count % _LOOK_EVERY == 0:
                self._check_room()
            self._writer.write(picture)
            self._count += 1

    def close(self) -> None:
        """Ends the video and gives the file its name. Without a picture there is no file.

        Raises:
            StnRectifyError: if the video is not complete, or its file cannot be renamed.
        """
        try:
            if self._writer is None:
                if self._count == 0:
                    self._partial.unlink(missing_ok=True)
                return
            self._writer.release()
            self._writer = None
            if not self._is_complete():  # FFmpeg keeps its errors to itself
                raise StnRectifyError(
                    f"cannot write {self._path}: the video is not complete; is the disk full? What there is of it is "
                    f"{self._partial}"
                )
            self._partial.rename(self._path)
        except OSError as error:
            raise cannot_write(str(self._path), error) from error

    def _open(self, frame: CapturedFrame) -> cv2.VideoWriter:
        width, height = overview_size(frame.image)
        self._size = (width, height + height % 2)  # the codec halves the colours' resolution
        fourcc = cv2.VideoWriter.fourcc(*_FOURCC[self._path.suffix.lower()])
        try:
            with text_name(self._partial) as name:
                writer = cv2.VideoWriter(ffmpeg_name(name), cv2.CAP_FFMPEG, fourcc, self._framerate, self._size)
        except OSError as error:
            raise cannot_write(str(self._path), error) from error
        if not writer.isOpened():
            raise StnRectifyError(f"cannot write {self._path}: this OpenCV writes no such video; try another ending")
        self._last_s = frame.timestamp
        return writer

    def _due(self, frame: CapturedFrame) -> int:
        """Gives how many times the picture is written: in real time, until the time of its frame is reached."""
        if not self._real_time:
            return 1
        self._clock_s += min(max(frame.timestamp - self._last_s, 0.0), _LONGEST_GAP_S)  # Unix time may be set back
        self._last_s = frame.timestamp
        return max(0, round(self._clock_s * self._framerate) + 1 - self._count)

    def _check_room(self) -> None:
        reserve = _RESERVE_BYTES + _RESERVE_BYTES_PER_FRAME * self._count
        try:
            disk = os.statvfs(self._path.parent)
            size = self._partial.stat().st_size
        except OSError as error:
            raise cannot_write(str(self._path), error) from error
        if disk.f_bavail * disk.f_frsize < reserve:
            raise cannot_write(str(self._path), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if largest not in (resource.RLIM_INFINITY, -1) and size + reserve > largest:
            raise cannot_write(str(self._path), OSError(errno.EFBIG, os.strerror(errno.EFBIG)))

    def _is_complete(self) -> bool:
        with text_name(self._partial) as name:
            video = cv2.VideoCapture(ffmpeg_name(name), cv2.CAP_FFMPEG)
        frames = video.get(cv2.CAP_PROP_FRAME_COUNT) if video.isOpened() else 0
        video.release()
        return abs(frames - self._count) <= 2 + self._count / 50  # some containers only estimate it
