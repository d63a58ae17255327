from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from stn_rectify.runtime import ImageSource, SourceError, StnRectifyWarning
from stn_rectify.runtime.images.reading import image_size, read_image, read_pages

Pixels = npt.NDArray[np.uint8]
#: A picture with all levels: smooth, so that no lossy format changes it much.
ROWS, COLUMNS = np.mgrid[0:48, 0:64]
PICTURE = np.stack([COLUMNS * 4, ROWS * 5, 255 - COLUMNS * 3], -1).astype(np.uint8)  # RGB
GREY = (COLUMNS * 4).astype(np.uint8)


def seen(file: Path, expected: Pixels, tolerance: int = 2) -> bool:
    image = read_image(file)
    return image.shape == expected.shape and bool((np.abs(image.astype(int) - expected) <= tolerance).all())


def save_pages(file: Path, kind: str, count: int = 3) -> list[int]:
    """Images of levels 40, 80, …; returns these."""
    levels = [40 * (place + 1) for place in range(count)]
    images = [Image.new("RGB", (40, 30), (level,) * 3) for level in levels]
    images[0].save(file, kind, save_all=True, append_images=images[1:])
    return levels


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "GIF", "PNG", "MPO"])
def test_each_page_or_frame_is_a_result(kind: str, tmp_path: Path) -> None:
    levels = save_pages(tmp_path / "pages", kind, 2 if kind == "MPO" else 3)  # Pillow 10 writes no third one
    frames = list(ImageSource(tmp_path / "pages"))
    assert [(frame.index, frame.page) for frame in frames] == [(k, k + 1) for k in range(len(levels))]
    for frame, level in zip(frames, levels, strict=True):
        assert np.abs(frame.image.astype(int) - level).max() <= 3
    Image.new("RGB", (9, 9)).save(tmp_path / "one", "TIFF")
    assert [frame.page for frame in ImageSource(tmp_path / "one")] == [None]


def test_a_page_that_is_damaged_takes_no_other_with_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    images = [Image.fromarray(noise) for _ in range(3)]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:], compression="tiff_adobe_deflate")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with Image.open(tmp_path / "a.tif") as opened:
        opened.seek(1)
        start = opened.tag_v2[273][0]  # type: ignore[attr-defined]
    content[start + 50 : start + 400] = bytes(350)
    (tmp_path / "a.tif").write_bytes(content)
    errors: list[SourceError] = []
    frames = list(ImageSource(tmp_path / "a.tif", on_error=errors.append))
    assert [(frame.index, frame.page) for frame in frames] == [(0, 1), (2, 3)]
    assert len(errors) == 1
    assert "(page 2 of 3)" in str(errors[0])


def test_where_one_image_is_wanted_further_pages_are_named(tmp_path: Path) -> None:
    save_pages(tmp_path / "pages.tif", "TIFF")
    with pytest.warns(StnRectifyWarning, match=r"pages\.tif has 3 pages or frames: the first is taken"):
        assert read_image(tmp_path / "pages.tif")[0, 0, 0] == 40


def test_smaller_pictures_inside_a_photograph_are_named_and_left_out(tmp_path: Path) -> None:
    photo, preview = Image.fromarray(PICTURE), Image.fromarray(PICTURE[::4, ::4].copy())
    photo.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[preview])
    with pytest.warns(StnRectifyWarning, match=r"photo\.jpg: a smaller picture in it"):
        (frame,) = ImageSource(tmp_path / "photo.jpg")
    assert frame.image.shape == (48, 64, 3)
    write_tiff(tmp_path / "raw.tif", [(PICTURE[::4, ::4], {254: 1}), (PICTURE, {254: 0})])
    with pytest.warns(StnRectifyWarning, match=r"raw\.tif: a smaller picture in it"):
        (frame,) = ImageSource(tmp_path / "raw.tif")
    assert frame.image.shape == (48, 64, 3)
    write_tiff(tmp_path / "preview.tif", [(PICTURE[::4, ::4], {254: 1})])
    with pytest.raises(SourceError, match=r"preview\.tif: it holds a preview only, as raw photographs do"):
        read_image(tmp_path / "preview.tif")


def write_tiff(file: Path, pages: list[tuple[Pixels, dict[int, int]]]) -> None:
    with TiffImagePlugin.AppendingTiffWriter(str(file), new=True) as writer:
        for pixels, tags in pages:
            Image.fromarray(np.ascontiguousarray(pixels)).save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()


def stored(upright: Pixels, orientation: int) -> Pixels:
    """How a camera stores an upright picture (EXIF 2.32, section 4.6.4)."""
    swapped = upright.swapaxes(0, 1)
    return np.ascontiguousarray(
        {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: swapped,
            6: swapped[::-1],
            7: swapped[::-1, ::-1],
            8: swapped[:, ::-1],
        }[orientation]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["tif", "png", "webp", "jpg", "pages.tif", "deep.tif", "deep.png"])
def test_every_kind_is_turned_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    file, pixels = tmp_path / f"turned.{kind}", stored(PICTURE, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "deep.tif":
        write_deep_tiff(file, pixels.astype(np.uint16) * 257, orientation)
    elif kind == "deep.png":
        file.write_bytes(deep_png(pixels.astype(np.uint16) * 257, orientation))
    elif kind == "pages.tif":
        write_tiff(file, [(stored(PICTURE, 1), {274: 1}), (pixels, {274: orientation})])
    elif kind == "tif":
        Image.fromarray(pixels).save(file, tiffinfo={274: orientation})
    else:
        options = {"jpg": {"quality": 98}, "webp": {"lossless": True}}.get(kind, {})
        Image.fromarray(pixels).save(file, exif=exif, **options)
    *_, last = ImageSource(file)
    assert last.image.shape == (48, 64, 3)
    assert np.abs(last.image[..., ::-1].astype(int) - PICTURE).max() <= 12
    if kind != "pages.tif":
        assert image_size(file) == (64, 48)


def write_deep_tiff(file: Path, rgb: npt.NDArray[np.uint16], orientation: int = 1) -> None:
    """16 bits a channel, uncompressed, written by hand: Pillow writes none."""
    height, width = rgb.shape[:2]
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 0),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, 0),
        (274, 3, orientation),
    ]
    entries += [(277, 3, 3), (278, 4, height), (279, 4, rgb.nbytes)]
    bits = 8 + 2 + 12 * len(entries) + 4
    table = b""
    for tag, kind, value in entries:
        count, value = (3, bits) if tag == 258 else (1, bits + 6 if tag == 273 else value)
        table += struct.pack("<HHII" if kind == 4 or tag == 258 else "<HHIHxx", tag, kind, count, value)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    file.write_bytes(head + table + bytes(4) + struct.pack("<3H", 16, 16, 16) + rgb.astype("<u2").tobytes())


def deep_png(values: npt.NDArray[np.uint16], orientation: int = 1) -> bytes:
    """16 bits a channel: grey, grey with alpha, RGB, or RGB with alpha."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = 1 if values.ndim == 2 else values.shape[2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    exif = chunk(b"eXIf", struct.pack("<2sHIHHHIHxxI", b"II", 42, 8, 1, 274, 3, 1, orientation, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + exif + body


def opencv(suffix: str, values: npt.NDArray[np.generic]) -> Callable[[Path], None]:
    options = (cv2.IMWRITE_TIFF_COMPRESSION, 1) if suffix == ".tif" else ()  # else LogLuv, which loses some
    return lambda file: file.write_bytes(cv2.imencode(suffix, np.asarray(values), options)[1].tobytes()) and None


def pillow(image: Image.Image, kind: str) -> Callable[[Path], None]:
    return lambda file: image.save(file, kind)


def lab(image: Image.Image) -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert converted is not None
    return converted


TWELVE_BITS, DEEP_ALPHA = PICTURE.astype(np.uint16) << 4, np.full((48, 64, 1), 0xFFFF, np.uint16)
#: Writers of the same picture in other depths, whether it is grey, and what is said about it.
SAME_PICTURE = {
    "12 in 16 bits grey, PNG": (
        lambda file: file.write_bytes(deep_png(TWELVE_BITS[..., 0])), True, "taken for 12 bits",
    ),
    "12 in 16 bits RGB, PNG": (lambda file: file.write_bytes(deep_png(TWELVE_BITS)), False, "taken for 12 bits"),
    "12 in 16 bits RGB, TIFF": (lambda file: write_deep_tiff(file, TWELVE_BITS), False, "taken for 12 bits"),
    "16 bits RGB, TIFF": (lambda file: write_deep_tiff(file, PICTURE.astype(np.uint16) * 257), False, ""),
    "16 bits RGBA, PNG": (
        lambda file: file.write_bytes(deep_png(np.dstack([PICTURE.astype(np.uint16) * 257, DEEP_ALPHA]))), False, "",
    ),
    "12 bits grey, PGM": (
        lambda file: file.write_bytes(b"P5 64 48 4080\n" + TWELVE_BITS[..., 0].astype(">u2").tobytes()), True, "",
    ),
    "12 bits RGB, PPM": (
        lambda file: file.write_bytes(b"P6 64 48 4080\n" + TWELVE_BITS.astype(">u2").tobytes()), False, "",
    ),
    "float 0 to 1 grey, TIFF": (pillow(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), True, ""),
    "float 0 to 255 grey, TIFF": (pillow(Image.fromarray(GREY.astype(np.float32)), "TIFF"), True, ""),
    "float 64 bits grey, TIFF": (opencv(".tif", GREY / 255), True, ""),
    "float RGB, TIFF": (opencv(".tif", (PICTURE[..., ::-1] / 255).astype(np.float32)), False, ""),
    "integers of 32 bits, TIFF": (pillow(Image.fromarray(GREY.astype(np.int32) * 257), "TIFF"), True, ""),
    "PFM": (opencv(".pfm", (PICTURE[..., ::-1] / 255).astype(np.float32)), False, ""),
    "PAM": (
        lambda file: file.write_bytes(
            b"P7\nHEIGHT 48\nWIDTH 64\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + PICTURE.tobytes()
        ), False, "",
    ),
    "palette": (pillow(Image.fromarray(GREY).convert("P"), "PNG"), False, ""),
    "LAB": (pillow(lab(Image.fromarray(PICTURE)), "TIFF"), False, ""),
    "CMYK": (pillow(Image.fromarray(PICTURE).convert("CMYK"), "TIFF"), False, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME_PICTURE)
def test_pictures_of_any_depth_look_as_that_of_8_bits(kind: str, tmp_path: Path) -> None:
    write, is_grey, note = SAME_PICTURE[kind]
    write(tmp_path / "image")
    expected = GREY if is_grey else PICTURE[..., ::-1]
    if kind == "palette":
        expected = np.dstack([GREY] * 3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert seen(tmp_path / "image", expected, tolerance=40 if kind == "LAB" else 2)
    assert [note in str(one.message) for one in said] == ([True] if note else [])


@pytest.mark.parametrize(
    ("values", "note"),
    [
        pytest.param(GREY.astype(np.float32) * 100 - 3000, "stretched to all levels", id="heights"),
        pytest.param((GREY.astype(np.float32) / 255) ** 2 * 7.3 + 0.01, "stretched to all levels", id="light"),
        pytest.param(np.where(GREY > 9, GREY / 255, np.nan).astype(np.float32), "values are no numbers", id="holes"),
        pytest.param((GREY // 64).astype(np.float32), "stretched to all levels", id="labels"),
    ],
)
def test_floats_of_no_known_depth_are_stretched_and_named(
    values: npt.NDArray[np.float32], note: str, tmp_path: Path
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.warns(StnRectifyWarning, match=note):
        image = read_image(tmp_path / "a.tif")
    assert image.min() < 40
    assert image.max() > 200


@pytest.mark.parametrize(("factor", "note"), [(128, ""), (16, "taken for 12 bits")])
@pytest.mark.parametrize("channels", [1, 3])
def test_signed_samples_are_bright_at_15_bits_or_at_12_in_these(
    factor: int, note: str, channels: int, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    samples = (GREY if channels == 1 else PICTURE[..., ::-1]).astype(np.int16) * factor
    opencv(".tif", samples)(tmp_path / "a.tif")
    assert seen(tmp_path / "a.tif", GREY if channels == 1 else PICTURE[..., ::-1])
    assert [note in str(one.message) for one in recwarn] == ([True] if note else [])


def test_a_black_image_stays_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not read_image(tmp_path / "a.png").any()


def drawn(colour: tuple[int, ...], mode: str) -> Image.Image:
    """A square of this colour on a transparent ground that hides black."""
    image = Image.new("RGBA", (40, 40))
    image.paste((*colour, 255), (10, 10, 30, 30))
    if mode == "P":
        return image.quantize(4)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(
    ("colour", "ground"),
    [((0, 0, 0), 255), ((90, 40, 30), 255), ((180, 180, 180), 255), ((205, 205, 205), 0), ((250, 250, 250), 0)],
)
def test_drawings_on_a_transparent_ground_can_be_seen(
    mode: str, colour: tuple[int, ...], ground: int, tmp_path: Path
) -> None:
    drawn(colour, mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    inside, outside = image[20, 20].astype(int), image[2, 2].astype(int)
    assert (outside == ground).all()
    assert np.abs(inside.mean() - np.mean(colour)) < 15


def test_transparent_colours_of_the_palette_and_of_one_key_are_a_ground(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (1, 2, 3))
    image.paste((0, 0, 0), (10, 10, 30, 30))
    image.save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert read_image(tmp_path / "key.png")[2, 2].tolist() == [255] * 3
    assert read_image(tmp_path / "key.png")[20, 20].tolist() == [0] * 3


def test_half_transparent_pixels_are_mixed_with_the_ground(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 300), (100, 50, 0, 51)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[299, 299].tolist() == [204, 214, 224]


def test_hidden_colours_of_an_image_without_any_alpha_are_taken_and_named(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([PICTURE, np.zeros((48, 64), np.uint8)])).save(tmp_path / "a.png")
    with pytest.warns(StnRectifyWarning, match="wholly transparent: its hidden colours are taken"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PICTURE[..., ::-1])


def test_sixteen_bits_that_nothing_here_reads_whole_are_refused_rather_than_black(tmp_path: Path) -> None:
    samples = TWELVE_BITS[..., 0].astype(">u2").tobytes()
    header = struct.pack(">hBBHHHHII4x80s", 474, 0, 2, 3, 64, 48, 3, 0, 4095, b"").ljust(512, b"\0")
    (tmp_path / "a.sgi").write_bytes(header + samples * 3)
    with pytest.raises(SourceError, match="16-bit samples end near 4096 or below"):
        read_image(tmp_path / "a.sgi")


def test_lossy_samples_that_overshoot_12_bits_in_16_are_refused_as_well(tmp_path: Path) -> None:
    samples = np.where(np.random.default_rng(0).integers(0, 2, (48, 64, 1)), 4095, 0).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.jp2"), np.repeat(samples, 3, 2), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 300])
    with pytest.raises(SourceError, match="16-bit samples end near 4096 or below"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize(("limit", "scale"), [(64 * 48, 1), (64 * 48 - 1, 2), (200, 4), (48, 8)])
def test_photographs_with_too_many_pixels_are_read_scaled_down(
    kind: str, limit: int, scale: int, tmp_path: Path
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", kind)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        (frame,) = ImageSource(tmp_path / "a.jpg", max_pixels=limit)
    assert frame.image.shape == (48 // scale, 64 // scale, 3)
    assert np.abs(frame.image.mean(axis=(0, 1)) - PICTURE[..., ::-1].mean(axis=(0, 1))).max() < 2 * scale + 2
    lines = [str(one.message) for one in said]
    assert len(lines) == (scale > 1)
    assert all(
        f"read at 1/{scale} of its sides, {64 // scale}x{48 // scale}, and corners are" in line for line in lines
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM"])
def test_other_images_with_too_many_pixels_are_refused_with_the_remedy(kind: str, tmp_path: Path) -> None:
    Image.new("L", (1000, 900), 200).save(tmp_path / "a", kind)
    message = (
        r"a: 1000x900 are 0\.9 million pixels, more than 0\.5 million: scale it down, or --max-pixels 1M reads all"
    )
    with pytest.raises(SourceError, match=message):
        list(ImageSource(tmp_path / "a", max_pixels=500_000))
    (frame,) = ImageSource(tmp_path / "a", max_pixels=1_000_000)
    assert frame.image[0, 0].max() == 200


def test_a_limit_above_that_of_pillow_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (1000, 900), 200).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").shape == (900, 1000)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_bomb_is_refused_before_its_pixels_are_made(tmp_path: Path) -> None:
    rows = zlib.compressobj()
    data = b"".join(rows.compress(bytes(30001)) for _ in range(30000)) + rows.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    with pytest.raises(SourceError, match=r"30000x30000 are 900 million pixels, more than 70 million: scale it down$"):
        read_image(tmp_path / "bomb.png")


def test_a_damaged_fax_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (200, 300)).astype(bool)
    Image.fromarray(noise).save(tmp_path / "fax.tif", compression="group4")
    content = bytearray((tmp_path / "fax.tif").read_bytes())
    for place in range(1000, len(content) - 500, 97):
        content[place] ^= 0xFF
    (tmp_path / "fax.tif").write_bytes(content)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            read_image(tmp_path / "fax.tif")
            lines = [str(one.message) for one in said]
        except SourceError as error:
            lines = [str(error)]
    assert len(lines) == 1
    assert "fax.tif" in lines[0]
    assert "Bad code word" in lines[0]
    assert capfd.readouterr().err == ""


def test_a_warning_of_pillow_names_each_file(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 9, 271, 2, 40, 9999)  # nine tags, but one is there
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(PICTURE).save(tmp_path / name, exif=exif)
    with warnings.catch_warnings(record=True) as said:
        for name in ("a.jpg", "b.jpg"):
            read_image(tmp_path / name)
        warnings.warn("of another", UserWarning, stacklevel=1)
    a, b, other = (str(one.message) for one in said)
    assert a.startswith(f"{tmp_path}/a.jpg: ")
    assert b.startswith(f"{tmp_path}/b.jpg: ")
    assert other == "of another"


@pytest.mark.parametrize("kind", ["16 bits RGB, TIFF", "12 in 16 bits RGB, PNG", "float RGB, TIFF", "PFM", "PAM"])
def test_damage_of_deep_images_is_one_line(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    SAME_PICTURE[kind][0](tmp_path / "a")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:300])
    with pytest.raises(SourceError, match=r"^cannot read the image .*/a: [^\n]+$"):
        read_image(tmp_path / "a")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC image: .* install pillow-heif' lets them be read, or"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "it is a video: name it by itself"),
        (b"\xff\x0a" + bytes(30), "a JPEG XL image: djxl makes PNG"),
        (b"%PDF-1.7\n" + bytes(30), "a PDF: pdftoppm"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript drawing"),
        (b"hello", "it is no image, or of a kind that Pillow does not know"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SourceError, match=rf"cannot read the image .*a\.jpg: .*{message}"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(("suffix", "message"), [(".TS", "videos: name each by itself"), (".raf", "develop")])
def test_what_its_bytes_do_not_tell_the_suffix_may(suffix: str, message: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(bytes(100))
    with pytest.raises(SourceError, match=rf"a{suffix}: it is no image, or of a kind .* \(.*{message}"):
        read_image(tmp_path / f"a{suffix}")


def test_encoded_bytes_are_read_as_files_are(tmp_path: Path) -> None:
    write_deep_tiff(tmp_path / "a.tif", TWELVE_BITS, 6)
    content = io.BytesIO((tmp_path / "a.tif").read_bytes())
    with pytest.warns(StnRectifyWarning, match="stdin: its 16-bit values end at 4080"):
        (page,) = read_pages(content, "stdin")
    assert not isinstance(page.image, SourceError)
    assert page.image.shape == (64, 48, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "JPEG2000", "PPM", "TIFF"])
def test_what_was_cut_off_is_to_be_got_anew(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, kind)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SourceError, match="it is damaged or cut off, so get it anew"):
        read_image(file)


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".avif", ""])
def test_a_file_without_content_is_called_empty(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(SourceError, match=r"it is empty$"):
        read_image(tmp_path / f"a{suffix}")
