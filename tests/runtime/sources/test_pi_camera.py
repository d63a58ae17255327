"""Camera modules, with a stand-in for picamera2 that does what was seen of the real one (docs/reference/cameras.md)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from stn_rectify.runtime import PiCameraSource, SourceError, list_cameras


class StandIn:
    """Cameras that picamera2 sorts otherwise than libcamera, whose number is in "Num"."""

    cameras: ClassVar[list[dict[str, Any]]] = [
        {"Model": "imx708", "Id": "/base/i2c@1/imx708", "Num": 1},
        {"Model": "webcam", "Id": "/base/pcie/usb@1", "Num": 2},
        {"Model": "ov5647", "Id": "/base/i2c@0/ov5647", "Num": 0},
    ]
    close_s: ClassVar[float] = 0.0
    refuse: ClassVar[Callable[[], None] | None] = None
    opened: ClassVar[list[int]] = []

    def __init__(self, number: int) -> None:
        if StandIn.refuse is not None:
            StandIn.refuse()
        StandIn.opened.append(number)

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return StandIn.cameras

    def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any], queue: bool) -> Any:
        self.controls = controls
        return main

    def configure(self, main: dict[str, Any]) -> None:
        self.main = main

    def start(self) -> None:
        pass

    def camera_configuration(self) -> dict[str, Any]:
        return {"main": self.main}

    def capture_array(self, name: str, wait: bool) -> Any:
        width, height = self.main["size"]
        return SimpleNamespace(get_result=lambda timeout: np.zeros((height, width, 3), np.uint8))

    def cancel_all_and_flush(self) -> None:
        pass

    def close(self) -> None:
        time.sleep(StandIn.close_s)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=StandIn))
    monkeypatch.setattr(StandIn, "opened", [])


def test_a_camera_is_opened_by_the_number_that_the_list_gives() -> None:
    listed = [(camera.device, camera.name) for camera in list_cameras() if "picamera2" in camera.device]
    assert listed == [("picamera2:0", "imx708"), ("picamera2:2", "ov5647")]  # a webcam is V4L2's
    for number, model in ((0, "imx708"), (2, "ov5647")):
        with PiCameraSource(number, width=32, height=24) as source:
            assert source.description == f"camera picamera2:{number}: {model}, 32x24"
            assert next(iter(source)).image.shape == (24, 32, 3)
    assert StandIn.opened == [0, 2]


def test_a_number_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SourceError, match="picamera2:3 does not exist"):
        PiCameraSource(3)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'pykms'"), "(No module named 'pykms'); on Raspberry Pi OS"),
        (OSError("\nlibfoo.so: wrong ELF class\nmore"), "(libfoo.so: wrong ELF class); on Raspberry Pi OS"),
        (RuntimeError(), "(RuntimeError); on Raspberry Pi OS"),
    ],
)
def test_a_picamera2_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr("stn_rectify.runtime.sources.pi_camera.importlib.import_module", fail)
    with pytest.raises(SourceError) as caught:
        PiCameraSource(0)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [camera for camera in list_cameras() if "picamera2" in camera.device] == []


def busy() -> None:
    try:
        raise RuntimeError("Failed to acquire camera: Device or resource busy")
    except RuntimeError as error:
        raise RuntimeError("Camera __init__ sequence did not complete.") from error


def not_permitted() -> None:
    raise PermissionError(13, "Permission denied", "/dev/dma_heap/linux,cma")


def no_rate() -> None:
    raise RuntimeError("Control FrameDurationLimits is not advertised by libcamera")


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        (
            busy,
            "camera picamera2:0: Failed to acquire camera: Device or resource busy: end the program that is using it",
        ),
        (
            not_permitted,
            "camera picamera2:0: [Errno 13] Permission denied: '/dev/dma_heap/linux,cma': see whether rpicam-hello",
        ),
        (
            no_rate,
            "camera picamera2:0: Control FrameDurationLimits is not advertised by libcamera: leave out --framerate",
        ),
    ],
)
def test_an_error_says_its_cause(monkeypatch: pytest.MonkeyPatch, refuse: Callable[[], None], message: str) -> None:
    monkeypatch.setattr(StandIn, "refuse", staticmethod(refuse))
    with pytest.raises(SourceError) as caught:
        PiCameraSource(0)
    assert str(caught.value).startswith(message)


def test_closing_waits_until_the_camera_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "close_s", 0.6)
    with PiCameraSource(0) as source:
        next(iter(source))
    assert not source.is_stuck
