"""The files of stn_files.py beside each other, a row for each way of converting: what is in them, how right, how fast.

    python tests/benchmarks/rivals/rivals_table.py DIR [--size 64] [--seconds 10] [--package ai-edge-litert]

Needs no TensorFlow. One process, one thread; all files are run in turn, in a new random order each round
(`stn_speed.py`), and a ratio is the median of the rounds' own ratios. Processor time, because the machine has other
work. A way that made no file has a row with what it said.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stn_speed import CHECKED_FRAMES, Model, Warp, sample_exactly, sizes_there

from stn_rectify.runtime.geometry import homography_to_corners, theta_to_homography
from stn_rectify.runtime.model.interpreter import find_interpreter_package

#: Files, and what made them.
WAYS = {
    "int8": "stn-convert",
    "naive": "TFLiteConverter, full-integer int8",
    "quantizer": "ai-edge-quantizer, static int8",
    "litert_torch_int8": "litert-torch + ai-edge-quantizer",
    "onnx2tf": "onnx2tf, full-integer int8",
    "float_keras": "TFLiteConverter, float32",
    "litert_torch": "litert-torch, float32",
    "onnx2tf_float": "onnx2tf, float32",
    "float": "our float32 twin",
}
_OF_PYTORCH = ("onnx2tf", "onnx2tf_float", "litert_torch", "litert_torch_int8")
_LEAST_ROUNDS = 50


def contents(file: Path, package: str) -> tuple[str, str]:
    """How many of the file's tensors are float, and how many of its operators are custom or Flex ones."""
    if package == "ai-edge-litert":
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    else:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would add tensors and nodes of its own
    tflite = Interpreter(str(file), num_threads=1, experimental_op_resolver_type=plain)
    tensors = tflite.get_tensor_details()
    floats = sum(np.issubdtype(details["dtype"], np.floating) for details in tensors)
    names = [str(node["op_name"]) for node in tflite._get_ops_details()]
    foreign = sum(name == "CUSTOM" or name != name.upper() for name in names)  # a custom operator has a name of its own
    return f"{floats} of {len(tensors)}", str(foreign)


def difference(model: Model, folder: Path, name: str, frames: np.ndarray) -> tuple[float, float]:
    """How far a file is from the float model that it was made of, on frames uint8 [N, H, W, C].

    Returns:
        Mean distance of the corners, pixels; mean difference of the rectified image from what the float model samples
        (bilinear, in float64, at its own θ), levels of 255.
    """
    thetas = np.load(folder / ("pytorch.npz" if name in _OF_PYTORCH else "keras.npz"))["theta"]
    height, width, channels = frames.shape[1:]
    warp = Warp.of(frames.shape[1:], thetas.shape[1])
    corners, levels = [], []
    for frame, theta in zip(frames[:CHECKED_FRAMES], thetas, strict=False):
        model.feed(frame)
        model.invoke()
        found = model.read(model.output(2, len(theta)))
        both = homography_to_corners(theta_to_homography(np.stack([found, theta])), width, height)
        corners.append(np.linalg.norm(both[0] - both[1], axis=-1).mean())
        image = model.read(model.output(4, channels)) * 255
        levels.append(np.abs(image - sample_exactly(frame, warp.matrix(theta))).mean())
    return float(np.mean(corners)), float(np.mean(levels))


def times_in_turn(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, np.ndarray]:
    """Microseconds of processor time of every round, by name."""
    order, times = list(calls), {name: [] for name in calls}
    shuffle = random.Random(0).shuffle
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[order[0]]) < _LEAST_ROUNDS:
        shuffle(order)
        for name in order:
            calls[name]()  # as in a loop over frames: its own data in the caches, not its neighbour's
            started = time.thread_time_ns()
            calls[name]()
            times[name].append((time.thread_time_ns() - started) / 1000)
    return {name: np.array(values) for name, values in times.items()}


def print_size(size: str, folder: Path, seconds: float, package: str) -> None:
    """The table of one size, in Markdown."""
    frames = np.load(folder / "frames.npz")["frames"]
    files = {name: folder / f"{name}.tflite" for name in WAYS if (folder / f"{name}.tflite").exists()}
    models, rows, said = {}, {}, {}
    for name, file in files.items():
        try:
            models[name] = Model(file, package)
            corners, levels = difference(models[name], folder, name, frames)
        except Exception as error:  # an interpreter raises whatever its parts raise; the row says so
            models.pop(name, None)
            said[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            continue
        rows[name] = [*contents(file, package), f"{corners:.2f}", f"{levels:.1f}", f"{file.stat().st_size / 1000:.0f}"]
    for model in models.values():
        model.feed(frames[0])
    times = times_in_turn({name: model.invoke for name, model in models.items()}, seconds)
    rounds = len(next(iter(times.values())))
    print(f"\n{size}, {package}, {platform.machine()}, {rounds} rounds")
    print("| | float tensors | custom, Flex | corners px | levels | KB | µs: least (median) | times ours |")
    print("|---|---|---|---|---|---|---|---|")
    for name, title in WAYS.items():
        if name in rows:
            ratio = np.median(times[name] / times["int8"])
            taken = f"{times[name].min():.0f} ({np.median(times[name]):.0f})"
            print(f"| {title} | {' | '.join(rows[name])} | {taken} | {ratio:.2f} |")
            continue
        failed = folder / f"{name}.failed.txt"
        reason = said.get(name) or (failed.read_text().strip() if failed.exists() else "not made")
        print(f"| {title} | {reason} | | | | | | |")


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path, metavar="DIR", help="what stn_files.py wrote")
    parser.add_argument("--transform", choices=("affine", "projective"), default="affine")
    parser.add_argument("--size", type=int, action="append", help="only this height; repeatable")
    parser.add_argument("--seconds", type=float, default=10, help="for each size (10)")
    parser.add_argument("--package", help="ai-edge-litert or tflite-runtime (the first that is installed)")
    arguments = parser.parse_args()
    package = find_interpreter_package(arguments.package).name
    for size, folder in sizes_there(arguments.models, arguments.transform, arguments.size):
        print_size(size, folder, arguments.seconds, package)


if __name__ == "__main__":
    main()
