"""What refinement passes cost beside the network they run: crop, preprocessing and composition, 640×480.

And what the crop alone would cost in the graph, by the integer sampler, out of the image that an in-graph file gets.

    python tests/benchmarks/refinement_cost.py MODEL.tflite            # of two networks; in each environment

All in one process, interleaved, one thread; the target fills some of the frame, as in use.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.interpreter import Interpreter, open_interpreter
from stn_rectify.runtime.model.metadata import RefineSpec
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, ModelFile
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from stn_rectify.runtime.rectifying.refining.refinement import refine_pose

TARGETS = {
    "120 px": np.array([[250, 190], [370, 200], [365, 265], [245, 255]], np.float64),
    "300 px": np.array([[160, 110], [460, 140], [440, 350], [150, 320]], np.float64),
    "560 px": np.array([[40, 40], [600, 20], [610, 450], [30, 460]], np.float64),
}
SIZE = (640, 480)
GRAPH_SIDES = (64, 128, 224)  # of the image that a graph samples


class StandIn:
    """Stands for the refine network: the same work but for the inference, and an answer that changes nothing."""

    def __init__(self, spec: RefineSpec) -> None:
        self.margin, self._spec, self._preprocessor = spec.margin, spec, Preprocessor(spec.input)
        self._seen = np.diag([1 / (1 + 2 * spec.margin)] * 2 + [1.0])

    def look(self, frame: Any, homography: Any, supersampling: int) -> tuple[Any, float]:
        size = (self._spec.input.width, self._spec.input.height)
        crop = target_crop(frame, homography, size=size, margin=self.margin, supersampling=supersampling)
        self._preprocessor.network_input(crop)
        return self._seen, 1.0


def sampler_in_graph(side: int, spec: RefineSpec) -> Interpreter:
    """A graph of nothing but grid and sampler: side×side pixels → the crop."""
    height, width, channels = spec.input.height, spec.input.width, spec.input.channels
    plan = SamplerPlan("projective", "border", (side, side), (height, width), channels, spec.input.zero_point)
    graph = FlatbufferGraph()
    frame = graph.input((1, side, side, channels), "int8", Quantization(spec.input.scale, spec.input.zero_point))
    coefficients = graph.input((len(plan.formats),), "int32")
    rectified = build_sampler(graph, frame, coefficients, plan)
    interpreter = open_interpreter(
        graph.finish({"frame": frame, "coefficients": coefficients}, {"rectified": rectified})
    )
    theta = np.array((0.8, 0.15, 0.05, -0.12, 0.85, -0.04, 0.05, -0.03))
    for details in interpreter.tflite.get_input_details():
        if details["name"] == "coefficients":
            interpreter.tflite.set_tensor(details["index"], plan.coefficients(theta).astype(np.int32))
    return interpreter


def interleaved(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e6 * np.array(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    frame = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    model = ModelFile.open(arguments.model)
    spec = model.metadata.refine
    if spec is None:
        parser.error(f"{arguments.model} has no refine network")
    interpreter = open_interpreter(model.flatbuffer)
    crop = np.zeros((1, spec.input.height, spec.input.width, spec.input.channels), np.int8)
    functions: dict[str, Callable[[], object]] = {
        "invoke, scan": lambda: interpreter.tflite.invoke(),
        "invoke, refine": lambda: interpreter.run_signature(REFINE_SIGNATURE, crop),
    }
    for side in GRAPH_SIDES:
        functions[f"crop by the graph out of {side}×{side}"] = sampler_in_graph(side, spec).tflite.invoke
    for name, corners in TARGETS.items():
        pose = corners_to_homography(corners, *SIZE)
        for number in (1, 2, 3):
            passes = partial(refine_pose, StandIn(spec), frame, pose, number)
            functions[f"{number} × crop and compose, target {name}"] = passes
    with contextlib.ExitStack() as stack:
        for number in range(4):
            rectifier = stack.enter_context(Rectifier(arguments.model, refine=number))
            functions[f"rectify, refine={number}"] = partial(rectifier.rectify, frame)
        times = interleaved(functions, arguments.rounds)
    base = times["invoke, refine"]
    print(f"{interpreter.package}, OpenCV {cv2.__version__}, one thread; {arguments.rounds} rounds, interleaved")
    print(f"{'':38}{'least µs':>10}{'median µs':>11}   of the refine network's inference: least, median")
    for name, values in times.items():
        ratios = f"{values.min() / base.min():.2f}, {np.median(values) / np.median(base):.2f}"
        print(f"{name:38}{values.min():>10.0f}{np.median(values):>11.0f}   {ratios}")


if __name__ == "__main__":
    main()
