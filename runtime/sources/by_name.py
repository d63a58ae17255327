"""Cameras and streams by the names that the command line has for them."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

from stn_rectify.runtime.checks import check_flag, check_path, check_whole
from stn_rectify.runtime.errors import SourceError, UsageError
from stn_rectify.runtime.sources.addresses import is_url
from stn_rectify.runtime.sources.camera import CameraSource
from stn_rectify.runtime.sources.kinds import check_kind
from stn_rectify.runtime.sources.opening import open_in_thread
from stn_rectify.runtime.sources.pi_camera import INSTALL, PiCameraSource, list_pi_cameras, pi_camera_number
from stn_rectify.runtime.sources.reconnecting import ReconnectingSource
from stn_rectify.runtime.sources.source import FrameSource
from stn_rectify.runtime.sources.threaded import ThreadedSource
from stn_rectify.runtime.sources.v4l2 import CameraInfo, has_camera_module, list_v4l2_cameras
from stn_rectify.runtime.sources.video import VideoSource


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
