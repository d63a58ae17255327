"""A web app without a framework: POST an image, get it upright: python web_app.py [PORT]

curl --data-binary @photo.jpg http://127.0.0.1:8000/ > upright.png
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from stn_rectify.runtime import Rectifier

MAX_BYTES = 20_000_000
rectifier, one_at_a_time = Rectifier(), threading.Lock()


class Upright(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length) if length <= MAX_BYTES else b""
        frame = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
        if frame is None:
            self.send_error(400, "send an image of at most 20 MB")
            return
        with one_at_a_time:
            result = rectifier.rectify(frame)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("X-Score", f"{result.score:.3f}")
        self.end_headers()
        self.wfile.write(cv2.imencode(".png", result.image)[1].tobytes())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Upright)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
