"""The cameras that Linux knows: /dev/video nodes, asked through the kernel's own interface (videodev2.h)."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CameraInfo", "has_camera_module", "list_v4l2_cameras"]

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved
_CAPABILITY = struct.Struct("=16s32s32s3I12x")
# struct v4l2_fmtdesc: index, type, flags, description, pixelformat, mbus_code, reserved
_FORMAT = struct.Struct("=3I32sI16x")
# struct v4l2_frmsizeenum: index, pixel_format, type, then width and height, or min, max and step of both;
# reserved
_FRAME_SIZE = struct.Struct("=9I8x")
# struct v4l2_frmivalenum: index, pixel_format, width, height, type, then a fraction, or min, max and step of it;
# reserved
_FRAME_INTERVAL = struct.Struct("=11I8x")

_VIDIOC_QUERYCAP = 0x80685600
_VIDIOC_ENUM_FMT = 0xC0405602
_VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
_VIDIOC_ENUM_FRAMEINTERVALS = 0xC034564B

_BUF_TYPE_VIDEO_CAPTURE = 1
_CAP_VIDEO_CAPTURE = 0x00000001
_CAP_DEVICE_CAPS = 0x80000000
_DISCRETE = 1
_MAX_ITEMS = 64  # a driver that never ends its list must not hang us

# Nodes that capture, but only as parts of a Raspberry Pi's camera pipeline, which libcamera drives.
_PIPELINE_DRIVERS = ("bcm2835-isp", "pispbe", "rp1-cfe", "unicam")
# The beginning of their nodes' names where a sensor is connected.
_MODULE_NAMES = ("rp1-cfe", "unicam")


@dataclass(frozen=True)
class CameraInfo:
    """A capture device.

    Attributes:
        device: such as ``/dev/video0`` or ``picamera2:0``, as ``--camera`` takes it.
        name: what the camera calls itself.
        driver: the kernel driver, such as ``uvcvideo``; or ``libcamera``.
        formats: FOURCC → sizes with their highest frame rate where the camera tells it, such as
            ``("640x480@30", "1280x720@10")``; empty where any size goes.
    """

    device: str
    name: str
    driver: str
    formats: dict[str, tuple[str, ...]]


def list_v4l2_cameras() -> list[CameraInfo]:
    """The capture devices of this machine in the order of their numbers.

    Nodes that cannot be opened (no permission) are listed with the name from /sys and no formats.
    """
    nodes = Path("/sys/class/video4linux").glob("video*")
    numbered = sorted((int(node.name[5:]), node) for node in nodes if node.name[5:].isdigit())
    found = (_camera(f"/dev/{node.name}", _text(node / "name")) for _, node in numbered)
    return [camera for camera in found if camera is not None]


def has_camera_module() -> bool:
    """Tells whether a camera module of a Raspberry Pi is connected, which V4L2 alone cannot use."""
    nodes = Path("/sys/class/video4linux").glob("video*")
    return any(_text(node / "name").startswith(_MODULE_NAMES) for node in nodes)


def _camera(device: str, name: str) -> CameraInfo | None:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return CameraInfo(device, name, "", {})
    except OSError:
        return None
    try:
        raw = fcntl.ioctl(descriptor, _VIDIOC_QUERYCAP, bytes(_CAPABILITY.size))
        driver, card, _, _, capabilities, device_caps = _CAPABILITY.unpack(raw)
        # A device has several nodes; device_caps are this node's own.
        own = device_caps if capabilities & _CAP_DEVICE_CAPS else capabilities
        if not own & _CAP_VIDEO_CAPTURE or _string(driver) in _PIPELINE_DRIVERS:
            return None
        formats = {_fourcc(code): tuple(_sizes(descriptor, code)) for code in _format_codes(descriptor)}
        return CameraInfo(device, _string(card) or name, _string(driver), formats)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _format_codes(descriptor: int) -> Iterator[int]:
    for index in range(_MAX_ITEMS):
        try:
            raw = fcntl.ioctl(descriptor, _VIDIOC_ENUM_FMT, _FORMAT.pack(index, _BUF_TYPE_VIDEO_CAPTURE, 0, b"", 0))
        except OSError:  # EINVAL ends the list
            return
        yield _FORMAT.unpack(raw)[4]


def _sizes(descriptor: int, code: int) -> Iterator[str]:
    for index in range(_MAX_ITEMS):
        try:
            raw = fcntl.ioctl(descriptor, _VIDIOC_ENUM_FRAMESIZES, _FRAME_SIZE.pack(index, code, *[0] * 7))
        except OSError:
            return
        _, _, kind, first, second, *_ = _FRAME_SIZE.unpack(raw)
        if kind != _DISCRETE:
            return
        rate = max(_rates(descriptor, code, first, second), default=0.0)
        yield f"{first}x{second}" + (f"@{rate:.4g}" if rate else "")


def _rates(descriptor: int, code: int, width: int, height: int) -> Iterator[float]:
    """The frame rates for a size; of a range only the highest."""
    for index in range(_MAX_ITEMS):
        try:
            query = _FRAME_INTERVAL.pack(index, code, width, height, *[0] * 7)
            raw = fcntl.ioctl(descriptor, _VIDIOC_ENUM_FRAMEINTERVALS, query)
        except OSError:
            return
        _, _, _, _, kind, numerator, denominator, *_ = _FRAME_INTERVAL.unpack(raw)
        if numerator:
            yield denominator / numerator
        if kind != _DISCRETE:
            return


def _fourcc(code: int) -> str:
    return struct.pack("<I", code & 0x7FFFFFFF).decode("ascii", "replace").rstrip()


def _string(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
