"""What frame_stages.py times and marked_frames.py counts: the stages of a frame one by one, and whole frames."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any, ClassVar

import cv2
import msgspec
import numpy as np

from stn_rectify.runtime import FrameView, Rectification, Rectifier
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.interpreter import find_interpreter_package, open_interpreter
from stn_rectify.runtime.model.metadata import DenseSpec, InputSpec
from stn_rectify.runtime.rectifying.pixels.crops import COARSE_SUPERSAMPLING, FINE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor, resize_antialiased
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, decode, thinned
from stn_rectify.runtime.rectifying.searching.dense_scan import MAX_CANDIDATES, levels_to_scan

SMALL = (128, 128)
OWN_SIZE = "target's own size"
_LEAST_SCORE = 0.25  # of candidates, where the file does not say what is a target
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]

Call = Callable[[], object]


class TimedInvoke:
    """Stands before an interpreter's C++ object: adds up the time of its inferences, and knows how to repeat them."""

    seconds: ClassVar[float] = 0.0
    clock: ClassVar[Callable[[], float]] = time.perf_counter
    calls: ClassVar[list[Call]] = []

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def Invoke(self, *subgraph: int) -> Any:  # noqa: N802
        TimedInvoke.calls.append(partial(self._wrapped.Invoke, *subgraph))
        started = TimedInvoke.clock()
        answer = self._wrapped.Invoke(*subgraph)
        TimedInvoke.seconds += TimedInvoke.clock() - started
        return answer

    @classmethod
    def reset(cls) -> None:
        """Forgets what was invoked before."""
        cls.seconds = 0.0
        cls.calls.clear()


def time_inferences() -> None:
    """Lets `TimedInvoke` see the inferences of all interpreters that are made from here on, whatever calls them."""
    interpreter: Any = find_interpreter_package().module.Interpreter
    make = interpreter.__init__

    def make_timed(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        self._interpreter = TimedInvoke(self._interpreter)

    interpreter.__init__ = make_timed


@dataclass(frozen=True)
class Stage:
    """A part of a frame's way.

    Attributes:
        call: does it once.
        times: how often `Rectifier.rectify` does it for a frame; 0: not in there.
    """

    call: Call
    times: int = 0


@dataclass(frozen=True)
class Subjects:
    """Everything to measure of one model and frame.

    Attributes:
        title: of the table.
        stages: by name.
        frames: whole frames, frame in hand to result, by what image they give.
    """

    title: str
    stages: dict[str, Stage]
    frames: dict[str, Call]

    @classmethod
    def of(cls, model: str, size: tuple[int, int], threads: int, stack: ExitStack) -> Subjects:
        """Opens what is needed; ``stack`` closes it."""
        frame = _sample_frame(size)
        own, small = (stack.enter_context(Rectifier(model, threads=threads, output_size=s)) for s in (None, SMALL))
        frames: dict[str, Call] = {
            OWN_SIZE: lambda: own.rectify(frame),
            "{}x{}".format(*SMALL): lambda: small.rectify(frame),
            "none (locate)": lambda: own.locate(frame),
        }
        metadata, result = own.model.metadata, own.rectify(frame)
        if metadata.rectified is not None:
            graph = stack.enter_context(Rectifier(model, threads=threads, output="model"))
            frames["the graph's own"] = lambda: graph.rectify(frame)
        kind = metadata.kind + (f", {own.refine} refinements" if own.refine else "")
        target = "{}x{}".format(*result.image.shape[1::-1]) if result.score else "none found"
        title = f"{metadata.name} ({kind}), frame {size[0]}x{size[1]}, target {target}, {threads} thread" + "s" * (
            threads > 1
        )
        return cls(title, _stages(own, frame, result), frames)


def _sample_frame(size: tuple[int, int]) -> np.ndarray:
    """The sample that comes with the package, BGR."""
    content = np.frombuffer((files("stn_rectify.runtime") / "data/demo.jpg").read_bytes(), np.uint8)
    return np.asarray(cv2.resize(cv2.imdecode(content, cv2.IMREAD_COLOR), size, interpolation=cv2.INTER_AREA))


def _stages(rectifier: Rectifier, frame: np.ndarray, result: Rectification) -> dict[str, Stage]:
    metadata, view = rectifier.model.metadata, FrameView(rotation=180)
    found = {
        "capture copy": Stage(frame.copy),
        "view, by 180°": Stage(lambda: view.apply(frame)),
    }
    if metadata.dense is None:
        found |= _look_stages(frame, [metadata.input])
    else:
        levels = levels_to_scan(metadata.dense, rectifier.scan)
        inputs = [msgspec.structs.replace(metadata.input, height=each.height, width=each.width) for each in levels]
        found |= _look_stages(frame, inputs)
        found |= _scan_stages(rectifier, metadata.dense, frame, inputs)
    if rectifier.refine and metadata.refine is not None:
        crop = _refine_crop(rectifier, frame, result, FINE_SUPERSAMPLING)
        looked_at, preprocessor = crop(), Preprocessor(metadata.refine.input)
        found["last refine crop"] = Stage(crop, 1)
        if rectifier.refine > 1:
            coarse = _refine_crop(rectifier, frame, result, COARSE_SUPERSAMPLING)
            found["refine crop before it"] = Stage(coarse, rectifier.refine - 1)
        found["quantize crop"] = Stage(lambda: preprocessor.network_input(looked_at), rectifier.refine)
    found[f"warp, {OWN_SIZE}"] = Stage(_warp(frame, result, result.image.shape[1::-1]), 1)
    found["warp, {}x{}".format(*SMALL)] = Stage(_warp(frame, result, SMALL))
    return found | {
        "JPEG of the result": Stage(lambda: cv2.imencode(".jpg", result.image, _JPEG)),
        "PNG of the result": Stage(lambda: cv2.imencode(".png", result.image)),
        "JPEG of the frame": Stage(lambda: cv2.imencode(".jpg", frame, _JPEG)),
        "JSON line": Stage(lambda: _json_line(result)),
    }


def _look_stages(frame: np.ndarray, inputs: Sequence[InputSpec]) -> dict[str, Stage]:
    """What the network sees of the frame; of a dense one, all its levels."""
    pyramid = FramePyramid()
    preprocessors = [Preprocessor(spec) for spec in inputs]
    small = [resize_antialiased(frame, spec.width, spec.height) for spec in inputs]

    def resize() -> None:
        pyramid.load(frame)
        for spec in inputs:
            resize_antialiased(frame, spec.width, spec.height, pyramid)

    def quantize() -> None:
        for preprocessor, image in zip(preprocessors, small, strict=True):
            preprocessor.network_input(image)

    return {"resize": Stage(resize, 1), "quantize": Stage(quantize, 1)}


def _scan_stages(
    rectifier: Rectifier, dense: DenseSpec, frame: np.ndarray, inputs: Sequence[InputSpec]
) -> dict[str, Stage]:
    """What becomes of a dense network's outputs."""
    interpreter = open_interpreter(rectifier.model.flatbuffer)
    size = (frame.shape[1], frame.shape[0])
    outputs = []
    for level, spec in zip(levels_to_scan(dense, rectifier.scan), inputs, strict=True):
        outputs.append(interpreter.run_signature(level.signature, Preprocessor(spec).network_input(frame)))

    def candidates() -> list[Candidate]:
        return decode(outputs, dense, frame_size=size, min_score=_LEAST_SCORE)

    read = candidates()
    return {
        f"candidates, {len(read)}": Stage(candidates, 1),
        "thinning": Stage(lambda: thinned(read, MAX_CANDIDATES), 1),
    }


def _refine_crop(
    rectifier: Rectifier, frame: np.ndarray, result: Rectification, supersampling: int
) -> Callable[[], np.ndarray]:
    refine, pyramid = rectifier.model.metadata.refine, FramePyramid()
    assert refine is not None
    pose = corners_to_homography(result.corners, frame.shape[1], frame.shape[0])
    size = (refine.input.width, refine.input.height)
    pyramid.load(frame)  # its levels are there by then: the whole frame was looked at
    options: Any = {"size": size, "margin": refine.margin, "supersampling": supersampling, "pyramid": pyramid}
    return lambda: target_crop(frame, pose, **options)


def _warp(frame: np.ndarray, result: Rectification, size: tuple[int, ...]) -> Call:
    scale = np.diag([result.image.shape[1] / size[0], result.image.shape[0] / size[1], 1])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return lambda: cv2.warpPerspective(frame, result.homography @ scale, size, flags=flags)


def _json_line(result: Rectification) -> bytes:
    values = {"source": "0", "frame": 1, "timestamp": 1.5, "corners": result.corners.round(3).tolist()}
    return json.dumps({**values, "score": round(result.score, 4), "label": None, "latency_ms": 1.234}).encode()
