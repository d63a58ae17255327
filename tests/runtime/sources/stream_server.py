"""A real HTTP server on this machine that streams MJPEG like a network camera, and can fail like one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

__all__ = ["StreamServer", "stream_server"]

_PERIOD_S = 0.02


class StreamServer(ThreadingHTTPServer):
    """``/camera`` streams MJPEG: ``frames`` of them (None: for ever), then hangs or ends; ``/file`` sends a file."""

    daemon_threads = True

    def __init__(
        self, port: int = 0, *, frames: int | None = None, then: str = "end", file: Path | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.frames, self.then, self.file = frames, then, file
        self.closing = threading.Event()
        self.requests: list[str] = []

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
        if self.path == "/file":
            return self._send_file()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.closing.wait(_PERIOD_S):
            if number == self.server.frames:
                if self.server.then == "end":
                    return None
                continue
            image = cv2.imencode(".jpg", np.full((48, 64, 3), number % 250, np.uint8))[1].tobytes()
            part = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n".encode()
            try:
                self.wfile.write(part + image + b"\r\n")
            except OSError:  # the reader has gone
                return None
            number += 1
        return None

    def _send_file(self) -> None:
        assert self.server.file is not None
        content = self.server.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error."""
