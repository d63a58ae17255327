"""A real HTTP server on this machine that streams MJPEG like a network camera, and can fail like one."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

__all__ = ["StreamServer", "stream_server"]

_CONTENT = {
    "/page": ("text/html; charset=utf-8", b"<html><body><img src=/camera></body></html>"),
    "/text": ("text/plain", b"no camera here" * 100),
    "/nothing": ("video/mp4", b""),
}
_POINTERS = {"/circle": "/circle?token=secret", "/elsewhere": "rtsp://me:secret@127.0.0.1/camera"}


def picture(level: int) -> bytes:
    """A JPEG picture of one grey level."""
    return _encoded(level % 250)


@functools.cache
def _encoded(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


class StreamServer(ThreadingHTTPServer):
    """``/camera`` streams MJPEG: ``frames`` of them (None: for ever), one each ``period_s`` (0: as they are read), then
    hangs or ends; ``/file`` sends a file, parts of it if it ``gives_ranges``.

    While it ``is_frozen`` all pictures of a stream are the same.

    ``/snapshot`` sends the next picture, ``/snapshot-without-length`` and ``-unnamed`` too, unless ``is_busy``;
    the next ``broken`` ones are no pictures;
    ``/status/N`` answers N; ``/basic`` and ``/digest`` are ``/camera`` for who knows the password ``pa@ss`` of ``me``;
    ``/circle`` points to itself, ``/elsewhere`` to no HTTP; ``/lf`` parts pictures by LF alone; ``/page`` is a web
    page, ``/text`` a text, ``/nothing`` empty.
    """

    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        *,
        frames: int | None = None,
        then: str = "end",
        file: Path | None = None,
        period_s: float = 0.02,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.frames, self.then, self.file, self.period_s = frames, then, file, period_s
        self.closing = threading.Event()
        self.requests: list[str] = []
        self.is_frozen = False
        self.snapshots, self.is_busy, self.gives_ranges, self.broken = 0, False, False, 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def stream_server(port: int = 0, **options: object) -> Iterator[StreamServer]:
    """Serves inside the block; afterwards the port refuses connections."""
    server = StreamServer(port, **options)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        path = urllib.parse.urlsplit(self.path).path  # a proxy is asked for a whole URL
        if path.startswith("/file"):
            return self._send_file()
        if path.startswith("/status/"):
            return self.send_error(int(path.rpartition("/")[2]))
        if path in _POINTERS:
            return self._point_to(_POINTERS[path])
        if path in _CONTENT:
            return self._send(*_CONTENT[path])
        if path.startswith("/snapshot") and self.server.is_busy:
            return self.send_error(503)
        if path.startswith("/snapshot"):
            self.server.snapshots += 1
            kind = "application/octet-stream" if path == "/snapshot-unnamed" else "image/jpeg"
            has_length = path != "/snapshot-without-length"
            self.server.broken -= 1
            content = picture(self.server.snapshots) if self.server.broken < 0 else b"no picture"
            return self._send(kind, content, has_length=has_length)
        if path in ("/basic", "/digest") and not self._may_watch(path):
            return None
        return self._stream(b"\n" if path == "/lf" else b"\r\n")

    def _may_watch(self, path: str) -> bool:
        """Asks for the password; a digest is RFC 2069's, without a count."""
        given = self.headers.get("Authorization", "")
        if path == "/basic" and given == f"Basic {base64.b64encode(b'me:pa@ss').decode()}":
            return True
        given = given.removeprefix("Digest ") if given.startswith("Digest ") else ""
        parts = urllib.request.parse_keqv_list(urllib.request.parse_http_list(given))
        secret = hashlib.md5(b"me:camera:pa@ss").hexdigest()
        asked = hashlib.md5(f"{self.command}:{self.path}".encode()).hexdigest()
        if path == "/digest" and parts.get("response") == hashlib.md5(f"{secret}:n:{asked}".encode()).hexdigest():
            return True
        self.send_response(401)
        challenge = 'Basic realm="camera"' if path == "/basic" else 'Digest realm="camera", nonce="n"'
        self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        return False

    def _point_to(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()

    def _send(self, kind: str, content: bytes, *, has_length: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if has_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, line_end: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.closing.wait(self.server.period_s):
            if number == self.server.frames:
                if self.server.then == "end":
                    return
                continue
            image = picture(0 if self.server.is_frozen else number)
            length = f"Content-Length: {len(image)}".encode()
            lines = [b"--frame", b"Content-Type: image/jpeg", length, b"", image, b""]
            if line_end == b"\n":  # with the length FFmpeg would find its way
                lines.remove(length)
            try:
                self.wfile.write(line_end.join(lines))
            except OSError:  # the reader has gone
                return
            number += 1
        return

    def _send_file(self) -> None:
        assert self.server.file is not None
        content = self.server.file.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.server.gives_ranges else None
        if asked is not None:
            begin, end = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
            content = content[begin:end]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""
