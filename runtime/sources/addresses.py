"""The names of videos and streams: URLs, with secrets in them, and files, for which FFmpeg has rules of its own."""

from __future__ import annotations

import re
import urllib.parse

#: What stands for a secret of a URL in a printed configuration.
HIDDEN = "***"


def is_url(address: str) -> bool:
    """Tells whether a text is a URL, and not the name of a file."""
    return re.match(r"[a-z][a-z0-9+.-]+://", address, re.IGNORECASE) is not None


def scheme_of(address: str) -> str:
    """The scheme of a URL in small letters; empty for the name of a file."""
    return address.partition("://")[0].lower() if is_url(address) else ""


def local_file(address: str) -> str:
    """The path that a ``file://`` URL means; anything else stays as it is."""
    if scheme_of(address) != "file":
        return address
    return urllib.parse.unquote(urllib.parse.urlsplit(address).path)


def without_secrets(address: str, *, user: str = "", query: str = "...") -> str:
    """A URL for logs and results; the name of a file stays as it is.

    Args:
        address: a URL or a file.
        user: stands for user and password, up to the @.
        query: stands for what follows a question mark.
    """
    if not is_url(address):
        return address
    public = re.sub(r"(?<=://).*@", user, address, flags=re.DOTALL)
    return re.sub(r"\?.*", f"?{query}", public, flags=re.DOTALL)


def ffmpeg_name(file: str) -> str:
    """The name of a file for FFmpeg, which takes what stands before a colon for a protocol, as in ``cam-10:00.mp4``."""
    return f"file:{file}"
