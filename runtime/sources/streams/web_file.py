"""What a video file behind an HTTP address says of itself."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from stn_rectify.runtime.images.kinds import FOREIGN_SUFFIXES, LONGEST_FOREIGN_START, foreign_kind
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


def foreign_web_kind(address: str, *, timeout_s: float) -> str | None:
    """What a file is that is called like none of images or videos; see `foreign_kind`. Of other names nobody is asked.

    Args:
        address: a URL.
        timeout_s: longest wait for the server.

    Returns:
        None as well where the server does not answer: who opens it will say so.
    """
    if PurePosixPath(urlsplit(address).path).suffix.lower() not in FOREIGN_SUFFIXES:
        return None
    try:
        answer = HttpClient(StreamUrl.parse(address), timeout_s=timeout_s).ask()
    except (OSError, HTTPException):
        return None
    return foreign_kind(answer.head[:LONGEST_FOREIGN_START])
