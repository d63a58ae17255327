"""Sources by the names that the command line has for them."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from stn_rectify.runtime.checks import check_flag, check_path, check_whole, is_whole
from stn_rectify.runtime.errors import SourceError, UsageError, shown
from stn_rectify.runtime.images.reading import MAX_PIXELS
from stn_rectify.runtime.sources.addresses import is_url, local_file
from stn_rectify.runtime.sources.camera import CameraSource
from stn_rectify.runtime.sources.chained import ChainedSource, grouped_by_kind, need_not_end
from stn_rectify.runtime.sources.images import ImageSource
from stn_rectify.runtime.sources.kinds import check_kind
from stn_rectify.runtime.sources.opening import open_in_thread
from stn_rectify.runtime.sources.pi_camera import INSTALL, PiCameraSource, list_pi_cameras, pi_camera_number
from stn_rectify.runtime.sources.reconnecting import ReconnectingSource
from stn_rectify.runtime.sources.source import FrameSource
from stn_rectify.runtime.sources.threaded import ThreadedSource
from stn_rectify.runtime.sources.v4l2 import CameraInfo, has_camera_module, list_v4l2_cameras
from stn_rectify.runtime.sources.video import VideoSource

#: The sample that comes with the package.
DEMO_IMAGE = Path(__file__).parents[1] / "data" / "demo.jpg"


def list_cameras() -> list[CameraInfo]:
    """The cameras of this machine, in the order in which ``auto`` takes them: camera modules, then V4L2 devices.

    Camera modules are found where picamera2 is installed. V4L2 devices that cannot be opened (no permission) are listed
    with the name from /sys and no formats.
    """
    return [*list_pi_cameras(), *list_v4l2_cameras()]


def open_camera(
    camera: int | str = "auto",
    *,
    reconnect: bool = True,
    reconnect_timeout_s: float | None = None,
    on_event: Callable[[str], None] | None = None,
    on_waiting: Callable[[], None] | None = None,
    **options: Any,
) -> FrameSource:
    """Opens a camera.

    Args:
        camera: number or device of a V4L2 camera, ``"picamera2"`` or ``"picamera2:1"`` for a camera module, or
            ``"auto"`` for the first of `list_cameras`.
        reconnect: whether it is opened again when it is lost; the same camera, even if it gets another number.
        reconnect_timeout_s: without a frame for so long it gives up; None never does.
        on_event: see `ReconnectingSource`.
        on_waiting: see `ReconnectingSource`.
        **options: of `CameraSource` (``width``, ``height``, ``framerate``, ``fourcc``) or `PiCameraSource` (the same
            without ``fourcc``).

    Raises:
        SourceError: if the camera cannot be opened.
        UsageError: if an option does not fit the camera, or it is no camera but a video or an image.
    """
    if not isinstance(camera, str):
        camera = check_whole("camera", camera, 0)
    reconnect = check_flag("reconnect", reconnect)
    name = str(camera)
    check_kind("camera", name)

    def open_it() -> ThreadedSource:
        nonlocal name
        if name == "auto":
            name = next((module.device for module in list_pi_cameras()), name)
        number = pi_camera_number(name)
        if number is not None:
            if "fourcc" in options:
                raise UsageError("fourcc (--fourcc) is for V4L2 cameras: leave it out with picamera2")
            return PiCameraSource(number, **options)
        if name == "auto" and has_camera_module() and not list_v4l2_cameras():
            raise SourceError(f"no camera found but a camera module; it needs picamera2, {INSTALL}")
        source = CameraSource(name, **options)
        name, options["fourcc"] = source.link, source.fourcc  # what it once gave it will give again
        return source

    if not reconnect:
        return open_in_thread(open_it)
    return ReconnectingSource(open_it, timeout_s=reconnect_timeout_s, on_event=on_event, on_waiting=on_waiting)


def open_video(
    video: str | PathLike[str],
    *,
    reconnect: bool = True,
    reconnect_timeout_s: float | None = None,
    on_event: Callable[[str], None] | None = None,
    on_waiting: Callable[[], None] | None = None,
    framerate: float | None = None,
) -> FrameSource:
    """Opens a video file, a stream, or an address of single pictures. What is live is opened again when it is lost.

    Args:
        video: see `VideoSource`.
        reconnect: whether it is opened again when it is lost.
        reconnect_timeout_s: without a frame for so long it gives up; None never does.
        on_event: see `ReconnectingSource`.
        on_waiting: see `ReconnectingSource`.
        framerate: see `VideoSource`.

    Raises:
        SourceError: if the video cannot be opened.
        UsageError: if there is a ``framerate``, but no address of single pictures; or if it is no video but a camera or
            an image.
    """
    video, reconnect = check_path("video", video, is_address=True), check_flag("reconnect", reconnect)
    check_kind("video", str(video))
    if not reconnect or not is_url(str(video)):
        return open_in_thread(lambda: VideoSource(video, framerate=framerate))
    return ReconnectingSource(
        lambda: VideoSource(video, framerate=framerate),
        timeout_s=reconnect_timeout_s,
        on_event=on_event,
        on_waiting=on_waiting,
    )


def open_source(
    source: object,
    *,
    on_error: Callable[[SourceError], None] | None = None,
    max_pixels: int = MAX_PIXELS,
    reconnect: bool = True,
    reconnect_timeout_s: float | None = None,
    on_event: Callable[[str], None] | None = None,
    on_waiting: Callable[[], None] | None = None,
    framerate: float | None = None,
    width: int | None = None,
    height: int | None = None,
    fourcc: str | None = None,
) -> FrameSource:
    """Opens whatever the command line takes as a source, by its name alone.

    Args:
        source: a file, folder or glob of images, a video, an address, the number or device of a camera, ``"auto"``,
            ``"picamera2"``, ``"demo"`` for the sample that comes with the package, or ``"-"`` for images through
            standard input. A number, as opposed to a text, is always a camera's. Several of them in a list come one
            after the other; of those one without an end, a camera or an address, may stand last only. An open
            `FrameSource` is given back as it is.
        on_error: called with the error of an image, or of one of several videos, that cannot be read, which is then
            left out. None raises it.
        max_pixels: see `ImageSource`.
        reconnect: see `open_camera`; so ``reconnect_timeout_s``, ``on_event`` and ``on_waiting``.
        reconnect_timeout_s: see there.
        on_event: see there.
        on_waiting: see there.
        framerate: frames per second to ask a camera, or an address of single pictures, for.
        width: of the frames to ask a camera for, pixels; so ``height``, and ``fourcc``, its pixel format.
        height: see there.
        fourcc: see there.

    Raises:
        SourceError: if it cannot be opened.
        UsageError: if there is no such thing; if an option does not fit the source.
    """
    if isinstance(source, FrameSource):
        return source
    names = _names(source)
    again: dict[str, Any] = {
        "reconnect": reconnect,
        "reconnect_timeout_s": reconnect_timeout_s,
        "on_event": on_event,
        "on_waiting": on_waiting,
    }

    def opener(option: str, group: list[str]) -> Callable[[], FrameSource]:
        name = group[0]
        if option == "image":
            return lambda: ImageSource([local_file(image) for image in group], on_error=on_error, max_pixels=max_pixels)
        if option == "video":
            return lambda: open_video(name, framerate=framerate if is_url(name) else None, **again)
        if option == "demo":
            return lambda: ImageSource(DEMO_IMAGE)
        return lambda: open_camera(name, **again, **asked)

    of_cameras = {"width": width, "height": height, "fourcc": fourcc, "framerate": framerate}
    asked: dict[str, Any] = {key: value for key, value in of_cameras.items() if value is not None}
    groups = grouped_by_kind(names)
    if not any(option == "camera" for option, _ in groups):
        for key in asked:
            if key != "framerate":
                raise UsageError(f"{key} is for cameras: leave it out")
            if not any(is_url(group[0]) for _, group in groups):
                raise UsageError("framerate is for cameras and addresses of single pictures: leave it out")
    if len(groups) == 1:
        return opener(*groups[0])()
    # Each by itself: one that is missing takes no other with it.
    openers = [opener(option, [name]) for option, group in groups for name in group]
    last, (*_, name) = groups[-1]
    ends_live = need_not_end(last, name)
    return ChainedSource(openers, [str(name) for name in names], on_error=on_error, ends_live=ends_live)


def _names(source: object) -> list[str | int]:
    """The names in what was given as a source; a number is a camera's, whatever file or folder is called so."""
    if is_whole(source):
        return [check_whole("source", source, 0)]
    if isinstance(source, list | tuple):
        names = [name for one in source for name in _names(one)]
        if not names:
            raise UsageError("source is empty: name files, folders, addresses or a camera")
        return names
    if not isinstance(source, str | bytes | PathLike):
        raise UsageError(
            f"source is {shown(source)}: must be a path, an address, the number of a camera, a list of these, or a "
            "FrameSource; images as arrays are for rectify, each by itself"
        )
    return [str(check_path("source", source, is_address=True))]
