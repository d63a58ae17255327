"""Where frames come from: the options, and the source they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stn_rectify.runtime.command.messages import say
from stn_rectify.runtime.command.option_types import Region, rate, region, seconds, video
from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.command.recognition_options import OF_FOLLOWING_FRAMES
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.sources import FrameSource, ImageSource, open_camera, open_video

__all__ = [
    "DEMO_IMAGE",
    "add_source_options",
    "check_source_options",
    "open_source",
    "source_is_named",
    "source_names",
    "unused_by_source",
]

DEMO_IMAGE = Path(__file__).parents[1] / "data" / "demo.jpg"

# What names a source, or asks for a list of them.
_SOURCES = ("image", "video", "camera", "demo", "list_cameras")
# The options that only cameras take, by the names that `open_camera` has for them.
_CAMERA = ("width", "height", "framerate", "fourcc")


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of sources, cameras and the view."""
    _add_sources(parser)
    _add_camera(parser)
    _add_reconnection(parser)
    _add_view(parser)


def source_names() -> str:
    """The options of which one has to be given."""
    return " ".join(f"--{source.replace('_', '-')}" for source in _SOURCES)


def source_is_named(arguments: argparse.Namespace) -> bool:
    """Whether one of them is given."""
    return any(getattr(arguments, source) not in (None, False) for source in _SOURCES)


def unused_by_source(given: argparse.Namespace) -> tuple[str, ...]:
    """What a file may say that a source named on the command line has no use for."""
    if given.image is not None or given.demo:
        return (*_CAMERA, "smooth", *OF_FOLLOWING_FRAMES)
    return _CAMERA if given.video is not None else ()


def check_source_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: options do not go together.
    """
    given = [key for key in _CAMERA if getattr(arguments, key) is not None]
    if given and arguments.camera is None:
        raise UsageError(f"--{given[0]} needs --camera")


def open_source(arguments: argparse.Namespace, failed: Callable[[StnRectifyError], None]) -> FrameSource:
    """The source that the options name; ``failed`` is told of each image that cannot be read."""
    if arguments.image is not None:
        return ImageSource(arguments.image, on_error=failed)
    if arguments.demo:
        return ImageSource(DEMO_IMAGE)
    again: dict[str, Any] = {
        "reconnect": arguments.reconnect,
        "reconnect_timeout_s": arguments.reconnect_timeout,
        "on_event": say,
    }
    if arguments.video is not None:
        return open_video(arguments.video, **again)
    options = {key: getattr(arguments, key) for key in _CAMERA}
    return open_camera(arguments.camera, **again, **{key: value for key, value in options.items() if value is not None})


def _add_sources(parser: argparse.ArgumentParser) -> None:
    # Not required by itself: the source may stand in the file.
    group = parser.add_argument_group("frames (one of)").add_mutually_exclusive_group()
    group.add_argument("--image", nargs="+", metavar="PATH", help="image files, folders or globs; - is standard input")
    group.add_argument(
        "--video", type=video, metavar="FILE|URL", help="a video that OpenCV reads; RTSP and HTTP streams, too"
    )
    group.add_argument("--camera", metavar="N|DEVICE", help="a V4L2 camera; picamera2[:N]; auto takes the first")
    group.add_argument("--demo", action="store_true", help="the sample image that comes with the package")
    group.add_argument("--list-cameras", action="store_true", help="list cameras, formats and sizes; then end")


def _add_camera(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("camera")
    group.add_argument("--width", type=whole_number(1), metavar="PX", help="frame width to ask for (640)")
    group.add_argument("--height", type=whole_number(1), metavar="PX", help="frame height to ask for (480)")
    group.add_argument("--framerate", type=rate, metavar="FPS", help="frames per second to ask for")
    group.add_argument("--fourcc", metavar="CODE", help="pixel format such as YUYV or MJPG (auto)")


def _add_reconnection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a camera or live stream that is lost")
    group.add_argument(
        "--reconnect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="open it again, trying until it is back; else it is an error",
    )
    group.add_argument(
        "--reconnect-timeout", type=seconds, metavar="S", help="give up after so long without a frame (never)"
    )


def _add_view(parser: argparse.ArgumentParser) -> None:
    """Spelled as in rpicam-apps."""
    group = parser.add_argument_group("what of a frame is looked at, and which way up")
    group.add_argument("--hflip", action="store_true", help="swap left and right")
    group.add_argument("--vflip", action="store_true", help="swap top and bottom")
    group.add_argument(
        "--rotation", type=int, choices=(0, 90, 180, 270), default=0, help="degrees clockwise, after the flips (0)"
    )
    group.add_argument(
        "--roi",
        type=region,
        default=Region((0.0, 0.0, 1.0, 1.0)),
        metavar="X,Y,W,H",
        help="region of interest, as fractions of the flipped and rotated frame (0,0,1,1)",
    )
