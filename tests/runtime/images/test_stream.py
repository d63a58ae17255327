from __future__ import annotations

import contextlib
import io
import os
import select
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import ImageSource, SourceError, StnRectifyWarning
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


SMALL = np.ascontiguousarray(NOISE[:30, :40])


def pnm(kind: int, **options: int) -> bytes:
    """A PNM image of each of its six kinds, with a comment."""
    greatest = options.get("greatest", 255)
    samples = SMALL if kind in (3, 6) else SMALL[..., 0]
    if kind in (1, 4):
        bits = samples > 127
        text = " ".join(map(str, bits.ravel().astype(int))).encode()
        return b"P%d\n# a comment\n40 30\n" % kind + (np.packbits(bits, axis=1).tobytes() if kind == 4 else text)
    wide = samples.astype(np.uint16) * (greatest // 255)
    data = " ".join(map(str, wide.ravel())).encode() + b"\n"
    if kind > 3:
        data = wide.astype(">u2").tobytes() if greatest > 255 else samples.tobytes()
    return b"P%d\n# a comment\n40 30\n%d\n" % (kind, greatest) + data


def pam() -> bytes:
    return b"P7\nWIDTH 40\nHEIGHT 30\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + SMALL.tobytes()


def big_endian_tiff() -> bytes:
    samples = SMALL[..., 0].astype(">u2") * 256
    entries = [
        (256, 40),
        (257, 30),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 30),
        (279, samples.nbytes),
    ]
    table = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in entries)
    head = struct.pack(">2sHI", b"MM", 42, 8 + samples.nbytes)
    return head + samples.tobytes() + struct.pack(">H", len(entries)) + table + bytes(4)


def pages(kind: str) -> bytes:
    file = io.BytesIO()
    images = [Image.fromarray(np.roll(SMALL, place, 0)) for place in range(3)]
    images[0].save(file, kind, save_all=True, append_images=images[1:])
    return file.getvalue()


#: Images whose end their own bytes tell.
OTHER_IMAGES = {
    "BMP": encoded("BMP"),
    "BMP of 256 colours": cv2.imencode(".bmp", NOISE[..., 0])[1].tobytes(),
    "BMP whose header says too little": encoded("BMP")[:2] + bytes(4) + encoded("BMP")[6:],
    "WebP": encoded("WEBP"),
    "WebP without loss": encoded("WEBP", lossless=True),
    "animated WebP": pages("WEBP"),
    "GIF": encoded("GIF"),
    "animated GIF": pages("GIF"),
    "TIFF": encoded("TIFF"),
    "packed TIFF": encoded("TIFF", compression="tiff_lzw"),
    "TIFF of OpenCV": cv2.imencode(".tif", NOISE)[1].tobytes(),
    "TIFF of pages": pages("TIFF"),
    "big-endian TIFF": big_endian_tiff(),
    **{f"P{kind}": pnm(kind) for kind in range(1, 7)},
    **{f"P{kind} of 16 bits": pnm(kind, greatest=65535) for kind in (2, 3, 5, 6)},
    "PAM": pam(),
    "PFM": cv2.imencode(".pfm", SMALL.astype(np.float32))[1].tobytes(),
    "JPEG 2000": encoded("JPEG2000"),
    "JPEG 2000 without boxes": encoded("JPEG2000", no_jp2=True),
    "QOI": encoded("QOI") if "QOI" in Image.SAVE else cv2.imencode(".ppm", SMALL)[1].tobytes(),
}


@pytest.mark.parametrize("kind", OTHER_IMAGES)
def test_images_of_other_kinds_follow_one_another(
    kind: str, pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = OTHER_IMAGES[kind]
    pieces = split(pipe(image * 3, 4093))
    assert [piece.rstrip(b"\n\0") for piece in pieces] == [image.rstrip(b"\n\0")] * 3  # without what fills a block
    (tmp_path / "images").write_bytes(image + IMAGES["PNG"] + image)
    with (tmp_path / "images").open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        frames = list(ImageSource("-"))
    each = 3 if kind in ("animated WebP", "animated GIF", "TIFF of pages") else 1
    numbers = [1, 2, 3] if each == 3 else [None]
    assert [frame.page for frame in frames] == [*numbers, None, *numbers]
    np.testing.assert_array_equal(frames[0].image, frames[-each].image)


#: Of text, and of boxes: they end where something else begins.
OPEN_ENDED = ("P1", "P2", "P2 of 16 bits", "P3", "P3 of 16 bits", "JPEG 2000")


@pytest.mark.parametrize("kind", [kind for kind in OTHER_IMAGES if kind not in OPEN_ENDED])
def test_an_image_of_another_kind_is_handed_over_before_the_next_has_come(kind: str) -> None:
    reader, writer = os.pipe()
    sender = threading.Thread(target=os.write, args=(writer, OTHER_IMAGES[kind]))
    sender.start()
    assert next(split_images(reader, lambda: False)).rstrip(b"\0") == OTHER_IMAGES[kind].rstrip(b"\0")
    sender.join()
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize("between", [b"\n", b"\r\n\0\0", bytes(7)])
def test_blanks_between_images_are_nothing(between: bytes, pipe: Pipe, recwarn: pytest.WarningsRecorder) -> None:
    images = [OTHER_IMAGES["P6"], OTHER_IMAGES["BMP"], IMAGES["JPEG"], OTHER_IMAGES["JPEG 2000"]]
    assert split(pipe(between.join(images))) == images
    assert not list(recwarn)


def test_what_lies_between_images_and_is_none_is_counted(pipe: Pipe) -> None:
    with pytest.warns(StnRectifyWarning, match="standard input: 5 bytes between or behind images belong to none"):
        assert split(pipe(IMAGES["PNG"] + b"hello" + IMAGES["JPEG"])) == [IMAGES["PNG"], IMAGES["JPEG"]]


def test_one_image_of_a_kind_that_does_not_tell_its_end_is_read_and_more_are_an_error(pipe: Pipe) -> None:
    image = encoded("TGA")
    assert split(pipe(image)) == [image]
    images = split_images(pipe(image * 2), lambda: False)
    assert next(images) == image * 2
    with pytest.raises(SourceError, match="more images seem to follow the first"):
        next(images)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(OTHER_IMAGES["TIFF"][:4] + b"\xff\xff\xff\x7f" + OTHER_IMAGES["TIFF"][8:], id="TIFF"),
        pytest.param(b"P6\n99999 99999\n255\n" + bytes(99), id="P6"),
        pytest.param(b"RIFF\xff\xff\xff\xffWEBP" + bytes(99), id="WebP"),
    ],
)
def test_a_length_that_no_image_has_takes_no_other_with_it(damaged: bytes, pipe: Pipe) -> None:
    assert split(pipe(damaged + IMAGES["PNG"]))[-1] == IMAGES["PNG"]


@pytest.mark.parametrize("kind", OTHER_IMAGES)
def test_damage_ends_in_errors_of_images_and_no_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        content = bytearray(OTHER_IMAGES[kind] * 2)
        for place in generator.integers(0, min(len(content), 400), 3):
            content[place] = generator.integers(0, 256)
        (tmp_path / "broken").write_bytes(content[: generator.integers(1, len(content))])
        with (tmp_path / "broken").open("rb") as file:
            monkeypatch.setattr(sys, "stdin", file)
            with contextlib.suppress(SourceError):
                assert all(frame.image.ndim in (2, 3) for frame in ImageSource("-", on_error=lambda error: None))


def test_what_a_phone_appends_to_a_photograph_is_no_image(pipe: Pipe) -> None:
    photo = IMAGES["JPEG"]
    assert split(pipe(photo + b"\n")) == [photo]
    with pytest.warns(StnRectifyWarning, match="80000 bytes between or behind images belong to none: left out"):
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
