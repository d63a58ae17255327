"""A video file or stream as frames."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from os import PathLike

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.files import is_text, text_name
from stn_rectify.runtime.sources.threaded import ThreadedSource

#: What stands for a secret of a URL in a printed configuration.
HIDDEN = "***"

_LIVE = ("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
_WEB = ("http", "https")
_MARGIN_MS = 500  # whoever waits for a frame shall say so before FFmpeg does


class VideoSource(ThreadedSource):
    """A video that OpenCV can decode.

    Every frame of a file is handed over, also of one behind an HTTP address. Of a live stream only the newest is: RTSP
    and the like, and what comes by HTTP without a length, as from cameras that serve MJPEG. For a stream that may be
    lost see `ReconnectingSource`.

    Args:
        video: a file, or a URL.
        timeout_s: longest wait for a frame, and for a stream to open.

    Raises:
        SourceError: if the file does not exist or is not a video. While iterating: it is cut short, or the stream
            ended.
    """

    def __init__(self, video: str | PathLike[str], *, timeout_s: float = 10.0) -> None:
        address = os.fspath(video)
        scheme = address.partition("://")[0].lower() if is_url(address) else None
        name = without_secrets(address)
        super().__init__(name, live=scheme in _LIVE, timeout_s=timeout_s)
        if not scheme and not os.path.exists(address):
            raise SourceError(f"video {name} does not exist: check the path")
        if not scheme and os.path.isdir(address):
            raise SourceError(f"video {name} is a folder: name one video in it")
        limit_ms = int(timeout_s * 1000) + _MARGIN_MS
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms] if scheme else []
        if scheme and not is_text(address):
            raise SourceError(f"the URL {name} is not Unicode text: write the other bytes as %XX")
        try:
            with nullcontext(address) if scheme else text_name(address) as text:
                self._video = cv2.VideoCapture(text, cv2.CAP_FFMPEG, limits)
        except OSError as error:
            raise SourceError(f"cannot open the video {name}: {error.strerror or error}") from error
        if not self._video.isOpened():
            raise SourceError(
                f"cannot open the video {name}: "
                + (
                    "no stream comes from there; see that it is sent, and that user and password are right"
                    if scheme
                    else "it is damaged, or no video that OpenCV reads"
                )
            )
        if scheme in _WEB:
            self.is_live = self._video.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        self._count = 0
        self._end_s = 0.0
        width, height, rate = (
            self._video.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        self._rate = rate
        self.framerate = rate if rate > 0 else None
        self.description = f"video {name}: {width:.0f}x{height:.0f} at {rate:.4g} frames/s"

    def _read(self) -> Image | None:
        read, image = self._video.read()
        if read:
            self._count += 1
            self._end_s = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            return np.asarray(image, np.uint8)
        if self.is_live:
            raise SourceError(f"the stream {self._name} ended after {self._count} frames: see that it is sent")
        self._check_complete()
        return None

    def _position_s(self) -> float | None:
        # Some containers have no times: all frames are at 0 then.
        return None if self.is_live or (self._count > 1 and self._end_s <= 0) else self._end_s

    def _check_complete(self) -> None:
        """Containers only estimate their number of frames, so time decides: is the end near the duration?"""
        if self._count == 0:
            raise SourceError(f"video {self._name} has no readable frame: it is damaged, copy it again")
        expected = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        duration_s = expected / self._rate if self._rate > 0 and expected > 0 else 0.0
        missing = self._count < expected - 2 and self._end_s < 0.98 * duration_s - 2 / max(self._rate, 1)
        if missing:
            raise SourceError(
                f"video {self._name} is cut short: {self._count} of {expected:.0f} frames could be read; copy it again"
            )

    def _release(self) -> None:
        self._video.release()


def is_url(address: str) -> bool:
    """Tells whether a text is a URL, and not the name of a file."""
    return re.match(r"[a-z][a-z0-9+.-]+://", address, re.IGNORECASE) is not None


def without_secrets(address: str, *, user: str = "", query: str = "...") -> str:
    """A URL for logs and results; the name of a file stays as it is.

    Args:
        address: a URL or a file.
        user: stands for user and password, up to the @.
        query: stands for what follows a question mark.
    """
    if not is_url(address):
        return address
    public = re.sub(r"(?<=://).*@", user, address, flags=re.DOTALL)
    return re.sub(r"\?.*", f"?{query}", public, flags=re.DOTALL)
