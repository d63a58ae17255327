"""A camera of Linux (V4L2) as frames, through OpenCV."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_path, check_positive, check_text, check_whole
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.sources.camera_format import CameraFormat, as_bgr_frame, negotiate
from stn_rectify.runtime.sources.threaded import ThreadedSource
from stn_rectify.runtime.sources.v4l2 import list_v4l2_cameras

_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
_WAIT_NS = 100_000_000  # how soon `stop` is noticed
_FAILING_S = 1.0  # one lost buffer or broken picture is no reason to give up; a second without a good one is
_PAUSE_S = 0.05  # an unplugged camera fails at once, again and again
# Where udev keeps links that stay the same whatever number a camera gets; by-id also follows it to another socket.
_LINK_FOLDERS = ("/dev/v4l/by-id", "/dev/v4l/by-path")


class CameraSource(ThreadedSource):
    """The newest frames of a V4L2 camera. For a camera that may be lost see `ReconnectingSource`.

    Args:
        camera: its number, its device such as ``"/dev/video0"``, or ``"auto"`` for the first capture device.
        width: asked of the camera, pixels. It may choose another size; `description` says which.
        height: asked of the camera, pixels.
        framerate: asked of the camera, frames per second; None leaves it.
        fourcc: pixel format such as ``"YUYV"`` or ``"MJPG"``; ``"auto"`` takes the first that gives what is asked for.
        timeout_s: longest wait for a frame.

    Attributes:
        link: a name for this camera that stays the same when it gets another number; its device where there is none.
        fourcc: the pixel format it delivers.

    Raises:
        SourceError: if there is no such camera, it may not be opened, or it gives no usable frame. While iterating:
            it stopped delivering.
        UsageError: if ``fourcc`` does not have four letters.
    """

    def __init__(
        self,
        camera: int | str = "auto",
        *,
        width: int = 640,
        height: int = 480,
        framerate: float | None = None,
        fourcc: str = "auto",
        timeout_s: float = 5.0,
    ) -> None:
        width, height = check_whole("width", width, 1), check_whole("height", height, 1)
        framerate = None if framerate is None else check_positive("framerate", framerate)
        fourcc, timeout_s = check_text("fourcc", fourcc), check_positive("timeout_s", timeout_s)
        is_named = isinstance(camera, str | bytes | os.PathLike)
        camera = os.fspath(check_path("camera", camera)) if is_named else check_whole("camera", camera, 0)
        asked = CameraFormat(width, height, framerate, fourcc)
        self._device = _device(camera)
        super().__init__(self._device, live=True, timeout_s=timeout_s)
        # Without it OpenCV waits 10 s for the first frame. It reads the variable when a camera is opened.
        os.environ.setdefault(_SELECT_TIMEOUT, "2")
        self.link = _link(self._device)
        opened = negotiate(self._device, asked)
        self._camera, self._size = opened.capture, opened.size
        self.fourcc, self.framerate = opened.fourcc, opened.framerate
        self.description = f"camera {camera}: {_card(self._device)}, {opened.describe(asked)}"

    def _read(self) -> Image | None:
        failing_since: float | None = None
        while not self._stopping:
            try:
                # Not read(), which waits for 2 s and cannot be stopped; this grabs a frame, too.
                if not cv2.VideoCapture.waitAny([self._camera], _WAIT_NS)[0]:
                    continue
                read, raw = self._camera.retrieve()
            except cv2.error:  # the driver has given up
                read, raw = False, None
            frame = as_bgr_frame(raw, *self._size) if read else None
            if frame is not None:
                return frame
            if not os.path.exists(self._device):
                raise SourceError(f"camera {self._device} was unplugged: connect it again")
            failing_since = failing_since or time.monotonic()
            if time.monotonic() - failing_since > _FAILING_S:
                raise SourceError(f"camera {self._device} stopped delivering frames: connect it again or restart it")
            time.sleep(_PAUSE_S)
        return None

    def _release(self) -> None:
        self._camera.release()


def _device(camera: int | str) -> str:
    """The device's path; numbers may be given as text."""
    if camera == "auto":
        cameras = list_v4l2_cameras()
        if not cameras:
            raise SourceError("no camera found: connect one, and see that this user is in the group video")
        device = cameras[0].device
    else:
        device = f"/dev/video{int(camera)}" if str(camera).isdecimal() else str(camera)
    if not os.path.exists(device):
        names = ", ".join(f"{c.device} ({c.name})" for c in list_v4l2_cameras()) or "none"
        raise SourceError(f"camera {device} does not exist (found: {names}): connect it, or name another one")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(f"camera {device} may not be opened: add this user to the group video and log in again")
    return device


def _link(device: str) -> str:
    target = os.path.realpath(device)
    links = (link for folder in _LINK_FOLDERS for link in sorted(Path(folder).glob("*")))
    return next((str(link) for link in links if os.path.realpath(link) == target), device)


def _card(device: str) -> str:
    """The name that the kernel has for a device, which may be a link such as /dev/v4l/by-id/…"""
    try:
        return (Path("/sys/class/video4linux") / Path(device).resolve().name / "name").read_text().strip()
    except OSError:
        return device
