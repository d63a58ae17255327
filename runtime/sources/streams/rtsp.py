"""What an RTSP server says when it is asked to describe a stream (RFC 2326)."""

from __future__ import annotations

import base64
import re
import socket
import urllib.request
from dataclasses import dataclass

from stn_rectify.runtime.sources.streams.url import StreamUrl, unchecked_tls

_LARGEST = 1 << 16


@dataclass(frozen=True)
class RtspAnswer:
    """An answer.

    Attributes:
        status: such as 404; 0 if it is none of RTSP.
        reason: in the server's words.
        has_pictures: whether the description names a video.
    """

    status: int
    reason: str
    has_pictures: bool


def describe(url: StreamUrl, *, timeout_s: float) -> RtspAnswer:
    """Asks for the description, first without, then with the password.

    Raises:
        OSError: if the server cannot be reached, or does not answer in time.
    """
    text = _ask(url, None, timeout_s)
    if _status(text)[0] == 401 and url.user is not None:
        text = _ask(url, _authorization(url, text), timeout_s)
    status, reason = _status(text)
    return RtspAnswer(status, reason, re.search(r"^m=video\b", text, re.MULTILINE) is not None)


def _ask(url: StreamUrl, authorization: str | None, timeout_s: float) -> str:
    lines = [f"DESCRIBE {url.without_login} RTSP/1.0", "CSeq: 1", "Accept: application/sdp"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    with socket.create_connection((url.host, url.port), timeout_s) as connection:
        if url.scheme != "rtsps":
            return _exchange(connection, lines)
        with unchecked_tls().wrap_socket(connection, server_hostname=url.host) as wrapped:
            return _exchange(wrapped, lines)


def _exchange(connection: socket.socket, lines: list[str]) -> str:
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    received = b""
    while len(received) < _LARGEST and not _is_whole(received):
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received.decode("utf-8", "replace")


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length:\s*(\d{1,6})", head, re.IGNORECASE | re.MULTILINE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def _status(text: str) -> tuple[int, str]:
    line = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)", text)
    return (int(line[1]), "".join(filter(str.isprintable, line[2]))[:60]) if line else (0, "")


class _Describe(urllib.request.Request):
    """For urllib, which computes what a digest is made of."""

    def __init__(self, url: StreamUrl) -> None:
        super().__init__(f"http{url.without_login[len(url.scheme) :]}", method="DESCRIBE")
        self.selector = url.without_login


def _authorization(url: StreamUrl, text: str) -> str | None:
    user, password = url.user or "", url.password or ""
    found = dict(re.findall(r"^www-authenticate:\s*(\w+)\s+([^\r\n]*)", text, re.IGNORECASE | re.MULTILINE))
    challenges = {scheme.lower(): challenge for scheme, challenge in found.items()}
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    request = _Describe(url)
    passwords.add_password(None, request.full_url, user, password)
    if "digest" in challenges:
        parts = urllib.request.parse_keqv_list(urllib.request.parse_http_list(challenges["digest"]))
        digest = urllib.request.AbstractDigestAuthHandler(passwords)
        computed = digest.get_authorization(request, parts)
        return f"Digest {computed}" if computed else None
    if "basic" in challenges:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    return None
