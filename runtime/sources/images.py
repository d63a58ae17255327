"""Image files as frames."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource

__all__ = ["IMAGE_SUFFIXES", "ImageSource", "read_image"]

#: What is taken for an image in a folder.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageSource(FrameSource):
    """Images, in the order given; those of a folder or a glob sorted by name.

    Args:
        paths: files, folders (their images, not those of subfolders) and globs such as ``"scans/**/*.png"``.
        on_error: called with the error of an image that cannot be read, which is then left out. None raises
            it.

    Raises:
        SourceError: a path does not exist, or there is no image in it.
    """

    def __init__(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        on_error: Callable[[SourceError], None] | None = None,
    ) -> None:
        super().__init__()
        given = [paths] if isinstance(paths, str | PathLike) else list(paths)
        if not given:
            raise SourceError("no images given: name files, folders or globs")
        self._files = [file for path in given for file in _expand(os.fspath(path))]
        self._on_error = on_error
        count = len(self._files)
        self.description = f"images: {self._files[0]}" + (f" and {count - 1} more" if count > 1 else "")

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[CapturedFrame]:
        for index, path in enumerate(self._files):
            if self._stopping:
                return
            try:
                image = read_image(path)
            except SourceError as error:
                if self._on_error is None:
                    raise
                self._on_error(error)
                continue
            yield CapturedFrame(str(path), index, time.time(), image)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads an image, upright as its EXIF orientation says.

    Transparency is dropped; 16-bit grey keeps its upper byte.

    Returns:
        uint8 [H, W, 3] BGR, or [H, W] for grey images.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
                return (deep >> 8).astype(np.uint8)
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))
            return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
        raise SourceError(f"cannot read the image {path}: {reason}") from error


def _expand(path: str) -> list[Path]:
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
    found = sorted(file for file in files if not file.name.startswith("."))
    if not found:
        raise SourceError(missing)
    return found
