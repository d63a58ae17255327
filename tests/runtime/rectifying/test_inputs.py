"""What `Rectifier` takes for a frame: arrays, paths, bytes, Pillow images, open files; and streams of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import (
    CapturedFrame,
    DataError,
    FrameSource,
    ImageSource,
    Rectifier,
    SourceError,
    StnRectifyWarning,
    UsageError,
)
from stn_rectify.runtime.errors import StnRectifyError


@pytest.fixture
def rectifier(model: Path) -> Iterator[Rectifier]:
    with Rectifier(model) as made:
        yield made


@pytest.fixture
def picture(frame: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), frame)
    return path


AS: dict[str, Callable[[Path], object]] = {
    "a path": lambda path: path,
    "a path as text": str,
    "bytes": lambda path: path.read_bytes(),
    "a bytearray": lambda path: bytearray(path.read_bytes()),
    "a memoryview": lambda path: memoryview(path.read_bytes()),
    "a Pillow image": Image.open,
    "a loaded Pillow image": lambda path: Image.open(path).convert("RGBA"),
    "an open file": lambda path: path.open("rb"),
    "a file in memory": lambda path: io.BytesIO(path.read_bytes()),
}


@pytest.mark.parametrize("given", AS.values(), ids=AS.keys())
def test_an_image_is_what_its_pixels_are(
    given: Callable[[Path], object], rectifier: Rectifier, picture: Path, frame: np.ndarray
) -> None:
    expected = rectifier.rectify(frame)
    result, location = rectifier.rectify(given(picture)), rectifier.locate(given(picture))
    np.testing.assert_array_equal(result.image, expected.image)
    np.testing.assert_array_equal(location.corners, expected.corners)
    assert [one.score for one in rectifier.rectify_all(given(picture))] == [expected.score]
    sampled = rectifier.sample(given(picture), location)
    np.testing.assert_array_equal(sampled.image, expected.image)
    assert result.frame is not None
    np.testing.assert_array_equal(result.frame.image, frame)
    assert expected.frame is None


def test_results_say_which_file_they_are_of(rectifier: Rectifier, picture: Path) -> None:
    for given in (picture, str(picture), Image.open(picture), picture.open("rb")):
        values = rectifier.rectify(given).to_dict()
        assert (values["source"], values["frame"]) == (str(picture), 0)
    assert rectifier.rectify(picture.read_bytes()).to_dict()["source"] == "image"


def test_pillow_images_are_seen_upright(rectifier: Rectifier, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(path, exif=exif)
    for given in (path, Image.open(path), Image.open(path).convert("RGB")):
        result = rectifier.rectify(given)
        assert result.frame is not None
        assert result.frame.image.shape == (50, 30, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F", "HSV", "LAB"])
def test_pillow_images_of_every_mode(rectifier: Rectifier, mode: str) -> None:
    result = rectifier.rectify(Image.new(mode, (50, 30)))
    assert result.frame is not None
    assert result.frame.image.dtype == np.uint8
    assert result.frame.image.shape[:2] == (30, 50)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        pytest.param(
            "missing.jpg", SourceError, "missing.jpg: No such file or directory: check the path", id="no file"
        ),
        pytest.param(".", SourceError, "it is a folder: open it with Rectifier.stream", id="a folder"),
        pytest.param("*.jpg", SourceError, "it is a pattern: open it with Rectifier.stream", id="a pattern"),
        pytest.param("http://host/a.jpg", SourceError, "address: open it with Rectifier.stream", id="an address"),
        pytest.param("", SourceError, "no path", id="an empty path"),
        pytest.param("a\0b", SourceError, "no path", id="a path with a zero in it"),
        pytest.param(b"", SourceError, "no bytes", id="no bytes"),
        pytest.param(b"GIF89a", SourceError, "cannot read the image from bytes", id="broken bytes"),
        pytest.param(io.StringIO("text"), SourceError, "open it with mode 'rb'", id="a text file"),
        pytest.param(None, DataError, "None, as cv2.imread", id="None"),
        pytest.param([1, 2], DataError, "list, not a NumPy array.*several images go to Rectifier.stream", id="a list"),
        pytest.param(0, DataError, "a camera's number goes to Rectifier.stream", id="a camera's number"),
    ],
)
def test_what_is_no_image_is_one_clear_error(
    rectifier: Rectifier, given: object, error: type[StnRectifyError], message: str
) -> None:
    with pytest.raises(error, match=message):
        rectifier.rectify(given)


def test_a_stream_of_a_folder_goes_on_past_a_broken_file(rectifier: Rectifier, images: Path) -> None:
    (images / "three.png").write_bytes(b"broken")
    with pytest.warns(StnRectifyWarning, match="three.png"):
        results = list(rectifier.stream(images))
    assert [Path(result.frame.source).name for result in results] == ["one.png", "two.jpg"]
    errors: list[StnRectifyError] = []
    assert len(list(rectifier.stream(str(images), on_error=errors.append))) == 2
    assert len(errors) == 1


def test_a_stream_of_nothing_but_broken_files_raises(rectifier: Rectifier, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"a\.png"), pytest.warns(StnRectifyWarning):
        list(rectifier.stream(tmp_path / "a.png"))


def test_in_a_stream_a_video_begins_at_0_and_images_are_numbered_on(
    rectifier: Rectifier, picture: Path, frame: np.ndarray, tmp_path: Path
) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (frame.shape[1], frame.shape[0]))
    for _ in range(3):
        writer.write(frame)
    writer.release()
    frames = [result.frame for result in rectifier.stream([picture, str(video), picture, str(picture)])]
    names = [(Path(frame.source).name, frame.index, frame.is_still) for frame in frames if frame]
    assert names == [
        ("picture.png", 0, True),
        *[("clip.avi", number, False) for number in (0, 1, 2)],
        ("picture.png", 1, True),
        ("picture.png", 2, True),
    ]
    assert [result.frame.source for result in rectifier.stream(video)] == [str(video)] * 3


def test_a_stream_takes_an_open_source_and_leaves_it_open(rectifier: Rectifier, images: Path) -> None:
    with ImageSource(images) as source:
        assert len(list(rectifier.stream(source))) == 3
        assert not source.is_stopped


def test_a_stream_goes_on_past_a_frame_that_the_model_does_not_take(rectifier: Rectifier, frame: np.ndarray) -> None:
    class Mixed(FrameSource):
        def __iter__(self) -> Iterator[CapturedFrame]:
            for index, image in enumerate((frame, np.dstack([frame, frame[..., :1]]), frame)):
                yield CapturedFrame("mixed", index, 0.0, image)

    errors: list[StnRectifyError] = []
    results = list(rectifier.stream(Mixed(), on_error=errors.append))
    assert [result.frame.index for result in results if result.frame] == [0, 2]
    assert [str(error)[:34] for error in errors] == ["mixed: the frame has 4 channels: d"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("missing", "nothing to rectify: there is no such file", id="no such thing"),
        pytest.param([], "source is empty", id="nothing"),
        pytest.param(3.5, "must be a path, an address, the number of a camera", id="a number with a point"),
        pytest.param(True, "must be a path", id="a flag"),
        pytest.param([np.zeros((4, 3), np.uint8)], r"source is an array \[4, 3\] of uint8: must be", id="arrays"),
        pytest.param(["rtsp://host/1", "photo.jpg"], "need not end: name it last", id="an endless one in front"),
        pytest.param(["-", "photo.jpg"], "goes with nothing else", id="standard input and more"),
    ],
)
def test_what_is_no_source_is_one_clear_error(rectifier: Rectifier, source: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        next(rectifier.stream(source))


def test_options_that_no_source_takes_are_refused(rectifier: Rectifier, images: Path) -> None:
    with pytest.raises(UsageError, match="width is for cameras"):
        next(rectifier.stream(images, width=640))
    with pytest.raises(UsageError, match="framerate is for cameras"):
        next(rectifier.stream(images, framerate=5))
    with pytest.raises(UsageError, match="no option 'max_targets'; a Pipeline finds several: it takes max_pixels, "):
        next(rectifier.stream(images, max_targets=2))
    with pytest.raises(UsageError, match=r"no option 'widht': it takes .*width"):
        next(rectifier.stream(0, widht=640))
