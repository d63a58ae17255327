from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import ImageSource, SourceError
from stn_rectify.runtime.images.stream import split_images

Pipe = Callable[..., int]
NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)  # compresses to more than a pipe's read


def encoded(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


IMAGES = {
    "JPEG": encoded("JPEG"),
    "progressive JPEG": encoded("JPEG", progressive=True, quality=95),
    "JPEG with restart markers": encoded("JPEG", restart_marker_blocks=4),
    "JPEG with a thumbnail in EXIF": encoded("JPEG", exif=b"Exif\0\0" + encoded("JPEG", quality=20)[:60000]),
    "JPEG from OpenCV": cv2.imencode(".jpg", NOISE)[1].tobytes(),
    "PNG": encoded("PNG"),
}


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Writes bytes into a pipe in pieces, from a thread; gives the end to read from."""
    opened, threads = [], []

    def write(content: bytes, piece: int = 1 << 16) -> int:
        reader, writer = os.pipe()
        opened.append(reader)

        def run() -> None:
            with open(writer, "wb", buffering=0) as file:
                for start in range(0, len(content), piece):
                    file.write(content[start : start + piece])

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return reader

    yield write
    for thread in threads:
        thread.join()
    for reader in opened:
        os.close(reader)


def split(descriptor: int) -> list[bytes]:
    return list(split_images(descriptor, lambda: False))


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_comes_out_as_it_went_in(kind: str, pipe: Pipe) -> None:
    assert split(pipe(IMAGES[kind])) == [IMAGES[kind]]
    assert split(pipe(IMAGES[kind] * 3)) == [IMAGES[kind]] * 3


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_images_of_both_kinds_in_pieces_of_any_size(piece: int, pipe: Pipe) -> None:
    small = [cv2.imencode(suffix, NOISE[:9, :9])[1].tobytes() for suffix in (".jpg", ".png", ".png", ".jpg")]
    assert split(pipe(b"".join(small), piece)) == small


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP"])
def test_any_other_image_goes_to_the_end(kind: str, pipe: Pipe) -> None:
    assert split(pipe(encoded(kind))) == [encoded(kind)]


def test_what_a_phone_appends_to_a_photograph_is_no_image(pipe: Pipe) -> None:
    photo = IMAGES["JPEG"]
    assert split(pipe(photo + b"\n")) == [photo]
    assert split(pipe(photo + b"SEFH" * 20000 + photo)) == [photo, photo]


def test_a_photograph_with_another_picture_inside_is_one(pipe: Pipe) -> None:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "MPO", save_all=True, append_images=[Image.fromarray(NOISE[:8, :8])])
    (photo,) = split(pipe(file.getvalue()))
    assert Image.open(io.BytesIO(photo)).size == (120, 90)


def test_an_image_is_handed_over_before_the_next_has_come() -> None:
    reader, writer = os.pipe()
    os.write(writer, IMAGES["JPEG from OpenCV"])
    images = split_images(reader, lambda: False)
    assert next(images) == IMAGES["JPEG from OpenCV"]
    os.close(writer)
    assert list(images) == []
    os.close(reader)


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("missing", [1, 2, 4, 9])
def test_an_image_waits_for_its_last_bytes(kind: str, missing: int) -> None:
    image = IMAGES[kind]
    reader, writer = os.pipe()
    sender = threading.Thread(target=os.write, args=(writer, image[:-missing]))
    sender.start()
    polls = 0

    def send_the_rest_when_all_was_read() -> bool:
        nonlocal polls
        if not sender.is_alive() and not select.select([reader], [], [], 0)[0]:
            polls += 1
            if polls == 1:
                os.write(writer, image[-missing:])
        return False

    assert next(split_images(reader, send_the_rest_when_all_was_read)) == image
    os.close(writer)
    os.close(reader)


def test_stop_ends_the_wait_for_an_image() -> None:
    reader, writer = os.pipe()
    os.write(writer, IMAGES["PNG"][:100])
    asked = iter([False, False, True])
    assert list(split_images(reader, lambda: next(asked, True))) == []
    os.close(writer)
    os.close(reader)


def test_random_bytes_end_with_an_error_of_the_image_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        content = bytearray(b"".join(IMAGES[kind] for kind in ("JPEG", "PNG", "JPEG")))
        for place in generator.integers(0, len(content), 20):
            content[place] = generator.integers(0, 256)
        (tmp_path / "broken").write_bytes(content[: generator.integers(1, len(content))])
        errors: list[SourceError] = []
        with (tmp_path / "broken").open("rb") as file:
            monkeypatch.setattr(sys, "stdin", file)
            frames = list(ImageSource("-", on_error=errors.append))
        assert all(frame.image.ndim == 3 for frame in frames)
        assert all("cannot read the image stdin" in str(error) for error in errors)
        assert frames or errors


def test_a_broken_image_in_standard_input_is_reported_and_the_next_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = bytearray(IMAGES["PNG"])
    broken[60:1000] = bytes(940)
    (tmp_path / "images").write_bytes(IMAGES["PNG"] + broken + IMAGES["PNG"])
    errors: list[SourceError] = []
    with (tmp_path / "images").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        frames = list(ImageSource("-", on_error=errors.append))
    assert [(frame.source, frame.index) for frame in frames] == [("stdin", 0), ("stdin", 2)]
    np.testing.assert_array_equal(frames[1].image[..., ::-1], NOISE)
    assert len(errors) == 1
    assert "cannot read the image stdin" in str(errors[0])


@pytest.mark.parametrize("kind", [kind for kind in IMAGES if "JPEG" in kind])
@pytest.mark.parametrize("following", ["JPEG", "JPEG with a thumbnail in EXIF", "PNG"])
def test_a_jpeg_that_is_cut_off_takes_no_other_with_it(kind: str, following: str, pipe: Pipe) -> None:
    whole, good = IMAGES[kind], IMAGES[following]
    for cut in (-2, -3, -100, -1001, -len(whole) // 5):
        assert split(pipe(whole[:cut] + good * 2)) == [whole[:cut], good, good]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"hello", "cannot read the image stdin: it is no image")]
)
def test_standard_input_without_an_image(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input").write_bytes(content)
    with (tmp_path / "input").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(SourceError, match=message):
            list(ImageSource("-"))


def test_standard_input_goes_with_no_other_image() -> None:
    with pytest.raises(SourceError, match="name it alone"):
        ImageSource(["-", "a.png"])
