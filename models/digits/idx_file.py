"""The idx files that MNIST and its relatives are distributed in (yann.lecun.com/exdb/mnist), plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError

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
