"""Where an encoded image ends, for the kinds that say so."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from re import Pattern

from stn_rectify.runtime.images.tiff_layout import TIFF_STARTS, TiffLayout

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# In a JPEG's compressed data the byte FF is followed by 00, or by one of the restart markers D0 to D7. A PNG there is
# the next image: this one was cut off.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]|" + re.escape(_PNG))
_START_OF_SCAN, _END_OF_IMAGE, _FILL, _APP2 = 0xDA, 0xD9, 0xFF, 0xE2
_LONGEST_PATTERN = 12

_BMP_HEADER, _UNCOMPRESSED = 14, (0, 3)
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END, _GIF_BLOCKS = 0x21, 0x2C, 0x3B, 13
_QOI_END = re.compile(re.escape(bytes(7) + b"\x01"))
_CODESTREAM = b"\xff\x4f\xff\x51"
_CODESTREAM_END = re.compile(rb"\xff\xd9")  # two bytes that its compressed data never has
_BOX_TYPE = re.compile(rb"[ -~]{4}")
_JP2_BOX, _TYPE_BOX = b"jP  ", b"ftyp"  # that files begin with: JPEG 2000 with both, the others with the second
# Behind its first two bytes a PNM image of text has numbers, blanks, and comments from # to the line's end.
_NO_PNM_TEXT, _LINE_END = re.compile(rb"[^\s0-9]"), re.compile(rb"\n")
_PNM_NUMBER = re.compile(rb"(?:\s|#[^\n]*\n)*(\d+)(?=\s)")
_PFM = re.compile(rb"P([fF])\s+(\d+)\s+(\d+)\s+\S+\s")
_PAM_LINE = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)\s*$", re.MULTILINE)
_PAM_END = re.compile(rb"\nENDHDR\n")
_LONGEST_HEADER = 1 << 12


#: Bytes of an image, at most.
LARGEST = 1 << 28


class Data(ABC):
    """Bytes that may still be coming.

    Attributes:
        buffer: those that have come and were not taken yet.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()

    @abstractmethod
    def has(self, count: int) -> bool:
        """Waits for so many bytes, and tells whether they came."""

    def starts(self, signature: bytes) -> bool:
        """Tells whether the bytes begin with this."""
        self.has(len(signature))
        return self.buffer.startswith(signature)

    def read(self, start: int, count: int) -> bytes:
        """Waits for the bytes of a place, and gives them; fewer if they do not come."""
        if start + count > LARGEST:
            return b""
        self.has(start + count)
        return bytes(self.buffer[start : start + count])

    def find(self, pattern: Pattern[bytes], start: int) -> int | None:
        """Waits for the next place of a pattern of at most 12 bytes, and gives it."""
        while True:
            match = pattern.search(self.buffer, start)
            if match is not None:
                return match.start()
            start = max(start, len(self.buffer) - _LONGEST_PATTERN + 1)
            if not self.has(len(self.buffer) + 1):
                return None

    def rest(self) -> int:
        """Waits for the end of the stream, and gives the number of bytes until then."""
        while self.has(len(self.buffer) + 1):
            pass
        return len(self.buffer)


def image_length(data: Data) -> tuple[int, bool]:
    """Length of the image at the beginning, and whether that is certain: else it is all that comes."""
    data.has(_LONGEST_PATTERN)
    for start, length in KINDS.items():
        if start.match(data.buffer):
            return length(data), True
    return data.rest(), False


def next_start(data: Data, start: int) -> int:
    """The next place where an image begins, of the kinds that are known by enough bytes; else the end."""
    found = data.find(_CERTAIN_START, start)
    return data.rest() if found is None else found


def _png(data: Data) -> int:
    at = len(_PNG)
    while data.has(at + 8):  # length and type of a chunk; its checksum comes last
        is_last = data.buffer[at + 4 : at + 8] == b"IEND"
        at += 12 + int.from_bytes(data.buffer[at : at + 4], "big")
        if is_last:
            data.has(at)
            return at
    return data.rest()


def _jpeg(data: Data) -> int:
    at = 2
    while data.has(at + 2):
        marker = data.buffer[at + 1]
        if data.buffer[at] != _FILL:
            return next_start(data, at)
        if marker == _END_OF_IMAGE:
            return at + 2
        if marker == _FILL:
            at += 1
            continue
        if data.has(at + 3) and data.buffer.startswith(_JPEG, at):  # this one was cut off; thumbnails lie in segments
            return at
        if not data.has(at + 8):
            break
        if marker == _APP2 and data.buffer[at + 4 : at + 8] == b"MPF\0":
            break
        at += 2 + int.from_bytes(data.buffer[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN:
            next_marker = data.find(_NEXT_MARKER, at)
            if next_marker is None:
                break
            at = next_marker
    return data.rest()


def _bmp(data: Data) -> int:
    """As long as the header says, unless that is too short for pixels that are not compressed."""
    if not data.has(_BMP_HEADER + 20):
        return data.rest()

    def number(at: int, size: int) -> int:
        return int.from_bytes(data.buffer[at : at + size], "little", signed=size == 4 and at == 22)

    said, pixels, header = number(2, 4), number(10, 4), number(14, 4)
    if header == 12:  # OS/2
        width, height, bits, compression = number(18, 2), number(20, 2), number(24, 2), 0
    else:
        width, height, bits, compression = number(18, 4), abs(number(22, 4)), number(28, 2), number(30, 4)
    least = pixels + (width * bits + 31) // 32 * 4 * height
    return _until(data, max(said, least) if compression in _UNCOMPRESSED else said or data.rest())


def _riff(data: Data) -> int:
    size = int.from_bytes(data.read(4, 4), "little")
    return _until(data, 8 + size + size % 2)


def _tiff(data: Data) -> int:
    return _until(data, TiffLayout(data.read).end())


def _gif(data: Data) -> int:
    at = _GIF_BLOCKS + (3 << (data.buffer[10] & 7) + 1 if data.buffer[10] & 0x80 else 0)
    while data.has(at + 1):
        kind = data.buffer[at]
        if kind == _GIF_END:
            return at + 1
        if kind == _GIF_EXTENSION:
            at += 2
        elif kind == _GIF_IMAGE and data.has(at + 10):
            flags = data.buffer[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            break
        while data.has(at + 1) and data.buffer[at]:
            at += 1 + data.buffer[at]
        at += 1
    return next_start(data, at)


def _qoi(data: Data) -> int:
    end = data.find(_QOI_END, 14)
    return data.rest() if end is None else end + 8


def _boxes(data: Data) -> int:
    """AVIF, HEIC and JPEG 2000 end where the next image or something else than a box begins."""
    at, firsts = 0, (_JP2_BOX,) if data.buffer[4:8] == _JP2_BOX else (_JP2_BOX, _TYPE_BOX)
    while data.has(at + 8):
        size, kind = int.from_bytes(data.buffer[at : at + 4], "big"), bytes(data.buffer[at + 4 : at + 8])
        if size == 1 and data.has(at + 16):
            size = int.from_bytes(data.buffer[at + 8 : at + 16], "big")
        if (at and kind in firsts) or _BOX_TYPE.fullmatch(kind) is None or (0 < size < 8):
            return at
        if size == 0:  # to the end
            break
        at += size
    return data.rest()


def _codestream(data: Data) -> int:
    end = data.find(_CODESTREAM_END, len(_CODESTREAM))
    return data.rest() if end is None else end + 2


def _pnm(data: Data) -> int:
    kind = data.buffer[1] - ord("0")
    if kind <= 3:
        return _pnm_text(data)
    numbers, at = [], 2
    for _ in range(2 if kind == 4 else 3):
        match = _header_match(data, _PNM_NUMBER, at)
        if match is None:
            return data.rest()
        numbers.append(int(match[1]))
        at = match.end()
    width, height, greatest = (*numbers, 1)[:3]
    row = (width + 7) // 8 if kind == 4 else width * (3 if kind == 6 else 1) * (2 if greatest > 255 else 1)
    return _until(data, at + 1 + row * height)


def _pnm_text(data: Data) -> int:
    at = 2
    while (found := data.find(_NO_PNM_TEXT, at)) is not None:
        if data.buffer[found] != ord("#"):
            return found
        line_end = data.find(_LINE_END, found)
        if line_end is None:
            break
        at = line_end
    return data.rest()


def _pam(data: Data) -> int:
    end = _header_match(data, _PAM_END, 0, search=True)
    if end is None:
        return data.rest()
    values = {name: int(number) for name, number in _PAM_LINE.findall(data.buffer[: end.start() + 1])}
    sample = 2 if values.get(b"MAXVAL", 255) > 255 else 1
    size = values.get(b"WIDTH", 0) * values.get(b"HEIGHT", 0) * values.get(b"DEPTH", 1) * sample
    return _until(data, end.end() + size)


def _pfm(data: Data) -> int:
    match = _header_match(data, _PFM, 0)
    if match is None:
        return data.rest()
    return _until(data, match.end() + int(match[2]) * int(match[3]) * (12 if match[1] == b"F" else 4))


def _header_match(data: Data, pattern: Pattern[bytes], at: int, *, search: bool = False) -> re.Match[bytes] | None:
    """The match of a part of a header, once it has come."""
    while True:
        match = pattern.search(data.buffer, at) if search else pattern.match(data.buffer, at)
        if match is not None or len(data.buffer) > at + _LONGEST_HEADER or not data.has(len(data.buffer) + 1):
            return match


def _until(data: Data, end: int) -> int:
    """That place; of one that no image has, which is damage, the next image."""
    if end > LARGEST:
        return next_start(data, 1)
    data.has(end)
    return min(end, len(data.buffer))


#: How the images begin whose ends can be told, and what tells them.
KINDS: Mapping[Pattern[bytes], Callable[[Data], int]] = {
    re.compile(re.escape(_JPEG)): _jpeg,
    re.compile(re.escape(_PNG)): _png,
    re.compile(rb"BM[\s\S]{4}\0{4}"): _bmp,
    re.compile(rb"RIFF[\s\S]{4}WEBP"): _riff,
    re.compile(rb"|".join(map(re.escape, TIFF_STARTS))): _tiff,
    re.compile(rb"GIF8[79]a"): _gif,
    re.compile(rb"P[1-6][\s#]"): _pnm,
    re.compile(rb"P7\n"): _pam,
    re.compile(rb"P[fF]\s"): _pfm,
    re.compile(rb"qoif"): _qoi,
    re.compile(rb"[\s\S]{4}ftyp|\0\0\0\x0cjP  "): _boxes,
    re.compile(re.escape(_CODESTREAM)): _codestream,
}
KNOWN_STARTS = tuple(KINDS)
_CERTAIN_START = re.compile(b"|".join((re.escape(_JPEG), re.escape(_PNG), rb"GIF8[79]a", rb"RIFF[\s\S]{4}WEBP")))
