"""Image files as frames."""

from __future__ import annotations

import glob
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.process.standard_streams import is_stdin_open
from stn_rectify.runtime.sources.image_stream import split_images
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource

#: What is taken for an image in a folder.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
#: EXIF orientations that swap width and height.
_QUARTER_TURNS = frozenset({5, 6, 7, 8})


class ImageSource(FrameSource):
    """Images, in the order given; those of a folder or a glob sorted by name.

    Args:
        paths: files, folders (their images, not those of subfolders) and globs such as ``"scans/**/*.png"``; or ``"-"``
            for standard input: an image of any kind, or JPEG and PNG images one after the other, each handed over as
            soon as it has come.
        on_error: called with the error of an image that cannot be read, which is then left out. None raises
            it.

    Raises:
        SourceError: if a path does not exist, or there is no image in it.
    """

    def __init__(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        on_error: Callable[[SourceError], None] | None = None,
    ) -> None:
        super().__init__()
        names = [paths] if isinstance(paths, str | PathLike) else list(paths)
        if not names:
            raise SourceError("no images given: name files, folders or globs")
        self._is_piped = "-" in names
        if self._is_piped and len(names) > 1:
            raise SourceError("- is standard input, which goes with no other images: name it alone")
        if self._is_piped and not is_stdin_open():
            raise SourceError("standard input is closed: send an image through a pipe, or name a file")
        if self._is_piped and sys.stdin.isatty():
            raise SourceError("standard input is a terminal: send an image through a pipe, or name a file")
        self._files = [] if self._is_piped else [file for path in names for file in image_files(os.fspath(path))]
        self._on_error = on_error
        more = len(self._files) - 1
        first = "standard input" if self._is_piped else str(self._files[0])
        self.description = f"images: {first}" + (f" and {more} more" if more > 0 else "")

    def __iter__(self) -> Iterator[CapturedFrame]:
        index = -1
        for index, (name, file) in enumerate(self._encoded()):
            if self._stopping:
                return
            try:
                image = read_image(file, name)
            except SourceError as error:
                if self._on_error is None:
                    raise
                self._on_error(error)
                continue
            yield CapturedFrame(name, index, time.time(), image)
        if index < 0 and not self._stopping:
            raise SourceError("standard input is empty: send an image through a pipe")

    def _encoded(self) -> Iterator[tuple[str, Path | io.BytesIO]]:
        """Names and encoded images."""
        if self._is_piped:
            pieces = split_images(sys.stdin.fileno(), lambda: self._stopping)
            return (("stdin", io.BytesIO(piece)) for piece in pieces)
        return ((str(path), path) for path in self._files)


def read_image(file: Path | BinaryIO, name: str = "") -> npt.NDArray[np.uint8]:
    """Reads an image, upright as its EXIF orientation says.

    Transparency is dropped; 16-bit grey keeps its upper byte.

    Args:
        file: a path, or an open file.
        name: what an error calls it; its path if empty.

    Returns:
        uint8 [H, W, 3] BGR, or [H, W] for grey images.

    Raises:
        SourceError: if the image cannot be read.
    """
    try:
        with _opened(file) as stream, Image.open(stream) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
                return (deep >> 8).astype(np.uint8)
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))
            return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise _unreadable(error, name or file) from error


def _opened(file: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    return open_file(file) if isinstance(file, Path) else nullcontext(file)


def image_size(file: Path) -> tuple[int, int]:
    """The width and height of an image file in pixels, upright as its EXIF orientation says; not decoded if it can be.

    Raises:
        SourceError: if it is no image, or cannot be read.
    """
    try:
        with open_file(file) as stream, Image.open(stream) as opened:
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in _QUARTER_TURNS
            return (opened.height, opened.width) if turned else opened.size
    except Exception as error:
        raise _unreadable(error, file) from error


def _unreadable(error: Exception, name: object) -> SourceError:
    if isinstance(error, UnidentifiedImageError):
        return SourceError(f"cannot read the image {name}: it is no image, or of a kind that Pillow does not know")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
    return SourceError(f"cannot read the image {name}: {reason}")


def image_files(path: str) -> list[Path]:
    """The images of a folder or a glob, sorted by name; a file is itself.

    Raises:
        SourceError: if there is none.
    """
    if os.path.isdir(path):
        files = [file for file in Path(path).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        missing = f"no image in the folder {path}: expected {', '.join(sorted(IMAGE_SUFFIXES))}"
    elif os.path.lexists(path) or not glob.has_magic(path):
        if not os.path.exists(path):
            raise SourceError(f"image {path} does not exist: check the path")
        return [Path(path)]
    else:
        files = [Path(file) for file in glob.glob(path, recursive=True) if os.path.isfile(file)]
        missing = f"nothing matches {path}: check the pattern"
    visible = sorted(file for file in files if not file.name.startswith("."))
    if not visible:
        raise SourceError(missing)
    return visible
