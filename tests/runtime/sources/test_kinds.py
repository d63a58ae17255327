from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import SourceError, UsageError, open_camera, open_video
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import parse_options
from stn_rectify.runtime.command.options.source import open_source as open_of_options
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE, open_source
from tests.runtime.sources.frame_sources import write_video


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_video(Path("clip.avi"), 5)
    write_video(Path("clip.mp4"), 5).rename("clip-without-ending")
    cv2.imwrite("photo.jpg", np.zeros((48, 64, 3), np.uint8))
    Path("photo.jpg").rename("photo")
    cv2.imwrite("photo.jpg", np.zeros((48, 64, 3), np.uint8))
    Path("photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    Path("scans").mkdir()
    os.mkfifo("pipe")
    return tmp_path


_RIGHT = [
    ("rtsp://me:SECRET@127.0.0.1:9/a", "--video rtsp://127.0.0.1:9/a"),
    ("http://127.0.0.1:9/snap.jpg", "--video http://127.0.0.1:9/snap.jpg"),
    ("clip.avi", "--video clip.avi"),
    ("clip-without-ending", "--video clip-without-ending"),
    ("missing.mkv", "--video missing.mkv"),
    ("photo.jpg", "--image photo.jpg"),
    ("photo", "--image photo"),
    ("photo.heic", "--image photo.heic"),
    ("missing.heic", "--image missing.heic"),
    ("missing.PNG", "--image missing.PNG"),
    ("scans", "--image scans"),
    ("scans/*.png", "--image scans/*.png"),
    ("scans/%04d.png", "--image 'scans/*.png'"),
    ("-", "--image -"),
    ("0", "--camera 0"),
    ("/dev/video7", "--camera /dev/video7"),
    ("/dev/v4l/by-id/usb-x", "--camera /dev/v4l/by-id/usb-x"),
    ("auto", "--camera auto"),
    ("picamera2:1", "--camera picamera2:1"),
    ("demo", "--demo"),
]


@pytest.mark.parametrize("option", ["image", "video", "camera"])
@pytest.mark.parametrize(("name", "right"), _RIGHT)
def test_the_wrong_option_is_told_the_right_one(folder: Path, option: str, name: str, right: str) -> None:
    if right.startswith(f"--{option}"):
        return
    options = parse_options([f"--{option}={name}"])
    with pytest.raises(UsageError) as caught:
        open_of_options(options.source, options.images, options.camera, options.reconnection, print)
    assert f": use {right}" in str(caught.value)
    assert f", not --{option}" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_the_right_option_hears_nothing_of_it(folder: Path) -> None:
    with open_video("clip.avi") as source:
        assert len(list(source)) == 5
    Path("clip.avi").rename("0")  # a file has the first right to a name
    with open_video("0") as source:
        assert len(list(source)) == 5


def test_an_image_may_be_named_by_a_url_and_not_by_a_number(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", (folder / "photo.jpg").as_uri(), "--model", "fast"]) == 0
    capsys.readouterr()
    assert main(["--image", "frame%04d.png", "--model", "fast"]) == 2
    assert capsys.readouterr().err.strip().endswith("is a pattern of images: use --image 'frame*.png'")


def test_pillows_own_limit_of_pixels_is_not_heard_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)  # it warns from there on, and refuses twice as much
    assert main(["--image", "photo.jpg", "--model", "fast"]) == 0
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64)
    assert main(["--video", "photo.jpg", "--model", "fast"]) == 2
    assert "use --image photo.jpg" in capsys.readouterr().err


def test_a_heic_photograph_is_no_video(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", "photo.heic", "--model", "fast"]) == 1  # an MP4 begins with the same box
    assert "--video" not in capsys.readouterr().err


def test_an_animation_may_be_a_video(folder: Path) -> None:
    frames = [Image.new("RGB", (64, 48), (level, 0, 0)) for level in (0, 99, 200)]
    frames[0].save("moves.gif", save_all=True, append_images=frames[1:])
    with open_video("moves.gif") as source:
        assert len(list(source)) == 3


def test_of_many_images_a_video_is_passed_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", "photo.jpg", "clip.avi", "--model", "fast"]) == 1
    said = capsys.readouterr().err
    assert "cannot read the image clip.avi: it is a video: name it by itself" in said
    assert "1 frame in" in said
    assert main(["--image", "photo.jpg", "rtsp://127.0.0.1:9/a", "--model", "fast"]) == 2


def test_a_number_is_a_camera_whatever_is_called_so(folder: Path) -> None:
    Path("97").mkdir()
    for opened in (
        lambda: open_source(97),
        lambda: open_source([97]),
        lambda: open_camera(97),
        lambda: open_camera("97"),
    ):
        with pytest.raises(SourceError, match="camera /dev/video97 does not exist"):
            opened()
    with pytest.raises(SourceError, match="no image in the folder 97"):
        open_source("97")


def test_the_sample_is_a_source_for_apps_as_well(folder: Path) -> None:
    with open_source("demo") as source:
        assert [frame.source for frame in source] == [str(DEMO_IMAGE)]
    Path("demo").mkdir()
    with pytest.raises(SourceError, match="no image in the folder demo"):
        open_source("demo")


def test_apps_are_told_too(folder: Path) -> None:
    with pytest.raises(UsageError, match="use --camera 0"):
        open_video("0")
    with pytest.raises(UsageError, match="use --video rtsp://127"):
        open_camera("rtsp://127.0.0.1:9/a")


def test_a_frame_rate_is_for_cameras_and_addresses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--video", "clip.avi", "--framerate", "5"]) == 2
    assert "--framerate needs --camera" in capsys.readouterr().err
    assert main(["--video", "http://127.0.0.1:9/snap.jpg", "--width", "5"]) == 2
    assert "--width needs --camera" in capsys.readouterr().err
    assert main(["--video", "http://127.0.0.1:9/snap.jpg", "--framerate", "5", "--model", "fast"]) == 1
    assert "nothing listens there" in capsys.readouterr().err
