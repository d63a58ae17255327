"""Takes an STN in an ONNX file apart: made a graph of TensorFlow, then as any other graph.

What it computes is never taken from that graph alone: θ, the image and the class scores that the converted file is
compared with are those that onnxruntime gives for the file itself, and the graph must agree with them. So must that of
a file that is no STN at its input, in its outputs, before it goes on as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, unshaped
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError
from stn_rectify.converters.reading.graph_parts import split_graph
from stn_rectify.converters.reading.input_shape import check_inputs, closed_shape
from stn_rectify.converters.reading.onnx.onnx_file import OnnxFile, read_onnx_file
from stn_rectify.converters.reading.onnx.original import OriginalModel
from stn_rectify.converters.reading.onnx.translation import Translation, translate
from stn_rectify.converters.reading.stn_parts import StnParts, run_in_batches
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError

_MOST_DIFFERENCE = 2e-3  # of the largest number: float32 in another order is hundreds of times nearer
_FRAMES = 4


def split_onnx(file: Path, *, accept_border: bool = False, input_shape: tuple[int, ...] | None = None) -> StnParts:
    """Finds trunk, head, grid, sampler and recognizer in an ONNX file.

    Args:
        file: the file.
        accept_border: take the nearest of our paddings where the sampler's is none of them.
        input_shape: height and width, and perhaps channels, of the frame, for a model that is open to any.

    Raises:
        DataError: if the file cannot be read.
        ModelFileError: if it is not an STN that can be converted; the message says which node and why.
        StnRectifyError: if the packages for ONNX files are not installed.
        UsageError: if it is for another size.
    """
    read = read_onnx_file(file)
    stated = [read.shape[axis] for axis in read.axes]
    shape = closed_shape(read.name, stated, input_shape)
    check_inputs(read.name, {read.input: shape})
    height, width, channels = (int(size or 0) for size in shape[1:])
    translation = translate(read, (height, width, channels))
    graph = FrozenGraph(read.name, translation.concrete)
    originals = _Originals(read, translation)
    try:
        parts = split_graph(graph, accept_border=accept_border, original=originals)
    except OtherStructureError:
        ends = {f"output {number}": tensor for number, tensor in enumerate(graph.outputs, start=1)}
        ends = {name: tensor for name, tensor in ends.items() if originals.knows(tensor)}
        if ends:
            _check_translation(graph, graph.function(graph.frame, ends), originals(graph, ends))
        raise
    assert parts.original is not None
    _check_translation(graph, parts.whole, parts.original)
    return parts


class _Originals:
    """Gives, for tensors of the graph, what onnxruntime makes of the file instead."""

    def __init__(self, file: OnnxFile, translation: Translation) -> None:
        self._file, self._values = file, translation.values

    def knows(self, tensor: Any) -> bool:
        """Tells whether a tensor of the graph is a value of the file."""
        return any(candidate.name in self._values for candidate in (tensor, unshaped(tensor)))

    def __call__(self, graph: FrozenGraph, ends: Mapping[str, Any]) -> TensorFunction:
        """The function from frames [N, H, W, C], as ``graph.frame``, to the numbers of named tensors.

        Raises:
            ModelFileError: if one of them is no value of the file.
        """
        found = {name: self._value(tensor) for name, tensor in ends.items()}
        names = [found[end][0] for end in ends]
        model = OriginalModel(self._file, names)
        sizes = {name: graph.shape(tensor) for name, tensor in ends.items()}

        def run(frames: Any) -> dict[str, Array]:
            numbers = model.run(self._given(graph, np.asarray(frames)))
            outputs = {}
            for (end, (_, value)), original in zip(found.items(), numbers, strict=True):
                lying = value.original(original) if original.ndim == len(value.axes) else original
                sides = sizes[end]
                assert sides is not None
                outputs[end] = np.asarray(lying, np.float32).reshape(len(frames), *(int(n or 0) for n in sides[1:]))
            return outputs

        return run

    def _value(self, tensor: Any) -> tuple[str, Any]:
        for candidate in (tensor, unshaped(tensor)):
            if candidate.name in self._values:
                return self._values[candidate.name]
        raise ModelFileError(
            f"{self._file.name}: {tensor.op.name!r} lies inside a node of the file, so what it is there cannot be "
            "told; make theta in a layer of its own (torch.nn.Linear)"
        )

    def _given(self, graph: FrozenGraph, frames: Array) -> Array:
        """Frames as the file takes them, of those behind what it first does to them."""
        scaling = graph.scaling
        given = (frames - scaling.offset) / scaling.factor
        return np.asarray(np.rint(given) if scaling.of_bytes else given, self._file.dtype)


def _check_translation(graph: FrozenGraph, read: TensorFunction, original: TensorFunction) -> None:
    """Compares what was read of the file with what onnxruntime makes of it, on noise, black and white.

    Args:
        graph: what was read.
        read: frames as ``graph.frame`` → named tensors of it.
        original: the same by onnxruntime.

    Raises:
        ModelFileError: if they differ.
    """
    rng = np.random.default_rng(3)
    low, high = graph.scaling.value_range((0.0, 1.0))
    noise = rng.random((_FRAMES, *graph.frame.shape[1:]))
    shares = np.concatenate([noise, np.zeros_like(noise[:1]), np.ones_like(noise[:1])])
    if graph.scaling.of_bytes:
        shares = np.rint(shares * 255) / 255
    frames = (low + (high - low) * shares).astype(np.float32)
    theirs, ours = run_in_batches(original, frames, None), run_in_batches(read, frames, graph.batch)
    for end, numbers in theirs.items():
        away = float(np.abs(numbers - ours[end]).max() / max(1.0, float(np.abs(numbers).max())))
        if not away <= _MOST_DIFFERENCE:
            raise ModelFileError(
                f"{graph.name}: read by its nodes, it gives {_named(end)} that are {away:.2g} of the largest from what "
                "onnxruntime gives: an operator is meant otherwise than it was read; please report this file"
            )


def _named(end: str) -> str:
    known = {"theta": "numbers of theta", "rectified": "pixels", "score": "scores", "class_scores": "class scores"}
    return known.get(end, f"numbers of {end}")
