"""Containers without a length of the whole in front: their last packet says whether it is all there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from stn_rectify.runtime.sources.containers.container import Container

_FLV_TAGS = (8, 9, 18)  # sound, pictures, data
_FLV_HEADER, _FLV_LAST_TAGS = 9, 64  # the very last one ends the pictures, which may do so before the sound
_FLV_TOLERANCE_S, _FLV_SHARE = 2.0, 0.98  # the duration is up to the end of the last packet, its time to its start
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_OGG_LARGEST_PAGE = 65307  # bytes
_TS_SYNC = 0x47
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # bytes of a packet, and where in it the sync byte is


def read_flv(file: BinaryIO, size: int) -> Container | None:
    """FLV: after each tag comes its length, so the last four bytes lead to the last tags."""
    head = file.read(1 << 14)
    if head[:3] != b"FLV":
        return None
    duration_s = _flv_duration_s(head)
    times_s = list(islice(_flv_times_s(file, size), _FLV_LAST_TAGS))
    is_cut = not times_s or max(times_s) < _FLV_SHARE * duration_s - _FLV_TOLERANCE_S
    return Container(is_cut=is_cut, stores_length=duration_s > 0)


def _flv_times_s(file: BinaryIO, end: int) -> Iterator[float]:
    """The times of the tags, from the last one back as long as they are whole."""
    while end > _FLV_HEADER + 4:
        file.seek(end - 4)
        length = int.from_bytes(file.read(4), "big")
        begin = end - 4 - length
        if length < 11 or begin < _FLV_HEADER:
            return
        file.seek(begin)
        tag = file.read(11)
        if tag[0] & 0x1F not in _FLV_TAGS or int.from_bytes(tag[1:4], "big") + 11 != length:
            return
        yield (int.from_bytes(tag[4:7], "big") | tag[7] << 24) / 1000
        end = begin


def _flv_duration_s(head: bytes) -> float:
    """Of the metadata in the first tag: the name, the type of a number (0), the number; 0 if it is not there."""
    key = b"\0\x08duration\0"
    at = head.find(key)
    if at < 0 or len(head) < at + len(key) + 8:
        return 0.0
    duration_s: float = struct.unpack_from(">d", head, at + len(key))[0]
    return duration_s


def read_asf(file: BinaryIO, size: int) -> Container | None:
    """WMV and ASF: the length of the file is among its properties; FFmpeg takes the time from what there is."""
    head = file.read(1 << 14)
    if not head.startswith(_ASF):
        return None
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 48:
        return Container()
    (length,) = struct.unpack_from("<Q", head, at + 40)
    return Container(is_cut=length > size if length else None, stores_length=False)


def read_ogg(file: BinaryIO, size: int) -> Container | None:
    """Ogg: the header of the last page gives the lengths of what is in it."""
    if file.read(4) != b"OggS":
        return None
    file.seek(max(0, size - 2 * _OGG_LARGEST_PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    count = tail[at + 26] if 0 <= at < len(tail) - 26 else 0
    lengths = tail[at + 27 : at + 27 + count]
    end = at + 27 + count + sum(lengths)
    return Container(is_cut=not count or len(lengths) < count or end > len(tail), stores_length=False)


def read_transport_stream(file: BinaryIO, size: int) -> Container | None:
    """MPEG-TS (.ts, .m2ts): packets of equal length."""
    head = file.read(5 * 204)
    for length, sync_at in _TS_PACKETS:
        syncs = head[sync_at::length]
        if len(syncs) >= 2 and all(byte == _TS_SYNC for byte in syncs):
            file.seek(max(0, size - size % length - length) + sync_at)
            is_cut = size % length != 0 or file.read(1) != bytes([_TS_SYNC])
            return Container(is_cut=is_cut, stores_length=False)
    return None


def read_program_stream(file: BinaryIO, size: int) -> Container | None:
    """MPEG-PS (.mpg, .vob): nothing in it tells where it should end."""
    return Container(is_cut=False, stores_length=False) if file.read(4) == b"\0\0\x01\xba" else None
