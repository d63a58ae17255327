from __future__ import annotations

import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import SourceError, VideoSource, open_source
from tests.runtime.sources.frame_sources import drain, write_video
from tests.waiting import wait_for


def test_a_video_gives_every_frame_in_order(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "clip.avi", 40)) as source:
        frames = list(source)
    assert "64x48 at 25 frames/s" in source.description
    assert [frame.index for frame in frames] == list(range(40))
    levels = [frame.image.mean() for frame in frames]
    np.testing.assert_allclose(levels, range(40), atol=2)
    assert source.dropped == 0


def test_a_videos_frames_know_where_in_the_file_they_are(tmp_path: Path) -> None:
    positions = [frame.position_s for frame in VideoSource(write_video(tmp_path / "count.avi", 10))]
    np.testing.assert_allclose(positions, np.arange(10) / 25, atol=1e-3)


def test_a_video_read_slowly_still_drops_nothing(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "clip.avi", 10)) as source:
        count = 0
        for _ in source:
            time.sleep(0.02)
            count += 1
    assert (count, source.dropped) == (10, 0)


@pytest.mark.parametrize(
    "name",
    ["10:00:00", "concat:a", "http:a", "file:a", "-a", "a%d", "a%03d", "a?b=c", "a#b", "subfile,,start,0,end,0,:a"],
)
def test_a_name_that_ffmpeg_takes_for_something_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.avi", 5).rename(tmp_path / f"{name}.avi")
    monkeypatch.chdir(tmp_path)
    for path in (f"{name}.avi", f"./{name}.avi", tmp_path / f"{name}.avi"):
        with VideoSource(path) as source:
            assert drain(source) == (5, None)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_video_cut_short_gives_its_frames_then_an_error(tmp_path: Path, share: float) -> None:
    path = write_video(tmp_path / "clip.avi", 100)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with VideoSource(path) as source:
        received, error = drain(source)
    assert received > 10
    assert "clip.avi is cut short" in str(error)


@pytest.mark.parametrize("content", [b"", b"not a video" * 100, b"RIFF\0\0\0\0AVI "])
def test_a_file_that_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot open the video .*clip\.avi"):
        VideoSource(path)


def _pdf(folder: Path) -> bytes:
    Image.new("RGB", (64, 48)).save(folder / "made.pdf", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    return (folder / "made.pdf").read_bytes()


def _tar(folder: Path) -> bytes:
    Image.new("RGB", (64, 48)).save(folder / "made.jpg")
    with tarfile.open(folder / "made.tar", "w") as archive:
        archive.add(folder / "made.jpg")
    return (folder / "made.tar").read_bytes()


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("three.pdf", _pdf, r"it is a PDF: pdftoppm -png makes images of it"),
        ("clip.mp4", _pdf, r"it is a PDF: pdftoppm"),  # whatever it is called
        ("scan", lambda folder: b"\n\n" + _pdf(folder), r"it is a PDF: pdftoppm"),
        ("photos.tar", _tar, r"it is an archive: unpack it"),
        ("photos.zip", lambda _: b"PK\x03\x04" + bytes(60), r"it is an archive, .*: unpack it"),
        ("song.mp3", lambda _: b"ID3\x04" + bytes(60), r"it is sound"),
        (
            "mine.tflite",
            lambda _: b"\x1c\0\0\0TFL3" + bytes(60),
            r"a TensorFlow Lite model: give it as the model \(--model\)",
        ),
        ("mine.keras", lambda _: b"PK\x03\x04" + bytes(60), r"Keras model"),
        ("note.txt", lambda _: "Grüße\n".encode(), r"it is text, neither an image nor a video"),
        ("long.txt", lambda _: "Grüße\n".encode() * 1000, r"it is text, neither an image nor a video"),
        ("data", lambda _: bytes(range(256)), r"it is neither an image nor a video"),
        ("photo.raf", lambda _: bytes(100), r"develop"),
        ("empty", lambda _: b"", r"it is empty"),
    ],
)
def test_what_is_neither_image_nor_video_is_called_by_its_name(
    tmp_path: Path, name: str, make: Callable[[Path], bytes], message: str
) -> None:
    """FFmpeg takes the first picture of a PDF for a video, and gives it once for each page."""
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    for opened in (VideoSource, open_source):
        with pytest.raises(SourceError, match=rf"cannot read .*{name}: .*{message}"):
            opened(path)


@pytest.mark.parametrize("name", ["none.mp4", "x" * 300, "nul\0.mp4"])
def test_a_missing_video(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        VideoSource(tmp_path / name)


def test_closing_leaves_no_thread(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 30)
    before = threading.active_count()
    for _ in range(20):
        with VideoSource(path) as source:
            next(iter(source))
    wait_for("the threads to end", lambda: threading.active_count() == before)
