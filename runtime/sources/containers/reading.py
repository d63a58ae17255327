"""A container's family, told by the first bytes."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from stn_rectify.runtime.files import open_file
from stn_rectify.runtime.sources.containers import matroska, mp4, riff, tails
from stn_rectify.runtime.sources.containers.container import Container

_READERS: tuple[Callable[[BinaryIO, int], Container | None], ...] = (
    mp4.read,
    matroska.read,
    riff.read,
    tails.read_flv,
    tails.read_asf,
    tails.read_ogg,
    tails.read_transport_stream,
    tails.read_program_stream,
)
_TAIL = 4096  # bytes: a download or a disk that failed leaves zeros, a block at least


def read_container(path: str | os.PathLike[str]) -> Container:
    """Reads what a video file says of itself; one of an unknown kind, or with broken headers, says nothing."""
    try:
        with open_file(path) as file:  # of a pipe nothing may be taken away
            return read_open_container(file)
    except (OSError, ValueError):
        return Container()  # OpenCV has its own opinion of the file, and gives it


def read_open_container(file: BinaryIO) -> Container:
    """The same of an open file.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        for read in _READERS:
            file.seek(0)
            container = read(file, size)
            if container is not None:
                return replace(container, is_cut=True) if _ends_in_zeros(file, size) else container
    except (ValueError, struct.error):
        pass  # broken headers
    return Container()


def _ends_in_zeros(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _TAIL))
    return size >= _TAIL and not any(file.read(_TAIL))
