"""MP4, MOV, 3GP, M4V: boxes (ISO/IEC 14496-12), each with its length in front."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from stn_rectify.runtime.sources.containers.container import Container

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
_LARGEST_INDEX = 1 << 28  # bytes


def read(file: BinaryIO, size: int) -> Container | None:
    """What the boxes say, or None if the file is none of these; see `read_container`."""
    if file.read(8)[4:] not in _FIRST:
        return None
    is_cut, is_mirrored, is_fragmented = False, False, False
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return Container(is_cut=True, is_mirrored=is_mirrored)
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack(">Q", header[8:])
        elif length == 0:  # up to the end, wherever that is
            return Container(is_mirrored=is_mirrored)
        if length < 8:  # no box: something that was appended
            break
        if kind == b"moov" and length <= _LARGEST_INDEX:
            file.seek(at + 8)
            is_mirrored = _is_mirrored(file.read(length - 8))
        is_fragmented |= kind == b"moof"
        at += length
        is_cut = at > size
    return Container(is_cut=is_cut, stores_length=not is_fragmented, is_mirrored=is_mirrored)


def _is_mirrored(moov: bytes) -> bool:
    """The display matrix of the first video track, times that of the movie, turns left into right where det < 0."""
    movie = _find(moov, b"mvhd")
    for kind, track in _boxes(moov):
        if kind != b"trak":
            continue
        header, media = _find(track, b"tkhd"), _find(track, b"mdia")
        handler = _find(media, b"hdlr") if media else None
        if header and handler and handler[8:12] == b"vide":
            movies = _determinant(movie, 48 if movie[0] == 1 else 36) if movie else 1
            return movies * _determinant(header, 52 if header[0] == 1 else 40) < 0
    return False


def _determinant(header: bytes, at: int) -> int:
    """Of the upper left 2x2 numbers, Q16.16, of a display matrix; its sign is all that counts."""
    a, b, _, c, d = struct.unpack_from(">5i", header, at)
    determinant: int = a * d - b * c
    return determinant


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            return
        yield kind, content[at + 8 : at + length]
        at += length


def _find(content: bytes, wanted: bytes) -> bytes | None:
    return next((box for kind, box in _boxes(content) if kind == wanted), None)
