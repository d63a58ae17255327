"""Camera modules of a Raspberry Pi as frames, through picamera2, which its system brings along."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import re
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_positive, check_whole
from stn_rectify.runtime.errors import SourceError, first_line
from stn_rectify.runtime.sources.threaded import ThreadedSource
from stn_rectify.runtime.sources.v4l2 import CameraInfo

INSTALL = (
    "on Raspberry Pi OS: sudo apt install -y python3-picamera2, and use an environment made with "
    "python3 -m venv --system-site-packages"
)
# What picamera2 calls RGB888 has the bytes in the order of OpenCV: blue, green, red.
_BGR = "RGB888"
_POLL_S = 0.1  # how soon `stop` is noticed
_USB = "/usb"  # in the identity of a webcam, which libcamera knows as well


class PiCameraSource(ThreadedSource):
    """The newest frames of a camera module on the ribbon cable. Run on a virtual one only (docs/reference/cameras.md).

    Args:
        number: which one, as `list_pi_cameras` counts.
        width: asked of the camera, pixels. It may choose another size; `description` says which.
        height: asked of the camera, pixels.
        framerate: frames per second; None for what picamera2 takes, 30.
        timeout_s: longest wait for a frame.

    Raises:
        SourceError: if picamera2 is not installed, there is no such camera, or it is in use. While iterating: if it
            stops delivering.
    """

    # picamera2 ends two threads one after the other, each of which looks up every 0.2 s, and stops the camera.
    _join_s = 2.0

    def __init__(
        self,
        number: int = 0,
        *,
        width: int = 640,
        height: int = 480,
        framerate: float | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        number, width = check_whole("number", number, 0), check_whole("width", width, 1)
        height, timeout_s = check_whole("height", height, 1), check_positive("timeout_s", timeout_s)
        framerate = None if framerate is None else check_positive("framerate", framerate)
        super().__init__(f"picamera2:{number}", live=True, timeout_s=timeout_s)
        picamera2 = _picamera2()
        self.framerate = framerate
        try:
            infos = picamera2.global_camera_info()
            if number >= len(infos):
                raise SourceError(
                    f"camera picamera2:{number} does not exist: connect it, see stn-rectify --list-cameras"
                )
            self._camera = picamera2(number)
            try:
                size = self._start((width, height), framerate)
            except BaseException:
                self._camera.close()
                raise
        except (RuntimeError, OSError) as error:
            raise SourceError(f"camera picamera2:{number}: {_reason(error)}") from error
        asked = f" (asked for {width}x{height})" if size != (width, height) else ""
        rate = f" at {framerate:.4g} frames/s" if framerate else ""
        self.description = f"camera picamera2:{number}: {infos[number].get('Model')}, {size[0]}x{size[1]}{rate}{asked}"

    def _start(self, size: tuple[int, int], framerate: float | None) -> tuple[int, int]:
        """Starts the camera; gives the size that it chose."""
        main = {"size": size, "format": _BGR}
        controls = {} if framerate is None else {"FrameRate": framerate}
        self._camera.configure(self._camera.create_video_configuration(main=main, controls=controls, queue=False))
        self._camera.start()
        chosen: tuple[int, int] = self._camera.camera_configuration()["main"]["size"]
        return chosen

    def _read(self) -> Image | None:
        job = self._camera.capture_array("main", wait=False)
        while not self._stopping:
            with contextlib.suppress(concurrent.futures.TimeoutError):
                return np.asarray(job.get_result(timeout=_POLL_S), np.uint8)
        return None

    def _release(self) -> None:
        self._camera.cancel_all_and_flush()  # or closing waits for a frame that does not come
        self._camera.close()


def pi_camera_number(camera: str) -> int | None:
    """The number in ``picamera2:N``, 0 for ``picamera2``; None for other names."""
    match = re.fullmatch(r"picamera2(?::(\d+))?", camera)
    return None if match is None else int(match[1] or 0)


def list_pi_cameras() -> list[CameraInfo]:
    """The camera modules; none where picamera2 is not installed."""
    try:
        infos = _picamera2().global_camera_info()
    except (SourceError, RuntimeError):  # not there, or without a libcamera that works
        return []
    # picamera2 takes a position in this list, which it sorts; the "Num" in it is libcamera's, in another order.
    modules = [(number, info) for number, info in enumerate(infos) if _USB not in info["Id"]]
    return [CameraInfo(f"picamera2:{number}", str(info.get("Model")), "libcamera", {}) for number, info in modules]


def _reason(error: BaseException) -> str:
    """The first cause: what picamera2 itself says of all is "Camera __init__ sequence did not complete."."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    reason = str(error) or repr(error)
    if "busy" in reason:
        return f"{reason}: end the program that is using it"
    if "FrameDurationLimits" in reason:
        return f"{reason}: leave out --framerate"
    return f"{reason}: see whether rpicam-hello shows a picture"


def picamera2_import_error() -> str | None:
    """Gives the reason why picamera2 cannot be imported, such as another missing module; None if it can."""
    try:
        importlib.import_module("picamera2")
    except Exception as error:  # libraries of the system, made for other versions, can fail in any way
        return first_line(error)
    return None


def _picamera2() -> Any:
    """The class `picamera2.Picamera2`."""
    error = picamera2_import_error()
    if error is not None:
        raise SourceError(f"cannot use picamera2 ({error}); {INSTALL}")
    return importlib.import_module("picamera2").Picamera2
