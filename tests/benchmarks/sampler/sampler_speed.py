"""How fast grid generator and sampler are beside cv2's warps, at one fixed pose each.

python tests/benchmarks/sampler/sampler_speed.py DIR --write     # once, where stn_rectify's converter is installed
python tests/benchmarks/sampler/sampler_speed.py DIR             # in each environment: an interpreter, NumPy, OpenCV

The second needs no stn_rectify and never imports TensorFlow, beside which tflite-runtime runs TensorFlow's kernels.
One process, one thread, all calls in turn.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from stn_rectify.converters.integer.sampler_plan import SamplerPlan

SIZES = ((32, 32, 1), (64, 64, 3), (96, 96, 3), (128, 128, 3), (224, 224, 3))
TRANSFORMS = ("affine", "projective")
THETA = (0.8, 0.15, 0.05, -0.12, 0.85, -0.04, 0.05, -0.03)
POSES = "poses.npz"


def sampler_model(plan: SamplerPlan) -> bytes:
    """A file of one sampler: frame and coefficients in, image out."""
    from stn_rectify.converters.integer.sampler import build_sampler
    from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization

    graph = FlatbufferGraph()
    frame = graph.input((1, *plan.input_size, plan.channels), "int8", Quantization(1 / 255, -128))
    coefficients = graph.input((len(plan.formats),), "int32")
    rectified = build_sampler(graph, frame, coefficients, plan)
    return graph.finish({"frame": frame, "coefficients": coefficients}, {"rectified": rectified})


def write_models(folder: Path) -> None:
    """A sampler of each size and transform, and the pose for it: coefficients for ours, a matrix for cv2."""
    from stn_rectify.converters.integer.sampler_plan import SamplerPlan
    from stn_rectify.runtime.geometry import pixel_homography

    folder.mkdir(parents=True, exist_ok=True)
    poses = {}
    for transform in TRANSFORMS:
        for size in SIZES:
            plan = SamplerPlan(transform, "zeros", size[:2], size[:2], size[2], -128)
            name = f"{transform}_{'x'.join(map(str, size))}"
            (folder / f"{name}.tflite").write_bytes(sampler_model(plan))
            theta = np.array(THETA[: 6 if transform == "affine" else 8])
            poses[f"{name}/coefficients"] = plan.coefficients(theta)
            poses[f"{name}/matrix"] = pixel_homography(theta, size[:2], size[:2])
    np.savez(folder / POSES, **poses)


def open_model(file: Path, inputs: dict[str, np.ndarray]) -> Any:
    """The interpreter of either package, one thread, inputs set."""
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tflite_runtime.interpreter import Interpreter
    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], inputs[details["name"]])
    return interpreter


def time_in_turn(calls: list[Callable[[], Any]], rounds: int) -> np.ndarray:
    """Microseconds [calls, rounds]."""
    times = np.zeros((len(calls), rounds))
    for k in range(rounds):
        for row, call in zip(times, calls, strict=True):
            start = time.perf_counter()
            call()
            row[k] = (time.perf_counter() - start) * 1e6
    return times[:, rounds // 20 :]  # the first ones warm up


def time_size(folder: Path, name: str, size: tuple[int, int, int], rounds: int) -> str:
    """A line of the table."""
    frame = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    with np.load(folder / POSES) as poses:
        coefficients, matrix = poses[f"{name}/coefficients"], poses[f"{name}/matrix"]
    inputs = {"frame": (frame.astype(int) - 128).astype(np.int8)[None], "coefficients": coefficients}
    interpreter = open_model(folder / f"{name}.tflite", inputs)
    flags, to = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, size[1::-1]
    if name.startswith("affine"):
        warp = lambda: cv2.warpAffine(frame, matrix[:2], to, flags=flags)  # noqa: E731
    else:
        warp = lambda: cv2.warpPerspective(frame, matrix, to, flags=flags)  # noqa: E731
    times = time_in_turn([interpreter.invoke, warp], rounds)
    (ours, cv), (our_median, cv_median) = times.min(axis=1), np.median(times, axis=1)
    pixel = ours * 1000 / (size[0] * size[1])
    cells = f"{ours:8.0f} ({our_median:6.0f}) {cv:8.0f} ({cv_median:6.0f})"
    return f"{name:24}{cells}{ours / cv:8.2f} ({our_median / cv_median:5.2f}){pixel:10.1f}"


def print_table(folder: Path, rounds: int) -> None:
    """All transforms and sizes."""
    cv2.setNumThreads(1)
    package = "ai-edge-litert" if importlib.util.find_spec("ai_edge_litert") else "tflite-runtime"
    versions = f"{package} {importlib.metadata.version(package)}, OpenCV {cv2.__version__}, {platform.machine()}"
    print(f"{versions}, one thread; µs: least (median)")
    print(f"{'':24}{'sampler':>17}{'cv2':>18}{'ratio':>16}{'ns/pixel':>10}")
    for transform in TRANSFORMS:
        for size in SIZES:
            name = f"{transform}_{'x'.join(map(str, size))}"
            print(time_size(folder, name, size, rounds), flush=True)


def write_or_print(
    about: str | None, write_models: Callable[[Path], None], print_table: Callable[[Path, int], None]
) -> None:
    """The command line: writes the models, or prints the table."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--write", action="store_true", help="write the models into DIR")
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    if arguments.write:
        write_models(arguments.folder)
    else:
        print_table(arguments.folder, arguments.rounds)


if __name__ == "__main__":
    write_or_print(__doc__, write_models, print_table)
