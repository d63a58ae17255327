"""Pictures from folders: photographs behind targets and on posters, and upright pictures of a target of one's own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import resized
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.files import read_file
from stn_rectify.runtime.images.finding import image_files
from stn_rectify.runtime.images.reading import read_image

#: What OpenCV reads as it always has: a training that goes on must see the same pixels.
_BY_OPENCV = {".jpg", ".jpeg", ".png"}
#: A larger JPEG file holds many more pixels than a frame needs; it is decoded at a quarter of its size.
_LARGE_FILE_BYTES = 1_500_000


def find_photographs(folder: Path | None, option: str) -> list[Path]:
    """All images below ``folder``, sorted by path, none if it is None; ``option`` is where the user named it.

    Raises:
        DataError: if there is no such folder, or no picture in it.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {option} takes a folder of pictures")
    try:
        return image_files(folder, subfolders=True)
    except SourceError as error:
        raise DataError(f"{error}; {option} takes a folder of pictures") from error


def load_photograph(path: Path, max_side: int) -> Image:
    """Reads one photograph [H, W, 3] BGR and shrinks it until its longer side is ``max_side`` pixels at most.

    Raises:
        DataError: if the file cannot be read.
    """
    if path.suffix.lower() not in _BY_OPENCV:
        return _shrunk(_read(path), max_side)
    is_large = path.suffix.lower() != ".png" and path.stat().st_size > _LARGE_FILE_BYTES
    flags = cv2.IMREAD_REDUCED_COLOR_4 if is_large else cv2.IMREAD_COLOR
    try:
        encoded = np.frombuffer(read_file(path), np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    read = cv2.imdecode(encoded, flags) if len(encoded) else None  # imread crashes on a path that is not UTF-8
    if read is None:
        raise DataError(f"{path}: not a readable JPEG or PNG picture; remove or replace it")
    return _shrunk(np.asarray(read, np.uint8), max_side)


def _read(path: Path) -> Image:
    try:
        image = read_image(path, reduce=True)
    except SourceError as error:
        raise DataError(f"{error}; remove or replace it") from error
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def _shrunk(image: Image, max_side: int) -> Image:
    height, width = image.shape[:2]
    scale = max_side / max(width, height)
    return resized(image, max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else image


#: The kind of a target from the user's folder.
OWN_KIND = "own"

_MAX_SIDE_PX = 400
_MAX_ASPECT = 5.0


def load_target(path: Path) -> TargetTexture:
    """Reads the upright picture of one target; its outer edge is the target's edge.

    Raises:
        DataError: if OpenCV cannot read the file, or the picture is more than five times as long as wide.
    """
    image = load_photograph(path, _MAX_SIDE_PX)
    aspect = image.shape[1] / image.shape[0]
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        raise DataError(f"{path}: {image.shape[1]}x{image.shape[0]} is too narrow; a target is at most 5 times as long")
    return TargetTexture(OWN_KIND, image, aspect, corner_radius=0.0, is_flexible=False)
