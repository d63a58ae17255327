"""A video file or stream as frames."""

from __future__ import annotations

import os
import re
from os import PathLike

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_path, check_positive
from stn_rectify.runtime.errors import SourceError, UsageError
from stn_rectify.runtime.files import is_text, open_file, text_name
from stn_rectify.runtime.images.kinds import LONGEST_FOREIGN_START, VIDEO_SUFFIXES, foreign_kind, what_to_do
from stn_rectify.runtime.sources.addresses import ffmpeg_name, local_file, scheme_of, without_secrets
from stn_rectify.runtime.sources.containers import Container, read_container
from stn_rectify.runtime.sources.streams import (
    Snapshots,
    cause_of_silence,
    foreign_web_kind,
    gives_snapshots,
    web_container,
)
from stn_rectify.runtime.sources.threaded import ThreadedSource

_LIVE = ("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
_WEB = ("http", "https")
_MARGIN_MS = 500  # whoever waits for a frame shall say so before FFmpeg does

_NEITHER = "neither an image nor a video that can be read here"
_NO_VIDEO = "it is damaged, or no video that OpenCV reads"


class VideoSource(ThreadedSource):
    """A video that OpenCV can decode, or an address that gives a picture each time it is asked.

    Every frame of a file is handed over, also of one behind an HTTP address. Of a live stream only the newest is: RTSP
    and the like, and what comes by HTTP without a length, as from cameras that serve MJPEG. An HTTP address of a single
    picture is polled. For a stream that may be lost see `ReconnectingSource`.

    Args:
        video: a file, or a URL.
        timeout_s: longest wait for a frame, and for a stream to open.
        framerate: how often the address of a single picture is asked, frames per second; None is twice a second.

    Raises:
        SourceError: if the file does not exist or is not a video, or no frame comes from the stream; the server is
            asked why. While iterating: it is cut short, or the stream ended.
        UsageError: if there is a ``framerate``, but no address of single pictures.
    """

    def __init__(self, video: str | PathLike[str], *, timeout_s: float = 10.0, framerate: float | None = None) -> None:
        self._address = local_file(os.fspath(check_path("video", video, is_address=True)))
        timeout_s = check_positive("timeout_s", timeout_s)
        framerate = None if framerate is None else check_positive("framerate", framerate)
        self._scheme = scheme_of(self._address)
        name = without_secrets(self._address)
        super().__init__(name, live=self._scheme in _LIVE, timeout_s=timeout_s)
        if not self._scheme and not os.path.exists(self._address):
            raise SourceError(f"video {name} does not exist: check the path")
        if not self._scheme and os.path.isdir(self._address):
            raise SourceError(f"video {name} is a folder: name one video in it")
        if self._scheme and not is_text(self._address):
            raise SourceError(f"the URL {name} is not Unicode text: write the other bytes as %XX")
        if self._scheme in _WEB:
            kind = foreign_web_kind(self._address, timeout_s=timeout_s)
        else:
            kind = None if self._scheme else foreign_kind(_start_of(self._address))
        if kind is not None:
            raise SourceError(f"cannot read {name}: it is {kind}")
        self._count = 0
        self._end_s = 0.0
        self._snapshots: Snapshots | None = None
        self._container = Container() if self._scheme else read_container(self._address)
        self._video = cv2.VideoCapture()
        if framerate is not None:
            if self._scheme not in _WEB or not gives_snapshots(self._address, timeout_s=timeout_s):
                raise UsageError(
                    f"{name} has a frame rate of its own: leave framerate (--framerate) out, which is for cameras and "
                    "HTTP addresses of single pictures"
                )
            self._poll(framerate)
        else:
            self._open()
        self._first: Image | None = None
        first = self._first = self._first_frame()
        height, width = first.shape[:2]
        rate = f" at {self.framerate:.4g} frames/s" if self.framerate else ""
        polled = ", one picture after the other" if self._snapshots else ""
        self.description = f"video {name}: {width}x{height}{rate}{polled}"

    def _open(self) -> None:
        limit_ms = int(self._timeout_s * 1000) + _MARGIN_MS
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        # Versions of OpenCV differ in both: whether the graphics processor decodes, whether pictures are turned.
        asked = [*(limits if self._scheme else []), cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE]
        if self._scheme:
            self._video.open(self._address, cv2.CAP_FFMPEG, asked)
        else:
            try:
                with text_name(self._address) as text:
                    self._video.open(ffmpeg_name(text), cv2.CAP_FFMPEG, asked)
            except OSError as error:
                raise SourceError(f"cannot open the video {self._name}: {error.strerror or error}") from error
        self._video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # 4.11 has it off, and takes it from nowhere but here
        rate = self._video.get(cv2.CAP_PROP_FPS)
        self._rate = rate if rate > 0 else 0.0
        if self._scheme in _WEB:
            self.is_live = self._video.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        # Pictures that come one by one over HTTP tell no rate, and FFmpeg calls it 25 frames/s.
        is_made_up = self._scheme in _WEB and self.is_live and self._codec() == "MJPG"
        self.framerate = None if is_made_up else self._rate or None

    def _poll(self, framerate: float | None = None) -> None:
        """Takes single pictures from now on."""
        wait_s = self._timeout_s
        self._snapshots = Snapshots(self._address, framerate=framerate, timeout_s=wait_s)
        self.is_live, self.framerate, self._rate = True, self._snapshots.framerate, self._snapshots.framerate
        self._timeout_s += 1 / self._snapshots.framerate

    def _first_frame(self) -> Image:
        """Of a file or a stream that is opened; another one may be opened without a picture ever coming."""
        is_open = self._video.isOpened()
        if self._scheme in _WEB and not self._snapshots:
            is_single = self._video.get(cv2.CAP_PROP_FRAME_COUNT) == 1 if is_open else True
            if is_single:
                self._video.release()  # cameras may serve one viewer only
                if gives_snapshots(self._address, timeout_s=self._timeout_s):
                    self._poll()
                elif is_open:
                    self._open()
        first = self._next_frame()
        if first is not None:
            return first
        if self._scheme:
            self._video.release()
            cause = cause_of_silence(self._address, timeout_s=self._timeout_s)
            raise SourceError(f"cannot open the video {self._name}: {cause}")
        if is_open:
            raise SourceError(f"video {self._name} has no readable frame: {self._no_frame_cause()}")
        if self._container.is_cut:
            raise SourceError(f"cannot open the video {self._name}: it is cut short, copy it again")
        suffix = os.path.splitext(self._address)[1].lower()
        if self._container == Container() and suffix not in VIDEO_SUFFIXES:
            raise SourceError(f"cannot read {self._name}: {_what_else(_start_of(self._address), suffix)}")
        raise SourceError(f"cannot open the video {self._name}: {_NO_VIDEO}")

    def _read(self) -> Image | None:
        first, self._first = self._first, None
        image = self._next_frame() if first is None else first
        if image is not None or self._stopping:
            return image
        if self._count == 1 and self._scheme in _WEB and gives_snapshots(self._address, timeout_s=self._timeout_s):
            self._poll()  # of a server that does not say how long its answer is
            return self._next_frame()
        if self.is_live:
            raise SourceError(f"the stream {self._name} ended after {self._count} frames: see that it is sent")
        self._check_complete()
        return None

    def _next_frame(self) -> Image | None:
        if self._snapshots is not None:
            image = self._snapshots.read(lambda: self._stopping)
        else:
            read, decoded = self._video.read()
            image = self._upright(np.asarray(decoded, np.uint8)) if read else None
            # Far below 0: it has no times.
            self._end_s = max(0.0, self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000) if read else self._end_s
        self._count += image is not None
        return image

    def _position_s(self) -> float | None:
        # Some containers have no times: all frames are at 0 then.
        return None if self.is_live or (self._count > 1 and self._end_s <= 0) else self._end_s

    def _upright(self, image: Image) -> Image:
        """What OpenCV has turned, but not mirrored."""
        if not self._container.is_mirrored:
            return image
        quarters = round(self._video.get(cv2.CAP_PROP_ORIENTATION_META) / 90)
        return np.asarray(cv2.flip(image, quarters % 2), np.uint8)  # up and down if upright, else left and right

    def _check_complete(self) -> None:
        """Is the end of the pictures that of the file?

        OpenCV knows the length of the longest stream, which may be the sound, or estimates it. So pictures that end
        early are missing only if the file ends early, too, or if it does not tell; and a file that ends early is an
        error only if pictures are missing, or if it does not tell how many there were.
        """
        expected = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        duration_s = expected / self._rate if self._rate > 0 and expected > 0 else 0.0
        missing = self._count < expected - 2 and self._end_s < 0.98 * duration_s - 2 / max(self._rate, 1)
        if missing and self._scheme in _WEB:
            self._container = web_container(self._address, timeout_s=self._timeout_s)
        is_cut, is_long = self._container.is_cut, self._container.stores_length
        if (missing and is_cut is None) or (is_cut and (missing or not is_long)):
            frames = f"{self._count} of {expected:.0f} frames" if missing else f"{self._count} frames"
            raise SourceError(f"video {self._name} is cut short: {frames} could be read; copy it again")

    def _no_frame_cause(self) -> str:
        if self._container.is_cut:
            return "it is cut short, copy it again"
        return (
            f"it is damaged, or this OpenCV cannot decode its codec {self._codec()!r}; copy it again, or convert it to "
            "H.264 (ffmpeg -i OLD -c:v libx264 NEW.mp4)"
        )

    def _codec(self) -> str:
        code = int(self._video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True)
        return code.decode("ascii", "replace").strip("\0 ")

    def _release(self) -> None:
        self._video.release()


def _start_of(file: str) -> bytes:
    """The first bytes of a regular file; none of what cannot be read, about which FFmpeg is asked."""
    if not os.path.isfile(file):
        return b""
    try:
        with open_file(file) as opened:
            return opened.read(LONGEST_FOREIGN_START)
    except OSError:
        return b""


def _what_else(start: bytes, suffix: str) -> str:
    """What a file is, by its beginning and its suffix, out of which FFmpeg makes nothing."""
    remedy = what_to_do(suffix)
    if remedy:
        return f"it is {_NEITHER} ({remedy})"
    if not start:
        return "it is empty"
    is_written = not re.search(rb"[^\t\n\f\r -~\x80-\xff]", start)
    return f"it is {'text, ' if is_written else ''}{_NEITHER}"
