"""The options for frames, and the source that they name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from stn_rectify.runtime import sources
from stn_rectify.runtime.command.options.values import (
    Count,
    Region,
    interval,
    pixel_count,
    rate,
    region,
    seconds,
    video,
)
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag, option, texts
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.images import reading
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.sources import FrameSource, ImageSource, open_camera, open_video
from stn_rectify.runtime.sources.addresses import is_url, local_file
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.sources.kinds import check_kind, option_for

#: Pixels of an image, at most.
MAX_PIXELS = Count(f"{reading.MAX_PIXELS // 10**6}M", reading.MAX_PIXELS)


@dataclass(frozen=True)
class SourceOptions(OptionGroup):
    """The name of a source, or a wish for a list of cameras. None of it is required: a file may name it.

    What is named without an option becomes one of them (`inputs`).
    """

    title: ClassVar[str] = "frames (one of)"
    is_choice: ClassVar[bool] = True

    image: tuple[str, ...] | None = texts("image files, folders or globs; - is standard input", metavar="PATH")
    video: str | None = option(
        None,
        "a video that OpenCV reads; RTSP and HTTP streams, HTTP addresses of single pictures",
        video,
        metavar="FILE|URL",
        once=True,
    )
    camera: str | None = option(
        None, "a V4L2 camera; picamera2[:N]; auto takes the first", metavar="N|DEVICE", once=True
    )
    input: tuple[str, ...] | None = texts(
        "several of these, one after the other, each by its kind, as without an option; what need not end, last",
        metavar="INPUT",
    )
    demo: bool = flag("the sample image that comes with the package")
    list_cameras: bool = flag("list cameras, formats and sizes; then end")

    @property
    def is_named(self) -> bool:
        """Tells whether any of these options is used."""
        return bool(self.changed())

    @property
    def names_camera(self) -> bool:
        """Tells whether a camera is named, alone or as the last of several inputs, where what need not end stands."""
        return self.camera is not None or (self.input is not None and option_for(self.input[-1]) == "camera")

    @property
    def names_address(self) -> bool:
        """Tells whether an address is named, alone or as the last of several inputs."""
        last = self.video if self.input is None else self.input[-1]
        return last is not None and is_url(last)

    @property
    def frames_follow(self) -> bool:
        """Tells whether the source's frames follow one another, as those of cameras and videos do."""
        return self.camera is not None or self.video is not None


@dataclass(frozen=True)
class ImageOptions(OptionGroup):
    """The options that only images take."""

    title: ClassVar[str] = "images"

    max_pixels: Count = option(
        MAX_PIXELS, "larger images are read scaled down if they are JPEG, else refused (70M)", pixel_count, metavar="N"
    )


@dataclass(frozen=True)
class CameraOptions(OptionGroup):
    """The options that cameras take, by the names that `open_camera` has for them; `framerate` is for polling, too."""

    title: ClassVar[str] = "camera"

    width: int | None = option(None, "frame width to ask for (640)", whole_number(1), metavar="PX")
    height: int | None = option(None, "frame height to ask for (480)", whole_number(1), metavar="PX")
    framerate: float | None = option(
        None, "frames per second to ask for; of an address of single pictures, how often (2)", rate, metavar="FPS"
    )
    fourcc: str | None = option(None, "pixel format such as YUYV or MJPG (auto)", metavar="CODE")


@dataclass(frozen=True)
class ReconnectionOptions(OptionGroup):
    """The treatment of a source that fails."""

    title: ClassVar[str] = "a camera or live stream that is lost"

    reconnect: bool = flag("open it again, trying until it is back; else it is an error", default=True)
    reconnect_timeout: float | None = option(
        None, "give up after so long without a frame (never)", seconds, metavar="S"
    )
    frozen_after: float = option(
        60.0, "say so when its picture has not changed at all for so long; 0: never (60)", interval, metavar="S"
    )


@dataclass(frozen=True)
class ViewOptions(OptionGroup):
    """Spelled as in rpicam-apps."""

    title: ClassVar[str] = "what of a frame is looked at, and which way up"

    hflip: bool = flag("swap left and right")
    vflip: bool = flag("swap top and bottom")
    rotation: int = option(0, "degrees clockwise, after the flips (0)", int, choices=(0, 90, 180, 270))
    roi: Region = option(
        Region((0.0, 0.0, 1.0, 1.0)),
        "region of interest, as fractions of the flipped and rotated frame (0,0,1,1)",
        region,
        metavar="X,Y,W,H",
    )


def open_source(
    source: SourceOptions,
    images: ImageOptions,
    camera: CameraOptions,
    reconnection: ReconnectionOptions,
    failed: Callable[[StnRectifyError], None],
    *,
    on_waiting: Callable[[], None] | None = None,
) -> FrameSource:
    """The source that the options name.

    Args:
        source: options.
        images: options.
        camera: options.
        reconnection: options.
        failed: told of each image that cannot be read.
        on_waiting: called again and again while a lost camera or stream is waited for.

    Raises:
        SourceError: if the source cannot be opened.
        UsageError: if an option does not fit the source, or the source is another option's.
    """
    if source.image is not None:
        for name in source.image:
            if len(source.image) == 1 or not os.path.isfile(name):  # of many files one may be wrong, and is passed over
                check_kind("image", name)
        names = [local_file(name) for name in source.image]
        return ImageSource(names, on_error=failed, max_pixels=images.max_pixels.number)
    if source.demo:
        return ImageSource(DEMO_IMAGE)
    again: dict[str, Any] = {
        "reconnect": reconnection.reconnect,
        "reconnect_timeout_s": reconnection.reconnect_timeout,
        "on_event": say,
        "on_waiting": on_waiting,
    }
    if source.input is not None:
        limit = images.max_pixels.number
        return sources.open_source(source.input, on_error=failed, max_pixels=limit, **again, **camera.changed())
    if source.video is not None:
        return open_video(source.video, framerate=camera.framerate, **again)
    assert source.camera is not None, "parse_options takes care that a source is named"
    return open_camera(source.camera, **again, **camera.changed())
