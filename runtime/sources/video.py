"""A video file or stream as frames."""

from __future__ import annotations

import os
import re
from os import PathLike

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.sources.threaded import ThreadedSource

__all__ = ["VideoSource"]

_LIVE = ("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")


class VideoSource(ThreadedSource):
    """A video that OpenCV can decode.

    Every frame of a file is handed over. Of a live stream (RTSP and the like) only the newest is.

    Args:
        video: a file, or a URL.
        timeout_s: longest wait for a frame.

    Raises:
        SourceError: it does not exist or is not a video. While iterating: it is cut short, or the stream
            ended.
    """

    def __init__(self, video: str | PathLike[str], *, timeout_s: float = 30.0) -> None:
        address = os.fspath(video)
        scheme = re.match(r"([a-z][a-z0-9+.-]+)://", address, re.IGNORECASE)
        live = scheme is not None and scheme[1].lower() in _LIVE
        # A stream's user and password must not reach logs and results.
        name = re.sub(r"(?<=://)[^/@]*@", "", address) if scheme else address
        super().__init__(name, live=live, timeout_s=timeout_s)
        if not scheme and not os.path.exists(address):
            raise SourceError(f"video {name} does not exist: check the path")
        if not scheme and os.path.isdir(address):
            raise SourceError(f"video {name} is a folder: name one video in it")
        self._video = cv2.VideoCapture(address, cv2.CAP_FFMPEG)
        if not self._video.isOpened():
            raise SourceError(
                f"cannot open the video {name}: "
                + ("no stream there" if scheme else "it is damaged, or no video that OpenCV reads")
            )
        self._count = 0
        self._end_s = 0.0
        width, height, rate = (
            self._video.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        self._rate = rate
        self.description = f"video {name}: {width:.0f}x{height:.0f} at {rate:.4g} frames/s"

    def _read(self) -> npt.NDArray[np.uint8] | None:
        read, image = self._video.read()
        if read:
            self._count += 1
            self._end_s = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            return np.asarray(image, np.uint8)
        if self._live:
            raise SourceError(f"the stream {self._name} ended after {self._count} frames: start it again")
        self._check_complete()
        return None

    def _position_s(self) -> float | None:
        # Some containers have no times: all frames are at 0 then.
        return None if self._live or (self._count > 1 and self._end_s <= 0) else self._end_s

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
