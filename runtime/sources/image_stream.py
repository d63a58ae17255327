"""Encoded images one after the other, as they come through a pipe."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Iterator

from stn_rectify.runtime.errors import SourceError

__all__ = ["split_images"]

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_START = re.compile(re.escape(_JPEG) + b"|" + re.escape(_PNG))
# In a JPEG's compressed data the byte FF is followed by 00, or by one of the restart markers D0 to D7. A PNG there is
# the next image: this one was cut off.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]|" + re.escape(_PNG))
_START_OF_SCAN, _END_OF_IMAGE, _FILL, _APP2 = 0xDA, 0xD9, 0xFF, 0xE2
_POLL_S = 0.1  # how soon an end is noticed
_CHUNK = 1 << 16
_LARGEST = 1 << 28


def split_images(descriptor: int, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
    """JPEG and PNG images as soon as each is complete; what begins as neither is one image to the end.

    So is a photograph with further pictures inside (MPF).

    Args:
        descriptor: of an open file or pipe.
        is_stopped: asked now and then; True ends the iteration.

    Yields:
        Encoded images. One whose end cannot be told for damage comes with what follows, the next image at worst.

    Raises:
        SourceError: if 256 MB come without the end of an image.
    """
    data = _Data(descriptor, is_stopped)
    while data.has(1):
        length = _length(data)
        if is_stopped():
            return
        yield bytes(data.buffer[:length])
        del data.buffer[:length]
        if not data.starts(_JPEG) and not data.starts(_PNG):  # newlines, and what phones append to their photographs
            del data.buffer[: _next_image(data, 0)]


class _Data:
    """The bytes that have come and were not taken yet."""

    def __init__(self, descriptor: int, is_stopped: Callable[[], bool]) -> None:
        self.buffer = bytearray()
        self._descriptor, self._is_stopped, self._is_ended = descriptor, is_stopped, False

    def has(self, count: int) -> bool:
        """Waits for so many bytes, and tells whether they came."""
        while len(self.buffer) < count and not self._is_ended:
            if len(self.buffer) > _LARGEST:
                raise SourceError(f"standard input: no image ends within {_LARGEST >> 20} MB: send JPEG or PNG images")
            if self._is_stopped():
                self._is_ended = True
            elif select.select([self._descriptor], [], [], _POLL_S)[0]:
                chunk = os.read(self._descriptor, _CHUNK)
                self._is_ended = not chunk
                self.buffer += chunk
        return len(self.buffer) >= count

    def starts(self, signature: bytes) -> bool:
        """Tells whether the bytes begin with this."""
        self.has(len(signature))
        return self.buffer.startswith(signature)

    def find(self, pattern: re.Pattern[bytes], start: int) -> int | None:
        """Waits for the next place of a pattern of at most 8 bytes, and gives it."""
        while True:
            found = pattern.search(self.buffer, start)
            if found is not None:
                return found.start()
            start = max(start, len(self.buffer) - len(_PNG) + 1)
            if not self.has(len(self.buffer) + 1):
                return None

    def rest(self) -> int:
        """Waits for the end of the stream, and gives the number of bytes until then."""
        while self.has(len(self.buffer) + 1):
            pass
        return len(self.buffer)


def _length(data: _Data) -> int:
    """Length of the image at the beginning."""
    if data.starts(_PNG):
        return _png_length(data)
    return _jpeg_length(data) if data.starts(_JPEG) else data.rest()


def _png_length(data: _Data) -> int:
    at = len(_PNG)
    while data.has(at + 8):  # length and type of a chunk; its checksum comes last
        is_last = data.buffer[at + 4 : at + 8] == b"IEND"
        at += 12 + int.from_bytes(data.buffer[at : at + 4], "big")
        if is_last:
            data.has(at)
            return at
    return data.rest()


def _jpeg_length(data: _Data) -> int:
    at = 2
    while data.has(at + 2):
        marker = data.buffer[at + 1]
        if data.buffer[at] != _FILL:
            return _next_image(data, at)
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
            found = data.find(_NEXT_MARKER, at)
            if found is None:
                break
            at = found
    return data.rest()


def _next_image(data: _Data, start: int) -> int:
    found = data.find(_START, start)
    return data.rest() if found is None else found
