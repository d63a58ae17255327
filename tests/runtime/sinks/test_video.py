from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, StnRectifyError, UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import make_parser, options_as_toml, parse_options
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES, VideoSink, video


def captured(index: int, seconds: float = 0.0, shape: tuple[int, int] = (121, 160)) -> CapturedFrame:
    return CapturedFrame("camera", index, 1700000000.0 + seconds, np.full((*shape, 3), 90, np.uint8))


def result(width: int = 60, level: int = 200) -> Rectification:
    corners = np.array([[10.0, 5.0], [50.0, 8.0], [48.0, 30.0], [12.0, 33.0]])
    return Rectification(np.full((40, width, 3), level, np.uint8), corners, np.eye(3), 0.9, 1.5)


def write_noise(path: Path, count: int, end: Callable[[], object] = lambda: None, **options: bool) -> None:
    """Frames that the codec cannot make small."""
    noise = np.random.default_rng(0)
    with VideoSink(path, **options) as sink:
        for index in range(count):
            frame = captured(index)
            frame.image[:] = noise.integers(0, 256, frame.image.shape)
            sink.write(frame, result())
        end()


def frames(path: Path) -> list[np.ndarray]:
    capture, read = cv2.VideoCapture(str(path)), []
    while (got := capture.read())[0]:
        read.append(got[1])
    return read


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_every_result_is_a_picture_and_the_name_comes_last(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoSink(path, framerate=12.5) as sink:
        for index in range(10):
            sink.write(captured(index), result(60 if index < 5 else 20, 20 * index))
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    read = frames(path)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, abs=0.1)
    assert [image.shape for image in read] == [(122, 320, 3)] * 10
    assert read[2][60, 200].mean() == pytest.approx(40, abs=12)  # the rectified image
    assert read[8][60, 180].mean() == pytest.approx(160, abs=12)
    assert read[8][60, 280].mean() == pytest.approx(32, abs=12)  # beside a narrow one


@pytest.mark.parametrize("name", ["10:00:00", "concat:a", "http:a", "file:a", "-a", "a%d", "a%03d", "a?b", "pipe:"])
def test_a_name_that_ffmpeg_takes_for_something_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoSink(f"{name}.mkv") as sink:
        sink.write(captured(0), result())
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.mkv"]
    assert len(frames(tmp_path / f"{name}.mkv")) == 1


def test_frames_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mkv") as sink:
        for index, shape in enumerate([(120, 160), (480, 640), (50, 30)]):
            sink.write(captured(index, shape=shape), result())
    assert [image.shape for image in frames(tmp_path / "out.mkv")] == [(120, 320, 3)] * 3


def test_a_cameras_video_keeps_time(tmp_path: Path) -> None:
    """Frames come at 10 per second, late, early, after a pause of an hour, and from a clock that was set back."""
    times = [0.0, 0.1, 0.2, 0.45, 0.46, 0.47, 0.6, 3600.0, 3600.1, -50.0, -49.9]
    with VideoSink(tmp_path / "out.avi", framerate=20, real_time=True) as sink:
        for index, seconds in enumerate(times):
            sink.write(captured(index, seconds), result())
    real_s = 0.6 + 1.0 + 0.1 + 0.0 + 0.1
    assert len(frames(tmp_path / "out.avi")) == round(20 * real_s) + 1


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"out\.mp4 exists: remove it, or choose another name"):
        VideoSink(path)
    assert path.read_bytes() == b"mine"


def test_without_frames_there_is_no_video(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4").close()
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StnRectifyError, match=r"cannot write .*out\.mp4: No such file or directory"):
        VideoSink(tmp_path / "none" / "out.mp4")
    with pytest.raises(UsageError, match=r"its name ends with \.mp4"):
        VideoSink(tmp_path / "out.webm")


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_after_a_kill_what_was_written_can_be_watched(tmp_path: Path, suffix: str) -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_video import write_noise
write_noise(sys.argv[1], 100, end=lambda: os.kill(os.getpid(), 9))
"""
    arguments = [str(tmp_path / f"out{suffix}"), str(Path(__file__).parent)]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / f"out{suffix}").exists()
    assert len(frames(tmp_path / f"out.partial{suffix}")) > 20


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may exceed 2 MB."""
    before, ignore = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignore)


@pytest.mark.usefixtures("small_files")
def test_a_file_that_may_not_grow_is_one_error_and_a_whole_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_RESERVE_BYTES", 1_000_000)
    with pytest.raises(StnRectifyError, match=r"out\.mp4: File too large; "):
        write_noise(tmp_path / "out.mp4", 1000)
    assert 10 < len(frames(tmp_path / "out.mp4")) < 1000


@pytest.mark.usefixtures("small_files")
def test_a_video_that_could_not_be_ended_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk whose quota says nothing before it is used up."""
    monkeypatch.setattr(VideoSink, "_has_room", lambda self: True)
    with pytest.raises(StnRectifyError, match=r"the video is not complete; is the disk full\?"):
        write_noise(tmp_path / "out.mp4", 600)
    assert os.listdir(tmp_path) == ["out.partial.mp4"]


def test_output_takes_pixels_and_a_video(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('demo = true\noutput = ["model", "a.mp4"]\n')
    for words in ("--demo --output model a.mp4", "--demo --output a.mp4 --output model", f"--config {file}"):
        model = parse_options(words.split()).model
        assert (model.pixel_source, model.video_file) == ("model", "a.mp4")
    other = parse_options(["--config", str(file), "--output", "frame", "--output", "b.MKV"]).model
    assert (other.pixel_source, other.video_file) == ("frame", "b.MKV")
    file.write_text('demo = true\noutput = "frame"\n')
    only = parse_options(["--config", str(file)]).model
    assert (only.pixel_source, only.video_file) == ("frame", None)
    assert parse_options(["--demo"]).model.pixel_source is None


def test_output_survives_print_config(tmp_path: Path) -> None:
    words = "--demo --output model out.mp4 --save d --save-limit 1.5G --mqtt mqtt://me@h/t"
    options = parse_options(words.split())
    file = tmp_path / "options.toml"
    file.write_text(options_as_toml(options))
    again = parse_options(["--config", str(file)])
    assert replace(again, program=options.program) == options


def test_another_output_is_one_line_that_names_both_uses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--output", "video.gif"])
    line = capsys.readouterr().err
    assert "'video.gif' is neither frame nor model" in line
    assert ".mp4, .mkv, .avi, .mov" in line


def test_an_address_is_no_place_for_a_video(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--output", "rtsp://me:SECRET@camera/video.mkv"])
    line = capsys.readouterr().err
    assert "'rtsp://camera/video.mkv' is an address: a video is written to a file" in line


def test_the_command_writes_the_video_at_the_sources_rate(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "in.avi", framerate=10) as sink:
        for index in range(4):
            sink.write(captured(index), result())
    out = tmp_path / "out-%Y.mp4"
    words = ["--video", str(tmp_path / "in.avi"), "--model", "fast", "--output", str(out)]
    assert main(words) == 0
    assert main(words) == 2  # it exists now
    (written,) = tmp_path.glob("out-20[0-9][0-9].mp4")
    assert cv2.VideoCapture(str(written)).get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert [image.shape for image in frames(written)] == [(122, 640, 3)] * 4
