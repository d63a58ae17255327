"""How fast our INT8 STN is beside every other way to do the same, in one interpreter: run it once in each environment.

    python tests/benchmarks/rivals/stn_files.py DIR            # once, on a workstation
    python tests/benchmarks/rivals/stn_speed.py DIR [--transform projective] [--seconds 10]

Needs no TensorFlow. One process, one thread; all are called in turn, in a new random order each round, so that
whatever else the machine does disturbs all alike.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from speed_tables import FILES, WHOLE, Times, print_aims, print_tables

from stn_rectify.runtime.geometry import homography_to_corners, pixel_matrix_map, theta_to_homography
from stn_rectify.runtime.model.interpreter import find_interpreter_package, open_interpreter

SIZES = ((32, 32, 1), (64, 64, 3), (96, 96, 3), (128, 128, 3), (224, 224, 3))
THETA_BITS = 20
CHECKED_FRAMES = 20
LEAST_ROUNDS = 50
OF_PYTORCH = ("onnx2tf", "onnx2tf_float", "litert_torch", "litert_torch_int8")  # all others are made of Keras
WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


class Model:
    """One file in the interpreter."""

    def __init__(self, file: Path, package: str | None) -> None:
        self.tflite = open_interpreter(file, package=package).tflite
        self.invoke = self.tflite.invoke

    def feed(self, frame: np.ndarray) -> None:
        """Sets the inputs: a frame uint8 [H, W, C], and features if there are any."""
        for details in self.tflite.get_input_details():
            if details["dtype"] == np.int32:  # a table, or indices into one
                values = np.arange(np.prod(details["shape"]), dtype=np.int32).reshape(details["shape"])
            elif len(details["shape"]) == 4:
                values = frame[None] / np.float32(255)
            else:
                values = np.random.default_rng(0).uniform(0, 6, details["shape"]).astype(np.float32)
            if details["dtype"] == np.int8:
                scale, zero_point = details["quantization"]
                values = np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)
            self.tflite.set_tensor(details["index"], values)

    def output(self, rank: int, last: int) -> dict[str, Any]:
        """Details of the output of that rank and last size."""
        for details in self.tflite.get_output_details():
            if len(details["shape"]) == rank and details["shape"][-1] == last:
                return dict(details)
        raise KeyError(f"no output of rank {rank} and last size {last}")

    def read(self, details: dict[str, Any]) -> np.ndarray:
        """The output as real numbers, without its batch axis."""
        values = self.tflite.get_tensor(details["index"])[0].astype(np.float64)
        if details["dtype"] == np.int32:
            return np.asarray(values / (1 << THETA_BITS))
        scale, zero_point = details["quantization"]
        return np.asarray((values - zero_point) * scale if scale else values)


@dataclass(frozen=True)
class Warp:
    """What OpenCV does with θ: the pixel matrix is linear in it."""

    K: np.ndarray
    k: np.ndarray
    size: tuple[int, int]  # width and height

    @classmethod
    def of(cls, size: tuple[int, int, int], theta_size: int) -> Warp:
        return cls(*pixel_matrix_map(theta_size, size[:2], size[:2]), (size[1], size[0]))

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """3×3, rectified to frame pixels."""
        return np.asarray(self.K @ theta + self.k).reshape(3, 3)

    def perspective(self, frame: np.ndarray, theta: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.warpPerspective(frame, self.matrix(theta), self.size, flags=WARP))


def subjects(models: dict[str, Model], frame: np.ndarray, theta: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Everything that is timed, by name."""
    warp = Warp.of(frame.shape, len(theta))
    matrix = warp.matrix(theta)
    calls: dict[str, Callable[[], Any]] = {name: model.invoke for name, model in models.items() if name != "pose"}
    if "pose" in models:
        pose, found = models["pose"], models["pose"].output(2, len(theta))

        def pose_and_warp() -> None:
            pose.invoke()
            warp.perspective(frame, pose.read(found))

        calls["pose"] = pose.invoke
        calls["pose+warp"] = pose_and_warp
    calls["warp"] = lambda: cv2.warpPerspective(frame, matrix, warp.size, flags=WARP)
    calls["warpAffine"] = lambda: cv2.warpAffine(frame, matrix[:2], warp.size, flags=WARP)
    return calls


def time_in_turn(
    calls: dict[str, Callable[[], Any]], seconds: float, clock: Callable[[], int] = time.perf_counter_ns
) -> dict[str, Times]:
    """Calls all of them once a round, in random order, for so many seconds and at least 50 rounds; a clock of ns."""
    order, times = list(calls), {name: [] for name in calls}
    shuffle = random.Random(0).shuffle
    for name in order:
        calls[name]()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[order[0]]) < LEAST_ROUNDS:
        shuffle(order)
        for name in order:
            calls[name]()  # as in a loop over frames: its own data in the caches, not its neighbour's
            started = clock()
            calls[name]()
            times[name].append((clock() - started) / 1000)
    return {name: Times(np.array(values)) for name, values in times.items()}


def sample_exactly(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The bilinear sampler in float64, zeros outside: levels [H, W, C]."""
    height, width, _ = frame.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x, y, w = np.tensordot(matrix, np.stack([columns, rows, np.ones_like(rows)]), axes=1)
    x, y = np.clip(x / w + 1, 0, width + 1), np.clip(y / w + 1, 0, height + 1)
    padded = np.pad(frame.astype(np.float64), ((1, 2), (1, 2), (0, 0)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)


def agreement(name: str, model: Model, folder: Path, frames: np.ndarray, *, at_own_theta: bool) -> tuple[float, float]:
    """How far a file is from the float model that it was made of, on frames uint8 [N, H, W, C].

    Args:
        name: of the file.
        model: the file.
        folder: where the float model's results are.
        frames: what it is shown; the first 20.
        at_own_theta: whether the image is compared with exact sampling (bilinear, in float64) at the file's own theta,
            or at the float model's.

    Returns:
        Mean distance of the corners, pixels; mean difference of the image from exact sampling, levels of 255.
    """
    thetas = np.load(folder / ("pytorch.npz" if name in OF_PYTORCH else "keras.npz"))["theta"]
    height, width, channels = frames.shape[1:]
    warp = Warp.of(frames.shape[1:], thetas.shape[1])
    corners, levels = [], []
    for frame, theta in zip(frames[:CHECKED_FRAMES], thetas, strict=False):
        model.feed(frame)
        model.invoke()
        found = model.read(model.output(2, len(theta)))
        both = homography_to_corners(theta_to_homography(np.stack([found, theta])), width, height)
        corners.append(np.linalg.norm(both[0] - both[1], axis=-1).mean())
        if name == "pose":
            image = warp.perspective(frame, found).reshape(frame.shape)
        else:
            image = model.read(model.output(4, channels)) * 255
        exact = sample_exactly(frame, warp.matrix(found if at_own_theta else theta))
        levels.append(np.abs(image - exact).mean())
    return float(np.mean(corners)), float(np.mean(levels))


def read_arguments(about: str | None) -> tuple[argparse.Namespace, dict[str, Path]]:
    """The words of the command line, and the folders of the sizes that they choose and that were written."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path, metavar="DIR", help="what stn_files.py wrote")
    parser.add_argument("--transform", choices=("affine", "projective"), default="affine")
    parser.add_argument("--size", type=int, action="append", help="only this height; repeatable")
    parser.add_argument("--seconds", type=float, default=10, help="for each size (10)")
    parser.add_argument("--package", help="ai-edge-litert or tflite-runtime (the first that is installed)")
    arguments = parser.parse_args()
    folders = {}
    for size in SIZES:
        name = "x".join(map(str, size))
        folder = arguments.models / f"{arguments.transform}-{name}"
        if folder.is_dir() and (arguments.size is None or size[0] in arguments.size):
            folders[name] = folder
    if not folders:
        parser.error(f"{arguments.models} holds no such {arguments.transform} models: run stn_files.py first")
    return arguments, folders


def main() -> None:
    """Times everything and prints the tables."""
    arguments, folders = read_arguments(__doc__)
    cv2.setNumThreads(1)
    package = find_interpreter_package(arguments.package)
    print(f"{package}, OpenCV {cv2.__version__}, {platform.machine()}, one thread, {arguments.transform}")
    times, errors = {}, {}
    for size, folder in folders.items():
        files = [file for file in sorted(folder.glob("*.tflite")) if file.stem in FILES]
        models = {file.stem: Model(file, package.name) for file in files}
        frames = np.load(folder / "frames.npz")["frames"]
        whole = [name for name in (*WHOLE, "pose") if name in models]
        errors[size] = {n: agreement(n, models[n], folder, frames, at_own_theta=True) for n in whole}
        for model in models.values():
            model.feed(frames[0])
        calls = subjects(models, frames[0], np.load(folder / "keras.npz")["theta"][0])
        times[size] = time_in_turn(calls, arguments.seconds)
    print_tables(times, errors)
    print_aims(times, package.name)


if __name__ == "__main__":
    main()
