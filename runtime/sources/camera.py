"""A camera of Linux (V4L2) as frames, through OpenCV."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import SourceError, UsageError
from stn_rectify.runtime.sources.threaded import ThreadedSource
from stn_rectify.runtime.sources.v4l2 import list_cameras

__all__ = ["CameraSource", "as_bgr_frame"]

_AUTO_FOURCC = ("YUYV", "MJPG", None)  # None: what the driver proposes
_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
_ATTEMPTS = 3


class CameraSource(ThreadedSource):
    """The newest frames of a camera.

    Args:
        camera: its number, its device such as ``"/dev/video0"``, or ``"auto"`` for the first capture device.
        width: asked of the camera, pixels. It may choose another size; `description` says which.
        height: asked of the camera, pixels.
        framerate: asked of the camera, frames per second; None leaves it.
        fourcc: pixel format such as ``"YUYV"`` or ``"MJPG"``; ``"auto"`` takes the first that gives usable
            frames.
        timeout_s: longest wait for a frame.

    Raises:
        SourceError: there is no such camera, it may not be opened, or gives no usable frame. While iterating:
            it stopped delivering.
        UsageError: ``fourcc`` does not have four letters.
    """

    def __init__(
        self,
        camera: int | str = "auto",
        *,
        width: int = 640,
        height: int = 480,
        framerate: float | None = None,
        fourcc: str = "auto",
        timeout_s: float = 10.0,
    ) -> None:
        if fourcc != "auto" and len(fourcc) != 4:
            raise UsageError(f"fourcc is {fourcc!r}: give four letters such as YUYV, or auto")
        self._device = _device(camera)
        super().__init__(self._device, live=True, timeout_s=timeout_s)
        # Without it OpenCV waits 10 s for a camera that has stopped. It reads the variable when a camera is
        # opened.
        os.environ.setdefault(_SELECT_TIMEOUT, "2")
        self._camera, self._shape = self._negotiate(fourcc, width, height, framerate)
        self.description = self._describe(camera, (width, height), fourcc)

    def _negotiate(
        self, fourcc: str, width: int, height: int, framerate: float | None
    ) -> tuple[cv2.VideoCapture, tuple[int, ...]]:
        """The camera with the first format that gives the size asked for, else with the first usable one."""
        usable = []
        for candidate in _AUTO_FOURCC if fourcc == "auto" else (fourcc,):
            capture = _open(self._device, candidate, width, height, framerate)
            frame = _usable_frame(capture)
            if frame is not None and frame.shape[:2] == (height, width):
                return capture, frame.shape
            capture.release()
            if frame is not None:
                usable.append((candidate, frame.shape))
        if not usable:
            raise SourceError(
                f"camera {self._device} gives no usable frame at {width}x{height}, format {fourcc}: another "
                "program may be using it, or try another format or size; --list-cameras shows what it offers"
            )
        candidate, shape = usable[0]
        return _open(self._device, candidate, width, height, framerate), shape

    def _describe(self, camera: int | str, asked_size: tuple[int, int], asked_fourcc: str) -> str:
        size, fourcc = (self._shape[1], self._shape[0]), _delivered_fourcc(self._camera)
        rate = self._camera.get(cv2.CAP_PROP_FPS)
        asked = [f"{asked_size[0]}x{asked_size[1]}"] if size != asked_size else []
        asked += [asked_fourcc] if asked_fourcc not in ("auto", fourcc) else []
        return (
            f"camera {camera}: {_card(self._device)}, {size[0]}x{size[1]} {fourcc}"
            + (f" at {rate:.4g} frames/s" if rate > 0 else "")
            + (f" (asked for {' '.join(asked)})" if asked else "")
        )

    def _read(self) -> npt.NDArray[np.uint8] | None:
        # An unplugged camera fails at once and for ever; a single lost buffer is no reason to give up.
        for _ in range(_ATTEMPTS):
            read, raw = self._camera.read()
            frame = as_bgr_frame(raw, self._shape[1], self._shape[0]) if read else None
            if frame is not None:
                return frame
            if self._stopping:
                return None
            if not os.path.exists(self._device):
                raise SourceError(f"camera {self._device} was unplugged: connect it and start again")
            time.sleep(0.05)
        raise SourceError(f"camera {self._device} stopped delivering frames: connect it again or restart it")

    def _release(self) -> None:
        self._camera.release()


def as_bgr_frame(raw: object, width: int, height: int) -> npt.NDArray[np.uint8] | None:
    """What OpenCV's V4L2 reader delivered, as BGR [H, W, 3] or grey [H, W]; None if it is not a whole frame.

    For the format BGR3 OpenCV hands the bytes over unshaped, as (1, H·W·3).
    """
    if not isinstance(raw, np.ndarray) or raw.dtype != np.uint8:
        return None
    if raw.shape in ((height, width, 3), (height, width)):
        return raw
    if raw.size == height * width * 3 and 1 in raw.shape[:2]:
        return raw.reshape(height, width, 3)
    return None


def _device(camera: int | str) -> str:
    """The device's path; numbers may be given as text."""
    if camera == "auto":
        cameras = list_cameras()
        if not cameras:
            raise SourceError("no camera found: connect one, and see that this user is in the group video")
        return cameras[0].device
    device = f"/dev/video{int(camera)}" if str(camera).isdecimal() else str(camera)
    if not os.path.exists(device):
        found = ", ".join(f"{c.device} ({c.name})" for c in list_cameras()) or "none"
        raise SourceError(f"camera {device} does not exist (found: {found}): connect it, or name another one")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(f"camera {device} may not be opened: add this user to the group video and log in again")
    return device


def _open(device: str, fourcc: str | None, width: int, height: int, framerate: float | None) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if fourcc is not None:  # first: sizes and rates depend on it
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if framerate is not None:
        capture.set(cv2.CAP_PROP_FPS, framerate)
    return capture


def _usable_frame(capture: cv2.VideoCapture) -> npt.NDArray[np.uint8] | None:
    if not capture.isOpened():
        return None
    read, raw = capture.read()
    size = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return as_bgr_frame(raw, *size) if read else None


def _delivered_fourcc(capture: cv2.VideoCapture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return code.to_bytes(4, "little").decode("ascii", "replace").strip()


def _card(device: str) -> str:
    """The name that the kernel has for a device, which may be a link such as /dev/v4l/by-id/…"""
    try:
        return (Path("/sys/class/video4linux") / Path(device).resolve().name / "name").read_text().strip()
    except OSError:
        return device
