"""How much memory a long run takes: resident memory of the process while it rectifies ten thousand frames.

    python tests/benchmarks/memory_run.py [--model fast] [--frames 10000]

Run it in an environment with each interpreter. Frames are 640×480: the sample and others made from it, targets of all
sizes and none, seen turned by 180° through the view, smoothed, results encoded and thrown away.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.runtime import CapturedFrame, CornerSmoother, FrameView, JsonlSink, Pipeline, Rectifier

SIZE = (640, 480)
_MOVES = 16  # frames that are moved copies of the sample, and as many of noise


def resident_mb() -> float:
    """Of this process, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def frames() -> Iterator[np.ndarray]:
    """Frames without end, each a new array, as a camera gives them."""
    content = np.frombuffer((files("stn_rectify.runtime") / "data/demo.jpg").read_bytes(), np.uint8)
    sample = cv2.rotate(cv2.resize(cv2.imdecode(content, cv2.IMREAD_COLOR), SIZE), cv2.ROTATE_180)
    rng = np.random.default_rng(1)
    kept = []
    for number in range(_MOVES):
        matrix = cv2.getRotationMatrix2D((320, 240), 2 * number, 1 - 0.04 * number)
        kept.append(cv2.warpAffine(sample, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE))
        kept.append(rng.integers(0, 256, sample.shape, np.uint8))
    while True:
        yield from (frame.copy() for frame in kept)


def main() -> None:
    """Prints a line for every thousand frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--frames", type=int, default=10_000)
    options = parser.parse_args()
    with Rectifier(options.model) as rectifier, JsonlSink("/dev/null") as sink:
        print(f"{rectifier.model.metadata.name}, {rectifier.package}, OpenCV {cv2.__version__}, NumPy {np.__version__}")
        pipeline = Pipeline(rectifier, view=FrameView(rotation=180), smoother=CornerSmoother())
        found, megabytes = 0, []
        for index, image in enumerate(frames()):
            done = pipeline.process(CapturedFrame("test", index, index / 30, image))
            cv2.imencode(".jpg", done.result.image)
            sink.write(done.frame, done.result)
            found += done.result.score > 0.5
            if index + 1 in (10, 100) or (index + 1) % 1000 == 0:
                megabytes.append(resident_mb())
                print(f"{index + 1:6} frames: {megabytes[-1]:6.1f} MB resident", flush=True)
            if index + 1 == options.frames:
                break
    print(f"target found in {found} frames")


if __name__ == "__main__":
    main()
