"""Image files and encoded images as pixels, upright, page by page, within a budget of pixels."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from stn_rectify.runtime import arrays
from stn_rectify.runtime.errors import SourceError, warn
from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.images import gif_canvas, opencv_images
from stn_rectify.runtime.images.kinds import LONGEST_FOREIGN_START, advice, register_heif
from stn_rectify.runtime.images.library_messages import library_messages, summed_up
from stn_rectify.runtime.images.tiff_layout import BITS_PER_SAMPLE, IMAGE_LENGTH, IMAGE_WIDTH
from stn_rectify.runtime.images.tones import on_ground, to_bytes

#: Pixels of an image that is read, at most; cameras of telephones have up to 64 million in their usual modes.
MAX_PIXELS = 70_000_000
#: What the command lines call it, for messages.
MAX_PIXELS_OPTION = "--max-pixels"
#: EXIF orientations that swap width and height.
_QUARTER_TURNS = frozenset({5, 6, 7, 8})
# EPS starts Ghostscript, WMF and EMF Windows' own drawing; of the others Pillow knows no more than the name.
_UNWANTED_FORMATS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
#: Formats whose frames are pages or moments; those of others are layers, or one image in several sizes.
_PAGED_FORMATS = frozenset({"AVIF", "DCX", "FLI", "GIF", "HEIF", "MIC", "MPO", "PNG", "SPIDER", "TIFF", "WEBP"})
_REDUCED_PAGE, _MASK_PAGE = 1, 4  # of TIFF's NewSubfileType
_NEW_SUBFILE_TYPE, _SAMPLE_FORMAT, _SIGNED = 254, 339, (2,)
# CIPA DC-007, 5.2: the list of pictures, from whose header their places count, which stands behind EXIF and colours.
_MP_ENTRIES, _MP_START, _MOST_BEFORE_MP = 0xB002, re.compile(rb"\xff\xe2[\s\S]{2}MPF\0"), 1 << 22
# Where the code of JPEG 2000 begins, behind a colour profile, and the place in it of the first channel's bits.
_JPEG2000_CODE, _JPEG2000_BITS_AT, _MOST_BEFORE_CODE = b"\xff\x4f\xff\x51", 42, 1 << 22
_SCALES = (2, 4, 8)  # that JPEG can be decoded at for less work, 1/2 and so on
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
# What Pillow says of content that ends too early, or is not what its beginning promises.
_DAMAGED = re.compile(
    "truncated|broken|corrupt|unrecognized data stream|decoder error|decoder object|unexpected end|incomplete|"
    "only got|not enough",
    re.IGNORECASE,
)
# The level that no 12-bit sample in 16 bits reaches, read by its upper byte: 16, but lossy kinds overshoot it.
_DARKEST = 20


@dataclass(frozen=True, eq=False)
class ImagePage:
    """A page of a file, or a frame of an animation.

    Attributes:
        image: uint8 [H, W, 3] BGR or [H, W] grey; or the error of a page that cannot be read.
        number: which it is, from 1; None where the file has one image.
    """

    image: arrays.Image | SourceError = field(repr=False)
    number: int | None


def read_pages(
    file: Path | BinaryIO, name: str = "", *, max_pixels: int | None = None, reduce: bool = True
) -> Iterator[ImagePage]:
    """Reads the pages of a TIFF, the frames of an animation, the image of any other file.

    Upright as the EXIF orientation of each says; transparent pixels on a ground that shows them, more than 8 bits
    brought to 8 (`tones`). Smaller copies that lie in a file beside its images (previews, depth maps, masks) are left
    out with a warning.

    Args:
        file: a path, or an open file.
        name: what an error calls it; its path if empty.
        max_pixels: width times height of a page, at most; None: `MAX_PIXELS`, and errors name no option for it.
        reduce: whether JPEG and JPEG 2000 with more pixels are decoded at a half, a quarter or an eighth of their
            sides, with a warning.

    Raises:
        SourceError: if the file cannot be opened, is no image, or its only page cannot be read. Of several pages those
            that cannot be read come as errors.
    """
    reader = _Reader(name or str(file), max_pixels, may_reduce=reduce)
    with reader.opened(file) as opened:
        if isinstance(opened, bytes):
            yield ImagePage(reader.with_opencv(opened), None)
            return
        pages = reader.pages(opened)
        for place, number in enumerate(pages):
            try:
                image: arrays.Image | SourceError = reader.page(opened, number)
            except SourceError as error:
                if len(pages) == 1:
                    raise
                image = SourceError(f"{error} (page {place + 1} of {len(pages)})")
            yield ImagePage(image, place + 1 if len(pages) > 1 else None)


def read_image(
    file: Path | BinaryIO, name: str = "", *, max_pixels: int | None = None, reduce: bool = False
) -> arrays.Image:
    """Reads an image; of several pages the first, with a warning. See `read_pages`.

    Returns:
        uint8 [H, W, 3] BGR, or [H, W] for grey images.

    Raises:
        SourceError: if the image cannot be read, or has too many pixels.
    """
    reader = _Reader(name or str(file), max_pixels, may_reduce=reduce)
    with reader.opened(file) as opened:
        if isinstance(opened, bytes):
            return reader.with_opencv(opened)
        pages = reader.pages(opened)
        if len(pages) > 1:
            warn(f"{reader.name} has {len(pages)} pages or frames: the first is taken, the others are left out")
        return reader.page(opened, pages[0])


def pixels_of(image: Image.Image, name: str) -> arrays.Image:
    """Gives the pixels of an image that Pillow has open: upright, with all that `read_pages` does to a file's.

    Args:
        image: of which the frame is taken that it shows. It is not changed, but loaded.
        name: what an error calls it.

    Returns:
        uint8 [H, W, 3] BGR, or [H, W] for grey images.

    Raises:
        SourceError: if its file cannot be read any more, or it has too many pixels.
    """
    return _Reader(name, None, may_reduce=False).open_image(image)


def image_size(file: Path) -> tuple[int, int]:
    """The width and height of an image file in pixels, upright as its EXIF orientation says; not decoded if it can be.

    Raises:
        SourceError: if it is no image, or cannot be read.
    """
    reader = _Reader(str(file), None, may_reduce=False)
    with reader.opened(file) as opened:
        if isinstance(opened, bytes):
            height, width = reader.with_opencv(opened).shape[:2]
            return width, height
        with reader.failing():
            width, height = _stored_size(opened)
            return (height, width) if _orientation(opened) in _QUARTER_TURNS else (width, height)


class _Reader:
    """Reads one file.

    Args:
        name: what errors and warnings call it.
        max_pixels: see `read_pages`; so ``may_reduce``.
    """

    def __init__(self, name: str, max_pixels: int | None, *, may_reduce: bool) -> None:
        self.name, self._may_reduce = name, may_reduce
        self._stream: BinaryIO | None = None
        self._canvases: list[tuple[int, int]] = []  # of a GIF
        self._limit, self._is_adjustable = max_pixels or MAX_PIXELS, max_pixels is not None

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Makes errors of Pillow, OpenCV and the disk one line, and what they print a warning."""
        with library_messages() as messages, PILLOW_LIMIT.lifted():
            try:
                yield
            except SourceError:
                raise
            except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
                said = f" ({summed_up(messages)})" if messages else ""
                messages.clear()
                raise SourceError(f"cannot read the image {self.name}: {_reason(error)}{said}") from error
        if messages:
            warn(f"{self.name}: {summed_up(messages)}")

    @contextmanager
    def opened(self, file: Path | BinaryIO) -> Iterator[Image.Image | bytes]:
        """The open image; its bytes where only OpenCV knows the kind."""
        with self.failing():
            stream = self._stream = open_file(file) if isinstance(file, Path) else file
        try:
            with self.failing():
                content = opened = None
                self._canvases = gif_canvas.canvases(stream)
                for size in self._canvases[:1]:
                    self._refuse_too_large(*size)
                try:
                    opened = _open(stream)
                except UnidentifiedImageError as error:
                    stream.seek(0)
                    if not opencv_images.knows(stream.read(opencv_images.LONGEST_START)):
                        stream.seek(0)
                        reason = advice(stream.read(LONGEST_FOREIGN_START), Path(self.name).suffix.lower())
                        raise SourceError(f"cannot read the image {self.name}: {reason}") from error
                    stream.seek(0)
                    content = stream.read()
            if opened is None:
                yield content or b""
            else:
                with opened:
                    yield opened
        finally:
            if isinstance(file, Path):
                stream.close()

    def pages(self, opened: Image.Image) -> Sequence[int]:
        """The numbers of the frames that are pages, at least one."""
        with self.failing():
            count = getattr(opened, "n_frames", 1) if opened.format in _PAGED_FORMATS else 1
            if count == 1 and opened.format != "TIFF":
                return (0,)
            if opened.format == "TIFF":
                kinds = [self._tiff_page_kind(opened, number) for number in range(count)]
                pages = [number for number, kind in enumerate(kinds) if not kind & (_REDUCED_PAGE | _MASK_PAGE)]
                opened.seek(0)
                if not pages:
                    raise SourceError(
                        f"cannot read the image {self.name}: it holds a preview only, as raw photographs do: "
                        "develop it to JPEG or TIFF"
                    )
            elif opened.format == "MPO":
                pages = self._pictures_of_photograph(opened, count)
            else:
                return range(count)
        left_out = count - len(pages)
        if left_out:
            pictures = "a smaller picture" if left_out == 1 else f"{left_out} smaller pictures"
            warn(f"{self.name}: {pictures} in it (preview, mask, depth or gain map) left out")
        return pages

    @staticmethod
    def _tiff_page_kind(opened: Any, number: int) -> int:
        opened.seek(number)
        kind = opened.tag_v2.get(_NEW_SUBFILE_TYPE, 0)
        return int(kind) if isinstance(kind, int) else 0

    def _pictures_of_photograph(self, opened: Image.Image, count: int) -> list[int]:
        """Those that are as large as the first."""
        size, pages = opened.size, [0]
        for number in range(1, count):
            with suppress(Exception), self._picture_of_photograph(opened, number) as picture:  # the first one is there
                if picture.size == size:
                    pages.append(number)
        return pages

    def _picture_of_photograph(self, opened: Any, number: int) -> Image.Image:
        """A further picture in a JPEG file: some versions of Pillow take it for as large as the first."""
        entry = opened.mpinfo[_MP_ENTRIES][number]
        content = self._content()
        start = _MP_START.search(content, 0, _MOST_BEFORE_MP)
        place = entry["DataOffset"] + (start.end() if start else 0)
        return Image.open(io.BytesIO(content[place : place + entry["Size"]]), formats=("JPEG",))

    def _content(self) -> bytes:
        """The encoded image."""
        assert self._stream is not None, "it is open"
        place = self._stream.tell()
        self._stream.seek(0)
        content = self._stream.read()
        self._stream.seek(place)
        return content

    def page(self, opened: Image.Image, number: int) -> arrays.Image:
        """The pixels of a frame."""
        if opened.format == "MPO" and number:
            with self.failing(), self._picture_of_photograph(opened, number) as picture:
                return self.page(picture, 0)
        with self.failing():
            for size in self._canvases[number : number + 1]:
                self._refuse_too_large(*size)
            if opened.format in _PAGED_FORMATS and number != opened.tell():
                opened.seek(number)
            self._bring_within_limit(opened)
            is_deep, orientation = _is_deep_colour(opened), _orientation(opened)
            if is_deep:
                content = self._content()
                is_first = number == 0 or opened.format == "TIFF"
                if is_first and opencv_images.knows(content):
                    return self._checked(opencv_images.read_turned(content, number, orientation))
            return self._loaded(opened, orientation, has_lost_depth=is_deep)

    def open_image(self, image: Image.Image) -> arrays.Image:
        """The pixels of an image that somebody else has opened."""
        with self.failing():
            self._refuse_too_large(*image.size)
            return self._loaded(image, _orientation(image), has_lost_depth=False)

    def _loaded(self, opened: Image.Image, orientation: int, *, has_lost_depth: bool) -> arrays.Image:
        """The pixels of the frame that it shows."""
        bits, kind = _declared_bits(opened), _sample_kind(opened)
        opened.load()
        # It makes a copy, which large images should be spared.
        image = opened if orientation == 1 else ImageOps.exif_transpose(opened)
        if image.mode[0] in "IF":
            return self._checked(np.asarray(image, kind), bits)
        return self._seen(image, has_lost_depth=has_lost_depth)

    def with_opencv(self, content: bytes) -> arrays.Image:
        """The pixels of an image that Pillow does not know."""
        with self.failing():
            width, height = opencv_images.size(content)
            self._refuse_too_large(width, height)
            return self._checked(opencv_images.read_turned(content, 0, None))

    def _bring_within_limit(self, opened: Any) -> None:
        width, height = _stored_size(opened)
        if width * height <= self._limit:
            return
        scale = next((s for s in _SCALES if -(-width // s) * -(-height // s) <= self._limit), None)
        if not self._may_reduce or scale is None or opened.format not in ("JPEG", "MPO", "JPEG2000"):
            self._refuse_too_large(width, height)
            return
        if opened.format == "JPEG2000":
            opened.reduce = scale.bit_length() - 1
        else:
            opened.draft(None, (width // scale, height // scale))
            if opened.size[0] * opened.size[1] > self._limit:
                self._refuse_too_large(width, height)
        reduced = f"{-(-width // scale)}x{-(-height // scale)}"
        warn(
            f"{self.name}: {self._too_large(width, height)}: read at 1/{scale} of its sides, {reduced}, and corners "
            f"are pixels of that{self._remedy(width, height, '; ')}"
        )

    def _refuse_too_large(self, width: int, height: int) -> None:
        if width * height > self._limit:
            remedy = f": scale it down{self._remedy(width, height, ', or ')}"
            raise SourceError(f"cannot read the image {self.name}: {self._too_large(width, height)}{remedy}")

    def _too_large(self, width: int, height: int) -> str:
        millions, limit = width * height / 1e6, self._limit / 1e6
        said = f"{millions:.4g}" if millions < 10_000 else f"{millions:.0f}"
        return f"{width}x{height} are {said} million pixels, more than {limit:.4g} million"

    def _remedy(self, width: int, height: int, before: str) -> str:
        if not self._is_adjustable:
            return ""
        return f"{before}{MAX_PIXELS_OPTION} {-(-width * height // 10**6)}M reads all of it"

    def _seen(self, image: Image.Image, *, has_lost_depth: bool) -> arrays.Image:
        """The pixels of a Pillow image of bytes."""
        if image.mode == "LAB":
            image = _lab_to_rgb(image)
        is_grey = image.mode in _GREY_MODES
        if image.has_transparency_data or image.mode in ("La", "RGBa"):
            image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
            pixels = np.asarray(image.convert("LA" if is_grey else "RGBA"))
            colours = np.ascontiguousarray(pixels[..., 0] if is_grey else pixels[..., 2::-1])
            shown, note = on_ground(colours, np.ascontiguousarray(pixels[..., -1]))
            self._note(note)
        elif is_grey:
            shown = np.array(image.convert("L"))
        else:
            shown = np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)
        if has_lost_depth and shown.size and shown.max() < _DARKEST:
            raise SourceError(
                f"cannot read the image {self.name}: its 16-bit samples end near 4096 or below, and Pillow keeps their "
                "upper half only, which is black: store it with 8 bits"
            )
        return shown

    def _checked(self, values: arrays.Array, bits: int | None = None) -> arrays.Image:
        """Levels of any depth, BGR, BGRA or grey, as bytes on a ground."""
        if values.ndim == 3 and values.shape[2] == 4:
            colours, note = to_bytes(np.ascontiguousarray(values[..., :3]), bits)
            alpha, _ = to_bytes(np.ascontiguousarray(values[..., 3]), bits)
            shown, ground_note = on_ground(colours, alpha)
            self._note(ground_note)
        else:
            shown, note = to_bytes(values, bits)
        self._note(note)
        return shown

    def _note(self, note: str) -> None:
        if note:
            warn(f"{self.name}: {note}")


class _PillowLimit:
    """Pillow's own limit of pixels, which is the whole process's, lifted while we look at sizes ourselves."""

    def __init__(self) -> None:
        self._lock, self._depth, self._limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Lifts it until the last block ends, in whatever thread."""
        with self._lock:
            if self._depth == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    Image.MAX_IMAGE_PIXELS = self._limit


#: For whoever opens images and decides on their sizes himself, or takes no pixels.
PILLOW_LIMIT = _PillowLimit()


def _open(stream: BinaryIO) -> Image.Image:
    """Opens an image; the plugins of rare formats are loaded when the usual ones do not know it."""
    Image.preinit()
    with suppress(UnidentifiedImageError):
        return Image.open(stream, formats=_wanted(Image.ID))
    register_heif()
    Image.init()
    stream.seek(0)
    return Image.open(stream, formats=_wanted(Image.ID))


def _wanted(formats: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in formats if name not in _UNWANTED_FORMATS)


def _reason(error: Exception) -> str:
    """Why an image cannot be read, and what to do about it where that is known."""
    if isinstance(error, FileNotFoundError) and error.strerror:
        return f"{error.strerror}: check the path"
    if isinstance(error, OSError) and error.strerror:  # of the disk, or what `open_file` refuses
        return error.strerror
    reason = str(error) or repr(error)
    return f"{reason}: it is damaged or cut off, so get it anew" if _DAMAGED.search(reason) else reason


def _stored_size(opened: Any) -> tuple[int, int]:
    """Width and height as they are stored; of a TIFF some versions of Pillow turn them, others do not."""
    if opened.format == "TIFF":
        return int(opened.tag_v2[IMAGE_WIDTH]), int(opened.tag_v2[IMAGE_LENGTH])
    width, height = opened.size
    return int(width), int(height)


def _orientation(opened: Image.Image) -> int:
    orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _declared_bits(opened: Any) -> int | None:
    """The bits of a sample, where a TIFF says that they are fewer than 16."""
    bits = opened.tag_v2.get(BITS_PER_SAMPLE) if opened.format == "TIFF" else None
    return bits[0] if isinstance(bits, tuple) and bits and bits[0] < 16 else None


def _sample_kind(opened: Any) -> type[np.int16] | None:
    """The type of samples that Pillow widens, from which their full scale cannot be told any more; None elsewhere."""
    tags = opened.tag_v2 if opened.format == "TIFF" else {}
    is_short = tags.get(BITS_PER_SAMPLE) == (16,) and tags.get(_SAMPLE_FORMAT) == _SIGNED
    return np.int16 if is_short else None


def _is_deep_colour(opened: Any) -> bool:
    """Tells whether an image has several channels of more than 8 bits, of which Pillow keeps the upper 8."""
    if opened.mode[0] in "IF":
        return False
    if opened.format == "TIFF":
        bits = opened.tag_v2.get(BITS_PER_SAMPLE, (1,))
        return isinstance(bits, tuple) and max(bits) > 8
    if opened.format == "JPEG2000":
        return _jpeg2000_bits(opened.fp) > 8
    return any(";16" in str(tile[3]) or "16" in str(tile[0]) for tile in getattr(opened, "tile", None) or ())


def _jpeg2000_bits(stream: BinaryIO) -> int:
    """The bits of a sample of the first channel (ISO 15444-1, A.5.1); 0 where none are found."""
    place = stream.tell()
    stream.seek(0)
    head = stream.read(_MOST_BEFORE_CODE)
    stream.seek(place)
    at = head.find(_JPEG2000_CODE)
    bits = head[at + _JPEG2000_BITS_AT : at + _JPEG2000_BITS_AT + 1] if at >= 0 else b""
    return (bits[0] & 0x7F) + 1 if bits else 0


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    """CIELAB, whose white is D50, as sRGB."""
    from PIL import ImageCms  # rarely needed

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    assert converted is not None, "it is not changed in place"
    return converted
