"""Puts a network with samplers anywhere in it together: all else quantized at once, each sampler in integers between.

What lies between the samplers is quantized as one network, whose further inputs are the samplers' images. Head and
sampler are appended for each, and what read that input reads the sampler's image instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.assembly import class_activation, quantize_frames
from stn_rectify.converters.integer.head import build_head, quantize_head
from stn_rectify.converters.integer.head_refit import HeadRefit, refit_head
from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.composite_bits import SamplerBits
from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.composite_parts import IMAGE, CompositeParts, SamplerParts
from stn_rectify.converters.tflite.builder import Quantization, Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.quantizer import quantize_inputs, with_range
from stn_rectify.converters.tflite.written_graph import network_cost
from stn_rectify.models.network.cost import GRID_MACS, SAMPLER_MACS, StageCost, StnCost
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.geometry import theta_to_corners

_BATCH = 16
_LEVELS = np.arange(-128, 128)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CompositeAssembly:
    """An unproved flatbuffer, and what it was made from.

    Attributes:
        flatbuffer: the whole network.
        remainder: all but the samplers, as TensorFlow quantized it.
        places: of what lies between the samplers, its outputs' names in ``remainder``, and those in the file.
        samplers: the integers of each sampler, and the names of its tensors in the file.
        image: quantization of the input.
        outputs: quantization of each output, by name.
        activation: what class scores are: ``"softmax"``, ``"sigmoid"`` or ``"logits"``; None without any.
        value_range: what pixel values 0 and 255 are to it.
        cost: parameters and multiply-accumulates.
    """

    flatbuffer: bytes = field(repr=False)
    remainder: bytes = field(repr=False)
    places: dict[str, str] = field(repr=False)
    samplers: tuple[SamplerBits, ...] = field(repr=False)
    image: Quantization
    outputs: dict[str, Quantization]
    activation: str | None
    value_range: tuple[float, float]
    cost: StnCost

    def quantize_frames(self, frames: Floats) -> npt.NDArray[np.int8]:
        """Frames as the file takes them on a device."""
        return quantize_frames(frames, self.value_range, self.image)


def assemble_composite(
    parts: CompositeParts, calibration: FrameSet, value_range: tuple[float, float], *, refit: bool
) -> CompositeAssembly:
    """Quantizes what lies between the samplers, and puts them in.

    Raises:
        DataError: if an image is too large for the sampler.
        ModelFileError: if a part cannot become integers; the message says which and why.
    """
    for sampler in parts.samplers:
        _plan(sampler, 0)  # refuses what is too large, before any long work
    floats = parts.run(calibration.frames)
    remainder = quantize_inputs(parts.remainder, _samples(parts, calibration.frames, floats, value_range), "network")
    graph = FlatbufferGraph(remainder)
    inputs, ends = _ends(graph)
    image = _quantized(inputs[IMAGE], IMAGE)
    rows = _features(parts, remainder, inputs, quantize_frames(calibration.frames, value_range, image), floats)
    made = {IMAGE: inputs[IMAGE], **ends}
    bits = []
    for sampler in parts.samplers:
        source, features = made[sampler.source], made[sampler.features]
        plan = _plan(sampler, _quantized(source, sampler.source).zero_point)
        readout = _readout(sampler, rows[sampler.features], _quantized(features, sampler.features), floats, refit)
        head = quantize_head(readout.kernel, readout.bias, _quantized(features, sampler.features), plan)
        coefficients, theta = build_head(graph, features, head)
        assert coefficients is not None
        sampled = build_sampler(graph, source, coefficients, plan)
        table = None
        if sampler.sampled in inputs:
            read = inputs[sampler.sampled]
            sampled, table, given = handed_over(graph, sampled, _quantized(read, sampler.sampled))
            graph.replace(read, given)
        made[sampler.sampled] = sampled
        named = {sampler.source: source, sampler.features: features, sampler.theta: theta, sampler.sampled: sampled}
        named[f"coefficients_{sampler.number}"] = coefficients
        for name, tensor in named.items():
            graph.rename(tensor, name)  # but for those that are inputs or outputs
        bits.append((sampler, plan, head, table, (source, features, coefficients, theta, sampled)))
    graph.sort_operators()
    outputs = {name: made[place] for name, place in parts.places.items()}
    activation = class_activation(floats["class_scores"]) if "class_scores" in outputs else None
    flatbuffer = graph.finish({IMAGE: inputs[IMAGE]}, outputs)
    return CompositeAssembly(
        flatbuffer=flatbuffer,
        remainder=remainder,
        places={name: graph.name(tensor) for name, tensor in made.items() if name in _named(parts)},
        samplers=tuple(
            SamplerBits(
                s.number, plan, head, s.sampled if s.sampled in inputs else None, table, *map(graph.name, tensors)
            )
            for s, plan, head, table, tensors in bits
        ),
        image=image,
        outputs={name: _quantized(tensor, name) for name, tensor in outputs.items()},
        activation=activation,
        value_range=value_range,
        cost=_cost(parts, remainder),
    )


def _named(parts: CompositeParts) -> set[str]:
    """The outputs of the remainder that mean something, and the samplers' images."""
    return {*parts.places.values(), *(name for s in parts.samplers for name in (s.source, s.features))}


def _plan(sampler: SamplerParts, zero_point: int) -> SamplerPlan:
    return SamplerPlan(
        sampler.transform, sampler.padding, sampler.input_size, sampler.output_size, sampler.channels, zero_point
    )


def _ends(graph: FlatbufferGraph) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of a quantized network by name."""
    signature = graph.model.signatureDefs[0]
    inputs, outputs = (
        {entry.name.decode(): graph.tensor(entry.tensorIndex) for entry in side}
        for side in (signature.inputs, signature.outputs)
    )
    return inputs, outputs


def _quantized(tensor: Tensor, name: str) -> Quantization:
    if tensor.quantization is None:
        raise ModelFileError(f"TensorFlow left {name} without a quantization")
    return tensor.quantization


def _samples(
    parts: CompositeParts, frames: Floats, floats: Mapping[str, Floats], value_range: tuple[float, float]
) -> dict[str, list[Floats]]:
    """What the quantizer sees of each input: a sampler's image has the range of what the sampler reads.

    So both get the same scale, and the sampler's levels need no other.
    """
    images = {sampler.sampled: floats[sampler.sampled] for sampler in parts.samplers}
    samples = {IMAGE: with_range(frames, value_range)}
    samples |= {name: with_range(image, _span(image)) for name, image in images.items()}
    ranges = {IMAGE: value_range}
    for sampler in parts.samplers:
        if sampler.source not in ranges:
            ranges[sampler.source] = _span(_run(parts, samples, sampler.source))
        low, high = ranges[sampler.sampled] = ranges[sampler.source]
        # A sampler that is not ours may round beyond it.
        samples[sampler.sampled] = with_range(np.clip(images[sampler.sampled], low, high), (low, high))
    return {name: samples[name] for name in parts.inputs}


def _span(values: Array) -> tuple[float, float]:
    """The least and the greatest number, 0 among them: outside an image it is what a sampler gives."""
    return min(0.0, float(values.min())), max(0.0, float(values.max()))


def _run(parts: CompositeParts, samples: Mapping[str, list[Floats]], name: str) -> Floats:
    """An output of the float remainder for all samples."""
    step = parts.batch or _BATCH
    found = []
    for first in range(0, len(samples[IMAGE]), step):
        given = {key: np.concatenate(samples[key][first : first + step]) for key in parts.inputs}
        found.append(np.asarray(parts.remainder(given)[name], np.float32))
    return np.concatenate(found)


def _features(
    parts: CompositeParts,
    remainder: bytes,
    inputs: Mapping[str, Tensor],
    frames: npt.NDArray[np.int8],
    floats: Mapping[str, Floats],
) -> dict[str, npt.NDArray[np.int8]]:
    """The features of each sampler as the file computes them, given the images of the float samplers: int8 [N, F]."""
    given = {IMAGE: frames}
    for sampler in parts.samplers:
        if sampler.sampled in inputs:
            of = _quantized(inputs[sampler.sampled], sampler.sampled)
            levels = np.rint(floats[sampler.sampled] / of.scale) + of.zero_point
            given[sampler.sampled] = np.clip(levels, -128, 127).astype(np.int8)
    names = {sampler.features for sampler in parts.samplers}
    rows: dict[str, list[Array]] = {name: [] for name in names}
    with IsolatedInterpreter() as interpreter:
        interpreter.load(remainder)
        for number in range(len(frames)):
            found = interpreter.run({name: values[number : number + 1] for name, values in given.items()})
            for name in names:
                rows[name].append(found[name].ravel())
    return {name: np.stack(found).astype(np.int8) for name, found in rows.items()}


def _readout(
    sampler: SamplerParts,
    rows: npt.NDArray[np.int8],
    quantization: Quantization,
    floats: Mapping[str, Floats],
    refit: bool,
) -> HeadRefit:
    """The head's float weights, refitted on what the quantized network gives if that helps."""
    height, width = sampler.input_size

    def distance(a: Any, b: Any) -> Any:
        corners = (theta_to_corners(t, width, height) for t in (a, b))
        return np.linalg.norm(np.subtract(*corners), axis=-1).mean(axis=-1)

    return refit_head(sampler.kernel, sampler.bias, rows, quantization, floats[sampler.theta], distance, enabled=refit)


def _requantized(given: Quantization, wanted: Quantization) -> npt.NDArray[np.int64]:
    """The levels of another quantization for each of the 256 levels of one, nearest first of all, int64 [256]."""
    values = (_LEVELS - given.zero_point) * (given.scale / wanted.scale)
    return np.asarray(np.clip(np.rint(values) + wanted.zero_point, -128, 127), np.int64)


def handed_over(
    graph: FlatbufferGraph, sampled: Tensor, wanted: Quantization
) -> tuple[Tensor, npt.NDArray[np.int64] | None, Tensor]:
    """A sampler's image as the rest of the network reads it.

    Args:
        graph: where to.
        sampled: the image.
        wanted: the quantization that the rest of the network has for it.

    Returns:
        The image, the table of levels that it is read through (None where they stay as they are), and what is read.
    """
    levels = _requantized(_quantized(sampled, "a sampler's image"), wanted)
    if np.array_equal(levels, _LEVELS):
        same = graph.requantize(sampled, wanted)
        return same, None, same
    rows = graph.cast(sampled, "int32")
    rows = graph.add(rows, graph.fill(rows.shape, 128))
    return sampled, levels, graph.gather(graph.constant(levels, "int8"), rows, wanted)


def _cost(parts: CompositeParts, remainder: bytes) -> StnCost:
    stages = [StageCost("network", *network_cost(remainder))]
    for sampler in parts.samplers:
        points = sampler.output_size[0] * sampler.output_size[1]
        grid = points * ({**GRID_MACS, "tps": 4}[sampler.transform])
        number = sampler.number
        stages.append(StageCost(f"head {number}", sampler.kernel.size + sampler.bias.size, sampler.kernel.size))
        stages.append(StageCost(f"sampler {number}", 0, grid + points * sampler.channels * SAMPLER_MACS))
    return StnCost(tuple(stages))
