"""Why no picture comes from a URL, as a line that says what to do."""

from __future__ import annotations

import errno
import socket
import ssl
import urllib.error
from http.client import HTTPException

from stn_rectify.runtime.sources.addresses import without_secrets
from stn_rectify.runtime.sources.streams.http import HttpAnswer, HttpClient, proxy_of_environment, uses_proxy
from stn_rectify.runtime.sources.streams.rtsp import describe
from stn_rectify.runtime.sources.streams.url import StreamUrl

_LONGEST_S = 5.0  # FFmpeg has already waited
_TO_THE_FRONT = "ffmpeg -i OLD -c copy -movflags +faststart NEW.mp4"
_PAGES = ("text/html", "application/xhtml+xml")
_PLAYLISTS = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "application/dash+xml")


def cause_of_silence(address: str, *, timeout_s: float) -> str:
    """Asks the server of a stream that gives no picture.

    Args:
        address: a URL; no secret of it is in the answer.
        timeout_s: longest wait for the server, at most 5 s.

    Returns:
        What is wrong, and what to do; what may be wrong if the server does not tell.
    """
    url, wait_s = StreamUrl.parse(address), min(timeout_s, _LONGEST_S)
    try:
        if url.scheme in ("http", "https"):
            return _content_cause(HttpClient(url, timeout_s=wait_s).ask())
        if url.scheme in ("rtsp", "rtsps") and url.host:
            answer = describe(url, timeout_s=wait_s)
            if not answer.status:
                return "what answers there is no RTSP server: check port and scheme"
            if answer.status != 200:
                return _status_cause(answer.status, answer.reason, scheme=url.scheme, has_login=url.user is not None)
            if not answer.has_pictures:
                return "its server describes a stream without pictures: name another one of its streams"
            return "its server describes the stream, but sends no picture: it may have too many viewers"
        if url.scheme in ("rtmp", "rtmps") and url.host:
            with socket.create_connection((url.host, url.port), wait_s):
                return "its server is there, but gives no such stream: check application and stream name"
    except (OSError, HTTPException, UnicodeError) as error:
        return cause_of_failure(error, address, timeout_s=wait_s)
    if url.scheme in ("udp", "rtp", "srt", "tcp"):
        return "no picture arrives there: see that it is sent to this port, and that no firewall is between"
    return f"no stream comes from it, or FFmpeg knows no {url.scheme}://: take an address of RTSP or HTTP"


def cause_of_failure(error: Exception, address: str, *, timeout_s: float) -> str:
    """What it means that a server could not be asked, or answered with an error.

    Args:
        error: what `HttpClient` or a socket raised.
        address: the URL; no secret of it is in the answer.
        timeout_s: how long the server was waited for.
    """
    url = StreamUrl.parse(address)
    if not url.host:
        return f"there is no host in it: write it as in {url.scheme}://192.168.1.20/stream"
    is_through = url.scheme in ("http", "https") and uses_proxy(url)
    through = f"through the proxy {_proxy()} (http_proxy): " if is_through else ""
    if isinstance(error, urllib.error.HTTPError):
        words = str(error.reason).rpartition("\n")[2].partition(" - ")[0]  # around a redirection's urllib puts its own
        reason = "".join(filter(str.isprintable, words))[:60]
        cause = _status_cause(error.code, reason, scheme=url.scheme, has_login=url.user is not None)
        return f"{through}{cause}" if error.code in (403, 502, 503, 504) else cause
    if not isinstance(error, OSError):
        return f"{through}what answers there is no HTTP server: check port and scheme"
    if isinstance(error, socket.gaierror):
        return f"{through}this host is not known: check its name, and the network's name server (DNS)"
    if isinstance(error, ConnectionRefusedError):
        return f"{through}nothing listens there (connection refused): check address and port, and that it is on"
    if isinstance(error, TimeoutError):
        return f"{through}no answer within {timeout_s:g} s: check the address, and that it is on"
    if isinstance(error, ssl.SSLError):
        return f"{through}it speaks no TLS there: try {url.scheme[:-1]}://"
    if isinstance(error, ConnectionError):
        return f"{through}it closes the connection without an answer: check port and scheme, or restart it"
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return f"{through}no way leads there ({error.strerror}): check the network and the address"
    return f"{through}it cannot be reached ({error.strerror or error}): check the address"


def _proxy() -> str:
    return without_secrets(proxy_of_environment() or "")


def _status_cause(status: int, reason: str, *, scheme: str, has_login: bool) -> str:
    """What a status of HTTP or RTSP other than success means for a user."""
    said = f"{status} {reason}".strip() if status != 401 else "401 Unauthorized"
    if status == 401:
        if has_login:
            return f"it refuses this user and password ({said}): check them, and write special characters as %XX"
        return f"it asks for a user and a password ({said}): write them as in {scheme}://USER:PASSWORD@host/path"
    if status == 403:
        return f"it refuses access ({said}): check the user's rights, and whether this device may watch"
    if status in (404, 410):
        return f"its server is there, but nothing at this path ({said}): check the path"
    if status == 407:
        return f"the proxy asks for a user and a password ({said}): set http_proxy=http://USER:PASSWORD@host:port"
    if status in (429, 453, 503):
        return f"its server is busy ({said}): another viewer may have its only stream"
    if 300 <= status < 400:
        return (
            f"it points to another address ({said}), in circles or to none of HTTP: name the one that has the pictures"
        )
    if status >= 500:
        return f"its server fails ({said}): see what it says itself, or restart it"
    return f"its server answers {said}: check the address"


def _content_cause(answer: HttpAnswer) -> str:
    head = answer.head.lstrip()
    if answer.kind in _PAGES or head[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "what comes is a web page, no stream: name the address of the stream in it"
    if answer.kind in _PLAYLISTS or head.startswith(b"#EXTM3U"):
        return "its playlist comes, but no picture that it names: open one of the addresses in it"
    if not answer.head:
        return "no frame comes: its server answers, but sends nothing; see that it has a picture to send"
    if answer.kind.startswith("multipart/"):
        return (
            "no frame comes: it sends parts (multipart), but FFmpeg finds no picture in them; try another address of "
            "the camera, such as RTSP or a snapshot's"
        )
    if answer.head[4:8] == b"ftyp" and not answer.is_part and not _index_is_in_front(answer.head):
        return (
            "its index is at the end, and its server gives no ranges (parts of a file): copy it here, or put the index "
            f"in front ({_TO_THE_FRONT})"
        )
    if answer.kind.startswith("text/") or answer.kind in ("application/json", "application/xml"):
        return f"what comes is {answer.kind}, no stream: check the address"
    return f"what comes from there{f' ({answer.kind})' if answer.kind else ''} is no video that OpenCV can decode"


def _index_is_in_front(head: bytes) -> bool:
    """Looks at the boxes of an MP4 up to its pictures."""
    at = 0
    while at + 8 <= len(head):
        kind, length = head[at + 4 : at + 8], int.from_bytes(head[at : at + 4], "big")
        if kind in (b"moov", b"mdat"):
            return kind == b"moov"
        if length < 8:
            return False
        at += length
    return False
