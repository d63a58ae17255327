from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import ImageSource, SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """b.png, a.jpg, an upper-case suffix, a note, a hidden file, and a subfolder with an image."""
    for name, level in (("b.png", 20), ("a.jpg", 10), ("C.PNG", 30), (".hidden.png", 40), ("sub/d.png", 50)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (level, level, level)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


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
        ("RGBA", (10, 20, 30, 255), [30, 20, 10]),
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


def test_images_have_no_position(folder: Path) -> None:
    assert {frame.position_s for frame in ImageSource(folder)} == {None}
