"""Encoded images one after the other, as they come through a pipe."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from re import Pattern

from stn_rectify.runtime.errors import SourceError, warn
from stn_rectify.runtime.images.lengths import KNOWN_STARTS, LARGEST, Data, image_length, next_start

_POLL_S = 0.1  # how soon an end is noticed
_CHUNK = 1 << 16
_HEADER = 18  # bytes that images of one size and kind, whose lengths we cannot tell, begin with
_BLANK = b" \t\r\n\0"


def split_images(descriptor: int, is_stopped: Callable[[], bool]) -> Iterator[bytes]:
    """Images as soon as each is complete; what begins as none of `lengths.KINDS` is one image to the end.

    So is a photograph with further pictures inside (MPF).

    Args:
        descriptor: of an open file or pipe.
        is_stopped: asked now and then; True ends the iteration.

    Yields:
        Encoded images. One whose end cannot be told for damage comes with what follows, the next image at worst.

    Raises:
        SourceError: if 256 MB come without the end of an image; and after the first image of a kind whose end cannot be
            told, if others seem to follow it.
    """
    data = _PipeData(descriptor, is_stopped)
    left_out = 0
    while data.has(1):
        length, is_certain = image_length(data)
        if is_stopped():
            return
        image = bytes(data.buffer[:length])
        del data.buffer[:length]
        yield image
        if not is_certain and image.count(image[:_HEADER]) > 1:
            raise SourceError(
                "standard input: more images seem to follow the first, but where they end cannot be told of this kind: "
                "send JPEG, PNG, BMP, PPM, PGM, WebP, TIFF or GIF images"
            )
        left_out += _skip_to_next(data)
    if left_out:
        warn(f"standard input: {left_out} bytes between or behind images belong to none: left out")


def _skip_to_next(data: _PipeData) -> int:
    """Takes away what does not begin an image: newlines, and what phones append to their photographs.

    Returns:
        How many bytes these were, blanks aside.
    """
    while data.has(1) and data.buffer[0] in _BLANK and not data.starts_image():
        blanks = len(data.buffer) - len(data.buffer.lstrip(_BLANK))
        del data.buffer[: max(1, blanks - 3)]  # the last ones may begin an image: 00 00 00 18 f t y p
    if not data.has(1) or data.starts_image():
        return 0
    skipped = next_start(data, 0)
    del data.buffer[:skipped]
    return skipped


class _PipeData(Data):
    """The bytes that have come and were not taken yet."""

    def __init__(self, descriptor: int, is_stopped: Callable[[], bool]) -> None:
        super().__init__()
        self._descriptor, self._is_stopped, self._is_ended = descriptor, is_stopped, False

    def has(self, count: int) -> bool:
        """Waits for so many bytes, and tells whether they came."""
        while len(self.buffer) < count and not self._is_ended:
            if len(self.buffer) > LARGEST:
                raise SourceError(
                    f"standard input: no image ends within {LARGEST >> 20} MB: send smaller images, or name files"
                )
            if self._is_stopped():
                self._is_ended = True
            elif select.select([self._descriptor], [], [], _POLL_S)[0]:
                chunk = os.read(self._descriptor, _CHUNK)
                self._is_ended = not chunk
                self.buffer += chunk
        return len(self.buffer) >= count

    def starts_image(self) -> bool:
        """Tells whether an image of a known kind begins here."""
        return any(self.matches(start) for start in KNOWN_STARTS)

    def matches(self, start: Pattern[bytes]) -> bool:
        """Tells whether the bytes begin with a pattern of at most 16."""
        self.has(16)
        return start.match(self.buffer) is not None
