"""AVI: RIFF chunks, each with its length in front; several RIFF lists one after the other from 1 GB on (OpenDML)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from stn_rectify.runtime.sources.containers.container import Container


def read(file: BinaryIO, size: int) -> Container | None:
    """What the lists say, or None if the file is no AVI; see `read_container`."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:11] != b"AVI":
        return None
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            break  # something that was appended
        if length == 0:  # of a recorder that was switched off
            return Container()
        at += 8 + length + length % 2
    return Container(is_cut=at > size + 1)  # the last byte of padding is often left out
