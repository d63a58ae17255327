"""A video file or stream as frames."""

from __future__ import annotations

import os
from os import PathLike

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.sources.addresses import ffmpeg_name, is_url, without_secrets
from stn_rectify.runtime.sources.containers import Container, read_container
from stn_rectify.runtime.sources.threaded import ThreadedSource

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
        self._container = Container() if scheme else read_container(address)
        # Versions of OpenCV differ in both: whether the graphics processor decodes, whether pictures are turned.
        limits += [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE]
        self._video = cv2.VideoCapture(address if scheme else ffmpeg_name(address), cv2.CAP_FFMPEG, limits)
        self._video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # 4.11 has it off, and takes it from nowhere but here
        if not self._video.isOpened():
            raise SourceError(
                f"cannot open the video {name}: "
                + (
                    "no stream comes from there; see that it is sent, and that user and password are right"
                    if scheme
                    else "it is cut short, copy it again"
                    if self._container.is_cut
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
            self._end_s = max(0.0, self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000)  # far below 0: it has none
            return self._upright(np.asarray(image, np.uint8))
        if self.is_live:
            raise SourceError(f"the stream {self._name} ended after {self._count} frames: see that it is sent")
        self._check_complete()
        return None

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
        if self._count == 0:
            raise SourceError(f"video {self._name} has no readable frame: {self._no_frame_cause()}")
        expected = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
        duration_s = expected / self._rate if self._rate > 0 and expected > 0 else 0.0
        missing = self._count < expected - 2 and self._end_s < 0.98 * duration_s - 2 / max(self._rate, 1)
        is_cut, is_long = self._container.is_cut, self._container.stores_length
        if (missing and is_cut is None) or (is_cut and (missing or not is_long)):
            frames = f"{self._count} of {expected:.0f} frames" if missing else f"{self._count} frames"
            raise SourceError(f"video {self._name} is cut short: {frames} could be read; copy it again")

    def _no_frame_cause(self) -> str:
        if self._container.is_cut:
            return "it is cut short, copy it again"
        codec = int(self._video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True)
        name = codec.decode("ascii", "replace").strip("\0 ")
        return (
            f"it is damaged, or this OpenCV cannot decode its codec {name!r}; copy it again, or convert it to H.264 "
            "(ffmpeg -i OLD -c:v libx264 NEW.mp4)"
        )

    def _release(self) -> None:
        self._video.release()
