"""What a video file behind an HTTP address says of itself."""

from __future__ import annotations

from http.client import HTTPException

from stn_rectify.runtime.sources.containers import Container, read_open_container
from stn_rectify.runtime.sources.streams.http import HttpClient
from stn_rectify.runtime.sources.streams.url import StreamUrl


def web_container(address: str, *, timeout_s: float) -> Container:
    """Reads the headers of a file; they say nothing if the server gives no parts of it.

    Args:
        address: a URL.
        timeout_s: longest wait for the server, each time that it is asked.
    """
    try:
        with HttpClient(StreamUrl.parse(address), timeout_s=timeout_s).open_file() as file:
            return read_open_container(file)
    except (OSError, HTTPException):
        return Container()
