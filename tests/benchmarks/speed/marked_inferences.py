"""Runs models between marks, for a tool that counts instructions; on any other machine it only runs them.

    python tests/benchmarks/speed/marked_inferences.py [--runs 5] MODEL.tflite...

A mark is the system call ``sched_get_priority_max(0x5A000000 | number)``, which fails and does nothing: an emulator
can see it (docs/laboratory/benchmarks.md). Prints which marks stand around which model's N inferences. One thread.
Needs NumPy, an interpreter and, for the two lines of cv2, OpenCV.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

_MARK = 0x5A000000


class Marks:
    """Numbered marks around blocks of calls."""

    def __init__(self, runs: int) -> None:
        self.runs, self.last = runs, 0

    def around(self, name: str, call: Callable[[], Any], warm_ups: int = 2) -> None:
        """Calls to warm up, a mark, the calls that count, a mark."""
        for _ in range(warm_ups):
            call()
        first = self._mark()
        for _ in range(self.runs):
            call()
        print(f"{first} {self._mark()} {self.runs} {name}", flush=True)

    def _mark(self) -> int:
        self.last += 1
        with suppress(OSError):
            os.sched_get_priority_max(_MARK | self.last)
        return self.last


def random_input(details: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Numbers of the tensor's kind."""
    if details["dtype"] == np.int32:  # a table, or indices into one
        return np.arange(np.prod(details["shape"]), dtype=np.int32).reshape(details["shape"])
    if np.issubdtype(details["dtype"], np.integer):
        return rng.integers(-128, 128, details["shape"]).astype(details["dtype"])
    return rng.random(details["shape"]).astype(details["dtype"])


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--runs", type=int, default=5, help="inferences between two marks (5)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    marks, rng = Marks(arguments.runs), np.random.default_rng(7)
    sizes = {}
    for file in arguments.models:
        interpreter = Interpreter(model_path=str(file), num_threads=1)
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            interpreter.set_tensor(details["index"], random_input(details, rng))
            if len(details["shape"]) == 4:
                sizes[file.parent.name] = tuple(map(int, details["shape"][1:]))
        marks.around(f"{file.parent.name}/{file.stem}", interpreter.invoke)
    for folder, size in sizes.items():
        frame = rng.integers(0, 256, size, dtype=np.uint8)
        matrix = np.array([[0.9, 0.2, 1], [-0.2, 0.9, 1], [0, 0, 1]])
        flags, to = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, size[1::-1]
        marks.around(f"{folder}/warp", lambda: cv2.warpPerspective(frame, matrix, to, flags=flags))  # noqa: B023
        marks.around(f"{folder}/warpAffine", lambda: cv2.warpAffine(frame, matrix[:2], to, flags=flags))  # noqa: B023


if __name__ == "__main__":
    main()
