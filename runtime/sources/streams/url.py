"""What a request for a stream needs: a URL in parts, and TLS."""

from __future__ import annotations

import re
import ssl
import urllib.parse
from dataclasses import dataclass, field

_UNSAFE = re.compile(r"[^!-~]")  # spaces, control characters and letters that ASCII does not have
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443}


@dataclass(frozen=True)
class StreamUrl:
    """An address without its secrets, and these.

    Attributes:
        scheme: in small letters.
        host: name or address, without the brackets of IPv6.
        port: the scheme's own where the URL names none; 0 if that is unknown.
        request: what is asked for, from the first slash on, as it may be sent.
        user: as it was meant, without percent signs; None if there is none.
        password: the same.
    """

    scheme: str
    host: str
    port: int
    request: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, address: str) -> StreamUrl:
        """Splits as FFmpeg does: user and password end at the last @ before the first slash, ? or #."""
        scheme, _, rest = address.partition("://")
        place = re.search(r"[/?#]", rest)
        authority, request = (rest, "/") if place is None else (rest[: place.start()], rest[place.start() :])
        login, at, server = authority.rpartition("@")
        user, colon, password = (urllib.parse.unquote(part) for part in login.partition(":"))
        host, port = _server(server)
        scheme = scheme.lower()
        number = int(port) if port.isascii() and port.isdecimal() else _PORTS.get(scheme, 0)
        path = "/" + request.partition("#")[0].removeprefix("/")
        sent = _UNSAFE.sub(lambda found: urllib.parse.quote(found[0]), path)
        return cls(scheme, host, number, sent, user if at else None, password if at and colon else None)

    @property
    def without_login(self) -> str:
        """The whole URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.request}"


def _server(text: str) -> tuple[str, str]:
    """Host and port, as in ``[::1]:80``."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def unchecked_tls() -> ssl.SSLContext:
    """TLS that takes any certificate, as FFmpeg does: cameras sign their own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
