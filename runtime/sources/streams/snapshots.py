"""An address that gives one picture each time: it is asked again and again."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from http.client import HTTPException

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.images.reading import read_image
from stn_rectify.runtime.sources.addresses import without_secrets
from stn_rectify.runtime.sources.streams.cause import cause_of_failure
from stn_rectify.runtime.sources.streams.http import HttpClient
from stn_rectify.runtime.sources.streams.url import StreamUrl

_RATE = 2.0  # frames per second, as other programs ask that watch such cameras
_LARGEST = 1 << 26  # bytes of a picture
_BROKEN = 3  # pictures one after the other, before it is an error
_UNNAMED = ("", "application/octet-stream", "binary/octet-stream")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n")
_POLL_S = 0.1  # how soon an end is noticed


def gives_snapshots(address: str, *, timeout_s: float) -> bool:
    """Asks whether an HTTP address gives single pictures.

    Args:
        address: a URL.
        timeout_s: longest wait for the server.

    Raises:
        SourceError: if it gives nothing at all.
    """
    try:
        answer = HttpClient(StreamUrl.parse(address), timeout_s=timeout_s).ask()
    except (OSError, HTTPException) as error:
        cause = cause_of_failure(error, address, timeout_s=timeout_s)
        raise SourceError(f"cannot open the video {without_secrets(address)}: {cause}") from error
    is_unnamed = answer.kind in _UNNAMED and answer.has_length  # simple servers know no media types
    return answer.kind.startswith("image/") or (is_unnamed and answer.head.startswith(_PICTURES))


class Snapshots:
    """The pictures of such an address, one after the other.

    Args:
        address: a URL.
        framerate: how often it is asked, frames per second; None is twice a second.
        timeout_s: longest wait for the server.
    """

    def __init__(self, address: str, *, framerate: float | None = None, timeout_s: float) -> None:
        self.framerate = framerate or _RATE
        self._address, self._timeout_s = address, timeout_s
        self._client = HttpClient(StreamUrl.parse(address), timeout_s=timeout_s)
        self._next = time.monotonic()

    def read(self, is_stopped: Callable[[], bool]) -> Image | None:
        """The next picture when it is time for it, or None once ``is_stopped`` says so.

        A broken picture is left out; the third one running is an error.

        Raises:
            SourceError: if none comes.
        """
        for attempt in range(_BROKEN):
            while (wait_s := self._next - time.monotonic()) > 0 and not is_stopped():
                time.sleep(min(_POLL_S, wait_s))
            if is_stopped():
                return None
            self._next = max(self._next + 1 / self.framerate, time.monotonic())
            content = self._get()
            try:
                return read_image(io.BytesIO(content), without_secrets(self._address))
            except SourceError:
                if attempt == _BROKEN - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _get(self) -> bytes:
        try:
            return self._client.get(_LARGEST)
        except (OSError, HTTPException) as error:
            cause = cause_of_failure(error, self._address, timeout_s=self._timeout_s)
            raise SourceError(f"no picture comes from {without_secrets(self._address)}: {cause}") from error
