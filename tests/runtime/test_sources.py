from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stn_rectify.runtime import (
    CameraSource,
    FrameSource,
    ImageSource,
    SourceError,
    UsageError,
    VideoSource,
    list_cameras,
)
from stn_rectify.runtime.sources.camera import as_bgr_frame
from stn_rectify.runtime.sources.threaded import ThreadedSource


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    """An MJPG video whose frame number n is grey level n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, size)
    for level in range(frames):
        writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.png, a.jpg, an upper-case suffix, a note, a hidden file, and a subfolder with an image."""
    for name, level in (("b.png", 20), ("a.jpg", 10), ("C.PNG", 30), (".hidden.png", 40), ("sub/d.png", 50)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (level, level, level)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def drain(source: FrameSource) -> tuple[int, SourceError | None]:
    """How many frames a source gives before it ends, and the error it ends with."""
    received = 0
    try:
        for _ in source:
            received += 1
    except SourceError as error:
        return received, error
    return received, None


def names(source: ImageSource) -> list[str]:
    return [Path(frame.source).name for frame in source]


def test_a_folder_gives_its_images_sorted(folder: Path) -> None:
    assert names(ImageSource(folder)) == ["C.PNG", "a.jpg", "b.png"]


@pytest.mark.parametrize(
    ("pattern", "expected"), [("*.png", ["b.png"]), ("**/*.png", ["b.png", "d.png"]), ("?.*", None)]
)
def test_a_glob_gives_its_matches_sorted(folder: Path, pattern: str, expected: list[str] | None) -> None:
    assert names(ImageSource(str(folder / pattern))) == (expected or ["C.PNG", "a.jpg", "b.png"])


def test_several_paths_keep_their_order(folder: Path) -> None:
    source = ImageSource([folder / "b.png", folder / "sub", str(folder / "a*")])
    frames = list(source)
    assert [Path(frame.source).name for frame in frames] == ["b.png", "d.png", "a.jpg"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert abs(frames[0].timestamp - time.time()) < 60


def test_a_file_name_with_brackets_is_not_a_glob(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "scan[1].png")
    assert names(ImageSource(str(tmp_path / "scan[1].png"))) == ["scan[1].png"]


@pytest.mark.parametrize(
    ("path", "message"), [("no.png", "does not exist"), ("no*.png", "nothing matches"), ("empty", "no image")]
)
def test_no_image_there(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        ImageSource(str(tmp_path / path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((6, 9, 3), np.uint8)
    upright[0, 0] = (255, 0, 0)  # red in RGB
    # How a camera stores the upright picture for each orientation (EXIF 2.32, section 4.6.4).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    (frame,) = ImageSource(tmp_path / "turned.png")
    np.testing.assert_array_equal(frame.image, upright[..., ::-1])


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), [30, 20, 10]),
        ("RGBA", (10, 20, 30, 40), [30, 20, 10]),
        ("CMYK", (255, 255, 0, 0), [255, 0, 0]),
        ("L", 77, 77),
        ("I;16", 0x4D00, 0x4D),
        ("1", 1, 255),
    ],
)
def test_image_modes(tmp_path: Path, mode: str, colour: object, expected: object) -> None:
    Image.new(mode, (5, 4), colour).save(tmp_path / "image.tif")
    (frame,) = ImageSource(tmp_path / "image.tif")
    assert frame.image.dtype == np.uint8
    assert frame.image.shape[:2] == (4, 5)
    assert frame.image[2, 2].tolist() == expected


def break_image(kind: str, path: Path) -> None:
    if kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "dangling link":
        path.unlink(missing_ok=True)
        path.symlink_to("nowhere.png")


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "dangling link"])
def test_a_broken_image_is_reported_and_the_batch_goes_on(folder: Path, kind: str) -> None:
    break_image(kind, folder / "a.jpg")
    errors: list[SourceError] = []
    assert names(ImageSource(folder, on_error=errors.append)) == ["C.PNG", "b.png"]
    assert len(errors) == 1
    assert "cannot read the image" in str(errors[0])
    assert "a.jpg" in str(errors[0])
    assert "\n" not in str(errors[0])
    with pytest.raises(SourceError, match=r"a\.jpg"):
        list(ImageSource(folder))


def test_stop_ends_a_batch(folder: Path) -> None:
    source = ImageSource(folder)
    seen = 0
    for _ in source:
        seen += 1
        source.stop()
    assert seen == 1


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


def test_images_have_no_position(folder: Path) -> None:
    assert {frame.position_s for frame in ImageSource(folder)} == {None}


def test_a_video_read_slowly_still_drops_nothing(tmp_path: Path) -> None:
    with VideoSource(write_video(tmp_path / "clip.avi", 10)) as source:
        count = 0
        for _ in source:
            time.sleep(0.02)
            count += 1
    assert (count, source.dropped) == (10, 0)


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


@pytest.mark.parametrize("name", ["none.mp4", "x" * 300, "nul\0.mp4"])
def test_a_missing_video(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        VideoSource(tmp_path / name)


def test_a_stream_nobody_serves_hides_the_password() -> None:
    with pytest.raises(SourceError, match="no stream there") as caught:
        VideoSource("rtsp://admin:secret@127.0.0.1:9/stream")
    assert "secret" not in str(caught.value)
    assert "rtsp://127.0.0.1:9/stream" in str(caught.value)


class CountingSource(ThreadedSource):
    """Delivers numbered frames, one per ``period_s``, then ends as it is told."""

    def __init__(self, count: int, *, live: bool, period_s: float = 0.0, ending: object = None) -> None:
        super().__init__("counter", live=live, timeout_s=0.5)
        self._left, self._period_s, self._ending = count, period_s, ending
        self.released = threading.Event()

    def _read(self) -> npt.NDArray[np.uint8] | None:
        if self._left == 0:
            if isinstance(self._ending, Exception):
                raise self._ending
            if self._ending == "hang":
                self.released.wait(3)
            return None
        time.sleep(self._period_s)
        self._left -= 1
        return np.zeros((2, 2), np.uint8)

    def _release(self) -> None:
        self.released.set()


def test_a_live_source_hands_over_the_newest_frame_and_counts_the_others() -> None:
    with CountingSource(50, live=True, period_s=0.005) as source:
        indices = []
        for frame in source:
            indices.append(frame.index)
            time.sleep(0.04)
    assert indices == sorted(set(indices))
    assert indices[-1] == 49
    assert len(indices) < 25
    assert len(indices) + source.dropped == 50
    assert source.released.is_set()


def test_a_source_that_hangs_is_an_error_not_a_hang() -> None:
    started = time.monotonic()
    source = CountingSource(3, live=False, ending="hang")
    frames = iter(source)
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"no frame for 0\.5 s"):
        next(frames)
    assert time.monotonic() - started < 2
    source.released.set()
    source.close()


@pytest.mark.parametrize(
    ("error", "message"), [(SourceError("unplugged"), "unplugged"), (ValueError("oops"), r"counter: .*oops")]
)
def test_an_error_in_the_thread_reaches_the_reader(error: Exception, message: str) -> None:
    with CountingSource(2, live=False, ending=error) as source:
        received, raised = drain(source)
    assert received == 2
    assert re.search(message, str(raised))


def test_stop_ends_a_blocked_reader_soon() -> None:
    source = CountingSource(1, live=True, ending="hang")
    threading.Timer(0.1, source.stop).start()
    started = time.monotonic()
    assert len(list(source)) == 1
    assert time.monotonic() - started < 0.4
    source.released.set()
    source.close()


def test_closing_leaves_no_thread(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 30)
    before = threading.active_count()
    for _ in range(20):
        with VideoSource(path) as source:
            next(iter(source))
    assert threading.active_count() == before


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
