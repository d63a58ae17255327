from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CameraSource, PiCameraSource, SourceError, UsageError, list_cameras, open_camera
from stn_rectify.runtime.sources.camera_format import CameraFormat, FormattedCapture, as_bgr_frame
from stn_rectify.runtime.sources.pi_camera import pi_camera_number

FRAME = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(FRAME, FRAME, id="a frame"),
        pytest.param(FRAME[..., 0], FRAME[..., 0], id="grey"),
        pytest.param(FRAME.reshape(1, -1), FRAME, id="BGR3 as OpenCV gives it"),
        pytest.param(FRAME.reshape(1, -1)[:, :-1], None, id="not whole"),
        pytest.param(FRAME.transpose(1, 0, 2), None, id="another size"),
        pytest.param(FRAME.astype(np.uint16), None, id="another dtype"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_frames_as_opencv_delivers_them(raw: object, expected: np.ndarray | None) -> None:
    frame = as_bgr_frame(raw, 8, 6)
    if expected is None:
        assert frame is None
    else:
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("camera", ["/dev/video987", 987, "987"])
def test_a_camera_that_does_not_exist(camera: str | int) -> None:
    with pytest.raises(SourceError, match=r"/dev/video987 does not exist \(found: "):
        CameraSource(camera)


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(SourceError, match="no usable frame"):
        CameraSource("/dev/null")


def test_a_fourcc_has_four_letters() -> None:
    with pytest.raises(UsageError, match="four letters"):
        CameraSource(0, fourcc="MJPEG")


@pytest.mark.skipif(os.path.exists("/dev/video0"), reason="this machine has a camera")
def test_no_camera_on_this_machine() -> None:
    assert list_cameras() == []
    with pytest.raises(SourceError, match="no camera found"):
        CameraSource("auto")


@pytest.mark.parametrize(
    ("asked", "description"),
    [
        pytest.param(CameraFormat(), "640x480 YUYV at 25 frames/s", id="as asked for"),
        pytest.param(CameraFormat(framerate=25.1), "640x480 YUYV at 25 frames/s", id="nearly the rate"),
        pytest.param(
            CameraFormat(800, 600, 30, "MJPG"),
            "640x480 YUYV at 25 frames/s (asked for 800x600 MJPG 30 frames/s)",
            id="nothing as asked for",
        ),
    ],
)
def test_a_description_says_what_the_camera_delivers_and_what_was_asked_for(
    asked: CameraFormat, description: str
) -> None:
    assert FormattedCapture(cv2.VideoCapture(), (640, 480), "YUYV", 25.0).describe(asked) == description


@pytest.mark.parametrize(
    ("camera", "number"),
    [("picamera2", 0), ("picamera2:0", 0), ("picamera2:12", 12), ("picamera2:", None), ("0", None), ("auto", None)],
)
def test_names_of_camera_modules(camera: str, number: int | None) -> None:
    assert pi_camera_number(camera) == number


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="this machine has picamera2")
@pytest.mark.parametrize("open_it", [PiCameraSource, lambda: open_camera("picamera2")])
def test_without_picamera2_one_line_says_how_to_install_it(open_it: Callable[[], object]) -> None:
    with pytest.raises(SourceError, match="sudo apt install -y python3-picamera2") as caught:
        open_it()
    assert "\n" not in str(caught.value)


def test_a_camera_module_takes_no_fourcc() -> None:
    with pytest.raises(UsageError, match="--fourcc"):
        open_camera("picamera2", fourcc="MJPG")


@pytest.mark.parametrize("reconnect", [True, False])
def test_a_camera_that_is_not_there_at_first_is_an_error_at_once(reconnect: bool) -> None:
    with pytest.raises(SourceError, match="/dev/video987 does not exist"):
        open_camera(987, reconnect=reconnect)
