"""Images as an app has them: a path, encoded bytes, a Pillow image, an open file."""

from __future__ import annotations

import glob
import io
import os
import re
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from PIL import Image as Pillow

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.images.reading import pixels_of, read_image

#: What stands for a frame: uint8 [H, W, 3] BGR or [H, W] grey; a path; an encoded image; a Pillow image; an open file.
ImageLike: TypeAlias = Array | str | PathLike[str] | bytes | bytearray | memoryview | Pillow.Image | BinaryIO

_UNNAMED = "image"


@dataclass(frozen=True, eq=False)
class GivenImage:
    """An image that was read.

    Attributes:
        name: its path; ``"image"`` where it has none.
        pixels: uint8 [H, W, 3] BGR or [H, W] grey, upright.
    """

    name: str
    pixels: Image = field(repr=False)


def given_image(given: object) -> GivenImage | None:
    """Reads an image, upright as its EXIF orientation says; of several pages the first, with a warning.

    Args:
        given: see `ImageLike`.

    Returns:
        None where it is none of these but an array, or something else, which the caller judges.

    Raises:
        SourceError: if the image cannot be read.
    """
    if isinstance(given, Pillow.Image):
        name = _name_of(getattr(given, "filename", ""))
        return GivenImage(name, pixels_of(given, name))
    if isinstance(given, bytes | bytearray | memoryview):
        if not len(given):
            raise SourceError("the image has no bytes: pass the content of an image file")
        return GivenImage(_UNNAMED, read_image(io.BytesIO(given), "from bytes"))
    if isinstance(given, str | PathLike):
        path = os.fsdecode(given)
        if not path or "\0" in path:
            raise SourceError(f"{path!r} is no path of an image")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
            raise SourceError(f"{path.partition('://')[0]}://… is an address: open it with Rectifier.stream")
        if os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path)):
            what = "folder" if os.path.isdir(path) else "pattern"
            raise SourceError(f"cannot read the image {path}: it is a {what}: open it with Rectifier.stream")
        return GivenImage(path, read_image(Path(path)))
    if not callable(getattr(given, "read", None)):
        return None
    file = cast(Any, given)
    name = _name_of(getattr(file, "name", ""))
    content = file.read()
    if not isinstance(content, bytes):
        raise SourceError(f"the file {name} is open as text: open it with mode 'rb'")
    return GivenImage(name, read_image(io.BytesIO(content), name))


def _name_of(name: object) -> str:
    """The path of an open file or image; files without one have a number, or nothing."""
    return os.fsdecode(name) if isinstance(name, str | PathLike | bytes) and name else _UNNAMED
