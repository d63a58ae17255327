"""Frame size, rate and pixel format: what a V4L2 camera is asked for, and what it then delivers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import SourceError, UsageError

_AUTO_FOURCC = ("YUYV", "MJPG", None)  # None: what the driver proposes
# Of large YUYV frames webcams give 5 a second, of MJPG 30; so below this rate the next format is tried.
_LEAST_RATE = 14.0
_RATE_TOLERANCE = 0.95  # 29.97 frames/s are 30


@dataclass(frozen=True)
class CameraFormat:
    """The pixel format, size and rate that a camera is asked for.

    Attributes:
        width: pixels.
        height: pixels.
        framerate: frames per second; None leaves it.
        fourcc: pixel format such as ``"YUYV"``, or ``"auto"``.

    Raises:
        UsageError: if ``fourcc`` does not have four letters.
    """

    width: int = 640
    height: int = 480
    framerate: float | None = None
    fourcc: str = "auto"

    def __post_init__(self) -> None:
        if self.fourcc != "auto" and len(self.fourcc) != 4:
            raise UsageError(f"fourcc is {self.fourcc!r}: give four letters such as YUYV, or auto")


@dataclass(frozen=True, eq=False)
class FormattedCapture:
    """An open camera, and what it delivers.

    Attributes:
        capture: OpenCV's handle; a frame was read from it.
        size: width and height of that frame, pixels.
        fourcc: the pixel format, as the driver names it.
        framerate: frames per second, as the driver says; None if it does not.
    """

    capture: cv2.VideoCapture
    size: tuple[int, int]
    fourcc: str
    framerate: float | None

    def describe(self, asked: CameraFormat) -> str:
        """Such as ``640x480 YUYV at 30 frames/s (asked for MJPG)``."""
        size = (asked.width, asked.height)
        other = [f"{size[0]}x{size[1]}"] if size != self.size else []
        other += [asked.fourcc] if asked.fourcc not in ("auto", self.fourcc) else []
        rate = f" at {self.framerate:.4g} frames/s" if self.framerate else ""
        if asked.framerate and self.framerate and not _is_near(asked.framerate, self.framerate):
            other.append(f"{asked.framerate:.4g} frames/s")
        return f"{self.size[0]}x{self.size[1]} {self.fourcc.strip()}{rate}" + (
            f" (asked for {' '.join(other)})" if other else ""
        )


def negotiate(device: str, asked: CameraFormat) -> FormattedCapture:
    """Opens a camera with the first pixel format that gives size and rate asked for, else with the nearest to that.

    Raises:
        SourceError: if the camera gives no usable frame in any format.
    """
    best: tuple[tuple[bool, bool], str | None] | None = None
    for fourcc in _AUTO_FOURCC if asked.fourcc == "auto" else (asked.fourcc,):
        opened = _open(device, fourcc, asked)
        if opened is None:
            continue
        fits = (opened.size == (asked.width, asked.height), _is_fast_enough(opened.framerate, asked.framerate))
        if all(fits):
            return opened
        opened.capture.release()
        if best is None or fits > best[0]:
            best = fits, fourcc
    reopened = None if best is None else _open(device, best[1], asked)
    if reopened is None:
        raise SourceError(
            f"camera {device} gives no usable frame at {asked.width}x{asked.height}, format {asked.fourcc}: another "
            "program may be using it, or try another format or size; --list-cameras shows what it offers"
        )
    return reopened


def as_bgr_frame(raw: object, width: int, height: int) -> Image | None:
    """Gives what OpenCV's V4L2 reader delivered as BGR [H, W, 3] or grey [H, W]; None if it is not a whole frame.

    For the format BGR3 OpenCV hands the bytes over unshaped, as (1, H·W·3).
    """
    if not isinstance(raw, np.ndarray) or raw.dtype != np.uint8:
        return None
    if raw.shape in ((height, width, 3), (height, width)):
        return raw
    if raw.size == height * width * 3 and 1 in raw.shape[:2]:
        return raw.reshape(height, width, 3)
    return None


def _open(device: str, fourcc: str | None, asked: CameraFormat) -> FormattedCapture | None:
    """The camera, if a usable frame comes; else it is released."""
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if fourcc is not None:  # first: sizes and rates depend on it
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.height)
    if asked.framerate is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.framerate)
    read, raw = capture.read() if capture.isOpened() else (False, None)
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    frame = as_bgr_frame(raw, width, height) if read else None
    if frame is None:
        capture.release()
        return None
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    rate = capture.get(cv2.CAP_PROP_FPS)
    name = code.to_bytes(4, "little").decode("ascii", "replace")
    return FormattedCapture(capture, (frame.shape[1], frame.shape[0]), name, rate if rate > 0 else None)


def _is_fast_enough(rate: float | None, asked: float | None) -> bool:
    return rate is None or rate >= _RATE_TOLERANCE * (_LEAST_RATE if asked is None else asked)


def _is_near(rate: float, other: float) -> bool:
    return _RATE_TOLERANCE < rate / other < 1 / _RATE_TOLERANCE
