"""Images with labels, to learn to recognize: a folder of folders, or MNIST's idx files (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stn_rectify.models.evaluation.known_frames import read_frame
from stn_rectify.runtime.arrays import Image, IntArray
from stn_rectify.runtime.errors import DataError, SourceError
from stn_rectify.runtime.images.finding import image_files
from stn_rectify.runtime.rectifying.pixels.preprocess import resize_antialiased

_GZIP = b"\x1f\x8b"
_UINT8 = 0x08
_MAX_BYTES = 1 << 31


def read_idx(file: Path) -> Image:
    """Reads an idx file of bytes with 1 to 4 axes: uint8 [N], [N, H, W], …

    Raises:
        DataError: if the file cannot be read, was cut short, or is no idx file of bytes.
    """
    try:
        with file.open("rb") as stream:
            is_packed = stream.read(len(_GZIP)) == _GZIP
        with gzip.open(file) if is_packed else file.open("rb") as stream:
            content = stream.read(_MAX_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file} was cut short or is damaged ({error}): copy it again") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UINT8 or not 1 <= content[3] <= 4:
        raise DataError(f"{file} is no idx file of bytes: give the files of MNIST as they are distributed")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[k : k + 4], "big") for k in range(4, start, 4))
    if len(content) != start + prod(shape):
        raise DataError(
            f"{file} holds {len(content)} bytes, but an array of {'x'.join(map(str, shape))} needs "
            f"{start + prod(shape)}: it was cut short or is damaged, copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


_IDX_IMAGES, _IDX_LABELS = "train-images", "train-labels"


@dataclass(frozen=True)
class LabelledImages:
    """Images of one size.

    Attributes:
        images: uint8 [N, h, w, C], grey or RGB.
        labels: int64 [N], positions in ``names``.
        names: names of the classes.
    """

    images: Image = field(repr=False)
    labels: IntArray = field(repr=False)
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: Any) -> LabelledImages:
        return LabelledImages(self.images[which], self.labels[which], self.names)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it: other data is another training."""
        sha256 = hashlib.sha256(repr((self.images.shape, self.names)).encode())
        sha256.update(self.labels.tobytes())
        sha256.update(np.ascontiguousarray(self.images).data)
        return sha256.hexdigest()


def read_labelled_images(folder: Path, size: tuple[int, int], channels: int) -> LabelledImages:
    """Reads ``FOLDER/LABEL/IMAGE`` or MNIST's ``train-images…`` and ``train-labels…``.

    Args:
        folder: a folder of either kind. The images of a folder of folders come in an order that only their paths
            decide, well mixed, so that the last of them can be held out.
        size: height and width that images of a folder are brought to; idx files keep theirs.
        channels: 1 (grey) or 3 (RGB); idx files are grey.

    Raises:
        DataError: if the folder holds nothing usable, or a file is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one with a sub-folder for each label, or with MNIST's idx files")
    idx = sorted(f for f in folder.iterdir() if f.name.startswith(_IDX_IMAGES))
    return _read_idx_pair(folder, idx[0], channels) if idx else _read_folders(folder, size, channels)


def _read_idx_pair(folder: Path, images_file: Path, channels: int) -> LabelledImages:
    if channels != 1:
        raise DataError(f"{images_file} holds grey images: give --input-shape HxWx1")
    beside = sorted(f for f in folder.iterdir() if f.name.startswith(_IDX_LABELS))
    if not beside:
        raise DataError(f"{folder} has {images_file.name}, but no {_IDX_LABELS}… beside it")
    images, labels = read_idx(images_file), read_idx(beside[0])
    if images.ndim != 3 or labels.shape != images.shape[:1] or not len(images):
        raise DataError(
            f"{images_file} is {'x'.join(map(str, images.shape))} and {beside[0].name} "
            f"{'x'.join(map(str, labels.shape))}: expected images [N, h, w] and a label for each"
        )
    names = tuple(str(k) for k in range(int(labels.max()) + 1))
    return LabelledImages(images[..., None], labels.astype(np.int64), names)


def _read_folders(folder: Path, size: tuple[int, int], channels: int) -> LabelledImages:
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    expected = "expected LABEL/IMAGE for each label"
    if len(names) < 2:
        raise DataError(f"{folder}: it has fewer than two sub-folders of images; {expected}")
    files = []
    for label, name in enumerate(names):
        try:
            files += [(file, label) for file in image_files(folder / name, subfolders=True)]
        except SourceError as error:
            raise DataError(f"{folder}: no image is in its sub-folder {name!r}; {expected}: {error}") from error
    files.sort(key=lambda entry: hashlib.sha256(entry[0].relative_to(folder).as_posix().encode()).digest())
    images = np.empty((len(files), *size, channels), np.uint8)
    for number, (file, _) in enumerate(files):
        image: Any = resize_antialiased(read_frame(file), size[1], size[0])
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_BGR2RGB)
        images[number] = image.reshape(*size, channels)
    return LabelledImages(images, np.array([k for _, k in files], np.int64), tuple(names))
