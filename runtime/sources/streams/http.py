"""What an HTTP server says when it is asked for a stream."""

from __future__ import annotations

import io
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Any, BinaryIO

from stn_rectify.runtime.sources.streams.url import StreamUrl, unchecked_tls

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class HttpAnswer:
    """The beginning of what is there.

    Attributes:
        kind: media type in small letters, such as ``image/jpeg``; empty if it names none.
        head: the first bytes of the content, as many as came at once.
        is_part: whether the server gives parts of a file, which are needed to move about in it.
        has_length: whether it says how long its answer is, as of a file, and not of a stream.
    """

    kind: str
    head: bytes
    is_part: bool
    has_length: bool


class HttpClient:
    """Asks one server, as FFmpeg does: through the same proxy, with the same password, without checking certificates.

    Args:
        url: where to ask.
        timeout_s: longest wait for the server, each time that it is waited for.
    """

    def __init__(self, url: StreamUrl, *, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if url.user is not None:
            passwords.add_password(None, url.without_login, url.user, url.password or "")
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"http": proxy, "https": proxy} if (proxy := proxy_of_environment()) else {}),
            _Basic(passwords),
            _Digest(passwords),
            urllib.request.HTTPSHandler(context=unchecked_tls()),
        )

    def ask(self) -> HttpAnswer:
        """Asks for the beginning.

        Raises:
            OSError: if the server cannot be reached, or does not answer in time; a `urllib.error.HTTPError` if it
                answers with an error.
            HTTPException: if it speaks no HTTP.
        """
        with self._open(first_bytes=_HEAD_BYTES) as answer:
            return _answer(answer)

    def get(self, largest: int) -> bytes:
        """All that is at the address.

        Args:
            largest: so many bytes are read at most.

        Raises:
            OSError: as `ask`.
            HTTPException: as `ask`.
        """
        with self._open() as answer:
            content: bytes = answer.read(largest)
            return content

    def open_file(self) -> BinaryIO:
        """The file at the address, in which one can move about.

        Raises:
            OSError: as `ask`; also if the server gives no parts of it, here and while it is read.
            HTTPException: as `ask`.
        """
        with self._open(first_bytes=1) as answer:
            total = getattr(answer, "headers", {}).get("Content-Range", "").rpartition("/")[2]
        if not total.isdecimal():
            raise OSError("the server gives no parts of the file")
        return io.BufferedReader(_Parts(self._part, int(total)))

    def _part(self, begin: int, end: int) -> bytes:
        with self._open(first_bytes=end - begin, begin=begin) as answer:
            content: bytes = answer.read(end - begin)
            return content

    def _open(self, first_bytes: int | None = None, begin: int = 0) -> IO[bytes]:
        as_ffmpeg = {"User-Agent": "Lavf"}
        request = urllib.request.Request(self._url.without_login, headers=as_ffmpeg)
        if first_bytes is not None:
            request.add_header("Range", f"bytes={begin}-{begin + first_bytes - 1}")
        try:
            opened: IO[bytes] = self._opener.open(request, timeout=self._timeout_s)
            return opened
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else OSError(str(error.reason)) from error
        except ValueError as error:  # of an address that it points to
            raise HTTPException(str(error)) from error


class _Parts(io.RawIOBase):
    """A file of which parts are fetched."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._fetch, self._size, self._at = fetch, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        content = self._fetch(self._at, end) if self._at < end else b""
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """Leaves an answer as it is where the server asks for the password in another way, which urllib takes amiss."""

    def http_error_401(self, *arguments: Any) -> Any:
        with suppress(ValueError):
            return super().http_error_401(*arguments)
        return None


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """The same; it tries a password once, not five times, since cameras count."""

    def __init__(self, passwords: urllib.request.HTTPPasswordMgr) -> None:
        super().__init__(passwords)
        self.reset_retry_count()

    def reset_retry_count(self) -> None:
        self.retried = 5

    def http_error_401(self, *arguments: Any) -> Any:
        try:
            with suppress(ValueError):
                return super().http_error_401(*arguments)
        finally:
            self.reset_retry_count()  # urllib forgets it where the password was refused
        return None


def proxy_of_environment() -> str | None:
    """The one that FFmpeg takes, for HTTPS too."""
    proxy = os.environ.get("http_proxy", "")
    return proxy if proxy.lower().startswith("http://") else None


def uses_proxy(url: StreamUrl) -> bool:
    """Tells whether a server is asked through a proxy."""
    return proxy_of_environment() is not None and not urllib.request.proxy_bypass(url.host)


def _answer(answer: Any) -> HttpAnswer:
    try:
        head = answer.read1(_HEAD_BYTES)
    except (OSError, HTTPException):  # it said what it would send, and did not
        head = b""
    kind = answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
    return HttpAnswer(kind, head, is_part=answer.status == 206, has_length="Content-Length" in answer.headers)
