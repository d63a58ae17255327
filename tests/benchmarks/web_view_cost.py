"""What the web view costs a run: the same frames with nobody watching, with watchers, with stalled ones.

python tests/benchmarks/web_view_cost.py

Watchers are a process of their own, as browsers are. The states take turns, so that what else the machine does meets
all of them. ``show`` is what the thread of the run does for the view.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.sharedctypes import Synchronized

import cv2
import numpy as np

from stn_rectify.runtime import CapturedFrame, ImageSource, Pipeline, Rectifier
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.web import WebView

ASK = b"\x81\x84\0\0\0\0next"
HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
STATES = ("no view", "nobody watches", "1 watches", "4 watch", "4 stalled")


def watch(port: int, pictures: Synchronized[int]) -> None:
    """Asks, reads, asks again, until the server goes."""
    with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as reader:
        client.sendall(HANDSHAKE)
        while reader.readline() != b"\r\n":  # the end of the answer's head
            pass
        while True:
            client.sendall(ASK)
            size = reader.read(2)[1]
            if size >= 126:
                size = int.from_bytes(reader.read(2 if size == 126 else 8), "big")
            reader.read(size)
            pictures.value += 1


@contextmanager
def watchers(port: int, state: str) -> Iterator[Synchronized[int]]:
    pictures = multiprocessing.Value("q", 0)
    count = int(state.split()[0]) if state[0].isdigit() else 0
    with ExitStack() as stack:
        if state.endswith("stalled"):
            for _ in range(count):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(HANDSHAKE + 100 * ASK)
        else:
            for _ in range(count):
                process = multiprocessing.Process(target=watch, args=(port, pictures), daemon=True)
                process.start()
                stack.callback(process.terminate)
        yield pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="general")
    parser.add_argument("--size", default="640x480", help="of the frame")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each state in each round")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    image = np.asarray(cv2.resize(cv2.imread(str(DEMO_IMAGE)), (width, height)), np.uint8)
    latencies: dict[str, list[float]] = {state: [] for state in STATES}
    shows: dict[str, list[float]] = {state: [] for state in STATES}
    pictures_per_s: dict[str, list[float]] = {state: [] for state in STATES}
    with Rectifier(options.model) as rectifier, ImageSource(DEMO_IMAGE) as source:
        pipeline = Pipeline(rectifier)
        for _ in range(options.rounds):
            for state in STATES:
                with WebView(pipeline, source) as view:
                    port = int(view.url.rstrip("/").rpartition(":")[2])
                    with watchers(port, state) as pictures:
                        time.sleep(0.3)
                        before, end = pictures.value, time.perf_counter() + options.seconds
                        index = 0
                        while (started := time.perf_counter()) < end:
                            done = pipeline.process(CapturedFrame("benchmark", index, time.time(), image))
                            processed = time.perf_counter()
                            if state != "no view":
                                view.show(done)
                            index += 1
                            latencies[state].append((processed - started) * 1e3)
                            shows[state].append((time.perf_counter() - processed) * 1e6)
                            time.sleep(max(0.0, started + 1 / 30 - time.perf_counter()))  # a camera's pace
                        pictures_per_s[state].append((pictures.value - before) / options.seconds)
    print(f"{options.model}, {width}x{height} at 30 frames/s, {rectifier.package}; medians")
    print(f"{'':16}{'process, ms':>12}{'p99':>8}{'show, µs':>10}{'p99':>8}{'messages/s':>12}")
    for state in STATES:
        p99, show99 = np.percentile(latencies[state], 99), np.percentile(shows[state], 99)
        print(
            f"{state:16}{statistics.median(latencies[state]):12.2f}{p99:8.1f}{statistics.median(shows[state]):10.1f}"
            f"{show99:8.0f}{statistics.mean(pictures_per_s[state]):12.1f}"
        )


if __name__ == "__main__":
    main()
