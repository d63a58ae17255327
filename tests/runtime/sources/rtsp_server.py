"""A server of RTSP on this machine that describes a stream or refuses to, and sends no picture."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["rtsp_server"]


@contextmanager
def rtsp_server(answers: Mapping[str, str]) -> Iterator[int]:
    """Serves inside the block, and gives the port.

    Args:
        answers: the status line and what follows, by the first word of the request's Authorization ("" without).
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while lines := list(iter(lambda: self.rfile.readline().decode().strip(), "")):
                headers = dict(line.split(": ", 1) for line in lines[1:])
                given = headers.get("Authorization", "").partition(" ")[0]
                answer = answers[given] if lines[0].startswith("DESCRIBE") else "200 OK\r\n\r\n"
                numbered = answer.replace("\r\n", f"\r\nCSeq: {headers.get('CSeq', '0')}\r\n", 1)
                self.wfile.write(f"RTSP/1.0 {numbered}".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
