"""How long inferences of model files take, in turns in one process: processor time, one thread.

    python tests/benchmarks/speed/interleaved_latency.py [--seconds 10] MODEL.tflite...

Prints a line of JSON: the interpreter package, and for each file the median in microseconds and its ratio to the first
file's, as the median of the ratios of single rounds. Needs NumPy and an interpreter.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter

    PACKAGE = "ai-edge-litert"
except ImportError:
    from tflite_runtime.interpreter import Interpreter

    PACKAGE = "tflite-runtime"

LEAST_ROUNDS = 50


def opened(file: Path) -> Any:
    """The file in an interpreter, with random int8 pixels."""
    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(7)
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], rng.integers(-128, 128, details["shape"]).astype(details["dtype"]))
    return interpreter


def main() -> None:
    """Times the files and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--seconds", type=float, default=10, help="for all of them (10)")
    arguments = parser.parse_args()
    interpreters = [opened(file) for file in arguments.models]
    order, rounds = list(range(len(interpreters))), []
    shuffle = random.Random(0).shuffle
    end = time.perf_counter() + arguments.seconds
    while time.perf_counter() < end or len(rounds) < LEAST_ROUNDS:
        shuffle(order)
        taken = [0.0] * len(order)
        for k in order:
            interpreters[k].invoke()  # as in a loop over frames: its own data in the caches
            started = time.process_time()
            interpreters[k].invoke()
            taken[k] = time.process_time() - started
        rounds.append(taken)
    seconds = np.array(rounds)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    medians = 1e6 * np.median(seconds, axis=0)
    found = {
        str(file): {"median_us": round(float(m), 1), "ratio": round(float(r), 4)}
        for file, m, r in zip(arguments.models, medians, ratios, strict=True)
    }
    print(json.dumps({"package": PACKAGE, "rounds": len(rounds), "files": found}))


if __name__ == "__main__":
    main()
