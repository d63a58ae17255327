"""Puts the integer parts together: trunk → head → grid and sampler → recognizer, one flatbuffer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.head import IntegerHead, build_head, quantize_head
from stn_rectify.converters.integer.head_refit import HeadRefit, refit_head
from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.bits import COEFFICIENTS, FEATURES
from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.tflite.builder import Quantization, Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.joining import append_network
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.network.cost import GRID_MACS, SAMPLER_MACS, StageCost, StnCost
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.geometry import theta_to_corners
from stn_rectify.runtime.rectifying.pixels.preprocess import pixel_levels

_GRID_MACS = {**GRID_MACS, "tps": 4}  # the file's spline is made by rows, and only interpolated for each point


@dataclass(frozen=True)
class Assembly:
    """An unproved flatbuffer, and what it was made from.

    Attributes:
        flatbuffer: the whole model.
        head: the integers of its head.
        plan: of its sampler; None for a pose-only file.
        recognizer: the quantized recognizer alone, or None.
        quantizations: of the tensors ``frame``, ``score`` and ``class_scores``, those that are there.
        value_range: what pixel values 0 and 255 are to the model.
        class_activation: what the recognizer's class scores are: ``"softmax"``, ``"sigmoid"`` or ``"logits"``; None
            without one.
        refit: how θ is read from the quantized features.
        cost: parameters and multiply-accumulates.
    """

    flatbuffer: bytes = field(repr=False)
    head: IntegerHead = field(repr=False)
    plan: SamplerPlan | None
    recognizer: bytes | None = field(repr=False)
    quantizations: dict[str, Quantization]
    value_range: tuple[float, float]
    class_activation: str | None
    refit: HeadRefit = field(repr=False)
    cost: StnCost

    def quantize_frames(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Frames as the file takes them on a device."""
        return quantize_frames(frames, self.value_range, self.quantizations["frame"])


def assemble(
    parts: StnParts, calibration: FrameSet, value_range: tuple[float, float], *, pose_only: bool, refit: bool
) -> Assembly:
    """Quantizes trunk and recognizer, and joins everything in integers.

    Raises:
        DataError: if the frame is too large for the sampler.
        ModelFileError: if a part cannot become integers; the message says which and why.
    """
    if not pose_only:
        _sampler_plan(parts, 0)  # refuses what is too large, before any long work
    floats = parts.run(calibration.frames)
    _check_score(floats.get("score"))
    trunk = quantize(parts.trunk, calibration.frames, value_range, "localization network")
    recognizer = None
    if parts.recognizer is not None and not pose_only:
        seen = np.clip(floats["rectified"], *value_range)  # a sampler that is not ours may round beyond it
        recognizer = quantize(parts.recognizer, seen, value_range, "recognizer")
    graph = FlatbufferGraph(trunk)
    frame, ends = _ends(graph)
    features = ends["features"]
    if frame.quantization is None or features.quantization is None:
        raise ModelFileError("TensorFlow left the input or the features without a quantization")
    plan = None if pose_only else _sampler_plan(parts, frame.quantization.zero_point)
    quantizations = {"frame": frame.quantization, "features": features.quantization}
    readout = _readout(parts, trunk, calibration, quantizations, floats["theta"], refit, value_range)
    head = quantize_head(readout.kernel, readout.bias, features.quantization, plan)
    coefficients, theta = build_head(graph, features, head)
    graph.rename(features, FEATURES)
    outputs = {"theta": theta}
    if plan is not None and coefficients is not None:
        graph.rename(coefficients, COEFFICIENTS)
        outputs = {"rectified": build_sampler(graph, frame, coefficients, plan), **outputs}
    outputs |= {name: tensor for name, tensor in ends.items() if name == "score"}
    if recognizer is not None:
        outputs["class_scores"] = append_network(graph, recognizer, outputs["rectified"], "recognizer")["class_scores"]
    quantizations = {"frame": frame.quantization}
    for name in ("score", "class_scores"):
        quantization = outputs[name].quantization if name in outputs else None
        quantizations |= {} if quantization is None else {name: quantization}
    return Assembly(
        flatbuffer=graph.finish({"frame": frame}, outputs),
        head=head,
        plan=plan,
        recognizer=recognizer,
        quantizations=quantizations,
        value_range=value_range,
        class_activation=class_activation(floats["class_scores"]) if recognizer is not None else None,
        refit=readout,
        cost=_cost(parts, plan, trunk, recognizer),
    )


def _sampler_plan(parts: StnParts, zero_point: int) -> SamplerPlan:
    return SamplerPlan(parts.transform, parts.padding, parts.input_size, parts.output_size, parts.channels, zero_point)


def _ends(graph: FlatbufferGraph) -> tuple[Tensor, dict[str, Tensor]]:
    """Input and outputs of a quantized network."""
    signature = graph.model.signatureDefs[0]
    outputs = {entry.name.decode(): graph.tensor(entry.tensorIndex) for entry in signature.outputs}
    return graph.tensor(signature.inputs[0].tensorIndex), outputs


def quantize_frames(
    frames: npt.NDArray[np.float32], value_range: tuple[float, float], quantization: Quantization
) -> npt.NDArray[np.int8]:
    """Frames [N, H, W, C] in ``value_range`` as the device quantizes them: by pixel value."""
    low, high = value_range
    pixels = np.rint((frames - low) * (255 / (high - low))).astype(np.uint8)
    levels = pixel_levels(value_range, quantization.scale, quantization.zero_point)
    return np.asarray(levels[pixels])


def class_activation(class_scores: npt.NDArray[np.float32]) -> str:
    """Tells by a recognizer's scores, [N, K] or [N, T, K] of a sequence, how it ends: softmax, sigmoid or logits."""
    if class_scores.min() < 0 or class_scores.max() > 1:
        return "logits"
    return "softmax" if np.abs(class_scores.sum(axis=-1) - 1).max() < 1e-3 else "sigmoid"


def _check_score(score: npt.NDArray[np.float32] | None) -> None:
    if score is not None and (score.min() < 0 or score.max() > 1):
        raise ModelFileError(
            f"the score goes from {score.min():.2f} to {score.max():.2f} on the calibration frames, but it must be a "
            "probability: end it with a sigmoid"
        )


def _readout(
    parts: StnParts,
    trunk: bytes,
    calibration: FrameSet,
    quantizations: dict[str, Quantization],
    theta: npt.NDArray[np.float32],
    refit: bool,
    value_range: tuple[float, float],
) -> HeadRefit:
    """The head's float weights, refitted on what the quantized trunk gives if that helps."""
    levels = quantize_frames(calibration.frames, value_range, quantizations["frame"])
    with IsolatedInterpreter() as interpreter:
        interpreter.load(trunk)
        rows = [interpreter.run({"image": level[None]})["features"].ravel() for level in levels]
    height, width = parts.input_size

    def distance(a: Any, b: Any) -> Any:
        corners = (theta_to_corners(t, width, height) for t in (a, b))
        return np.linalg.norm(np.subtract(*corners), axis=-1).mean(axis=-1)

    return refit_head(
        parts.kernel, parts.bias, np.stack(rows), quantizations["features"], theta, distance, enabled=refit
    )


def _cost(parts: StnParts, plan: SamplerPlan | None, trunk: bytes, recognizer: bytes | None) -> StnCost:
    points = parts.output_size[0] * parts.output_size[1]
    stages = [
        StageCost("localization", *network_cost(trunk)),
        StageCost("head", parts.kernel.size + parts.bias.size, parts.kernel.size),
    ]
    if plan is not None:
        stages.append(StageCost("grid", 0, points * _GRID_MACS[parts.transform]))
        stages.append(StageCost("sampler", 0, points * parts.channels * SAMPLER_MACS))
    if recognizer is not None:
        stages.append(StageCost("recognizer", *network_cost(recognizer)))
    return StnCost(tuple(stages))
