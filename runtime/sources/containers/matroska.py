"""Matroska and WebM: EBML elements (RFC 8794, RFC 9559), each with its length in front."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from stn_rectify.runtime.sources.containers.container import Container

_EBML, _SEGMENT, _CLUSTER, _TRACKS, _TRACK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
_TRACK_TYPE, _VIDEO, _PROJECTION, _YAW, _PITCH = 0x83, 0xE0, 0x7670, 0x7673, 0x7674
_PICTURES = 1  # a track's type
_LARGEST_TRACKS = 1 << 24  # bytes


def read(file: BinaryIO, size: int) -> Container | None:
    """What the elements say, or None if the file is none of these; see `read_container`."""
    head = file.read(64)
    if not head.startswith(_EBML.to_bytes(4, "big")):
        return None
    at = 0
    while at < size:
        kind, length, begin = _element(file, at)
        if kind == _SEGMENT:
            is_cut = None if length is None else begin + length > size
            return Container(is_cut=is_cut, is_mirrored=_is_mirrored(file, begin, size))
        if length is None:
            break
        at = begin + length
    return Container(is_cut=True)


def _is_mirrored(file: BinaryIO, at: int, size: int) -> bool:
    while at < size:
        kind, length, begin = _element(file, at)
        if length is None or kind == _CLUSTER:
            return False
        if kind == _TRACKS and length <= _LARGEST_TRACKS:
            file.seek(begin)
            return _shows_mirrored(file.read(length))
        at = begin + length
    return False


def _shows_mirrored(tracks: bytes) -> bool:
    """FFmpeg writes a mirrored picture as one that is seen from behind: turned by 180 degrees to the side or over."""
    for kind, track in _children(tracks):
        parts = dict(_children(track)) if kind == _TRACK else {}
        if int.from_bytes(parts.get(_TRACK_TYPE, b""), "big") == _PICTURES:
            projection = dict(_children(dict(_children(parts.get(_VIDEO, b""))).get(_PROJECTION, b"")))
            behind = [abs(_number(projection.get(turn, b""))) == 180 for turn in (_YAW, _PITCH)]
            return behind[0] != behind[1]
    return False


def _number(content: bytes) -> float:
    if len(content) not in (4, 8):
        return 0.0
    value: float = struct.unpack(">f" if len(content) == 4 else ">d", content)[0]
    return value


def _element(file: BinaryIO, at: int) -> tuple[int, int | None, int]:
    """The kind of the element at a place, the length of its content (None: unknown), and where that begins."""
    file.seek(at)
    return _header(file.read(12), at)


def _header(head: bytes, at: int) -> tuple[int, int | None, int]:
    if not head or not head[0]:
        raise ValueError(f"no EBML element at byte {at}")
    kind_bytes = 9 - head[0].bit_length()
    lengths = head[kind_bytes : kind_bytes + 8]
    if not lengths or not lengths[0]:
        raise ValueError(f"no length of the EBML element at byte {at}")
    length_bytes = 9 - lengths[0].bit_length()
    value = int.from_bytes(lengths[:length_bytes], "big") & ((1 << 7 * length_bytes) - 1)
    length = None if value == (1 << 7 * length_bytes) - 1 else value
    return int.from_bytes(head[:kind_bytes], "big"), length, at + kind_bytes + length_bytes


def _children(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        kind, length, begin = _header(content[at : at + 12], at)
        if length is None:
            return
        yield kind, content[begin : begin + length]
        at = begin + length
