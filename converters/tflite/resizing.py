"""A fully convolutional network at other sizes: the same operators and constants, other shapes.

In: a flatbuffer of one size. Out: one of several subgraphs that share every constant but the sizes to enlarge to.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from stn_rectify.converters.tflite.object_tree import operator_name, read_model, schema, write_model
from stn_rectify.runtime.errors import ModelFileError

Shape = tuple[int, ...]

_SAME_SHAPE = (
    "ABS", "CAST", "ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "TANH",
)  # fmt: skip
_ELEMENTWISE = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SUB")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


def with_sizes(flatbuffer: bytes, sizes: Sequence[tuple[int, int]], signatures: Sequence[str]) -> bytes:
    """A network at several sizes, a subgraph and a SignatureDef for each, in this order.

    Args:
        flatbuffer: a fully convolutional network of one subgraph, one SignatureDef and one input [1, H, W, C].
        sizes: height and width of the input.
        signatures: a key for each size.

    Returns:
        A flatbuffer whose subgraphs number their tensors as the given one does and share its constants; operators and
        constants' tensors are in it once.

    Raises:
        ModelFileError: if an operator of it cannot have another size; the message names it.
    """
    model = read_model(flatbuffer)
    (graph,), (named,) = model.subgraphs, model.signatureDefs
    _, height, width, _ = _shape(graph.tensors[graph.inputs[0]])
    own = height, width
    if _Resized(model, graph, own).graph_shapes() != [_shape(t) for t in graph.tensors]:
        raise ModelFileError("the shapes of its own size do not come out as TensorFlow made them")
    model.subgraphs, model.signatureDefs = [], []
    for number, (size, key) in enumerate(zip(sizes, signatures, strict=True)):
        resized = _Resized(model, graph, size).graph
        resized.name = key
        if tuple(size) != own:
            _shorten_names(resized, model, {int(t) for t in (*graph.inputs, *graph.outputs)})
        model.subgraphs.append(resized)
        signature = copy.copy(named)
        signature.signatureKey, signature.subgraphIndex = key, number
        model.signatureDefs.append(signature)
    return write_model(model)


def with_quantization_of(flatbuffer: bytes, other: bytes) -> bytes:
    """A quantized network with the scales, zero points and biases of another that has the same operators and weights.

    Args:
        flatbuffer: of one subgraph, as TensorFlow's quantizer wrote it; its shapes, options and sizes stay.
        other: the same network, quantized at another size.

    Raises:
        ModelFileError: if the operators or the weights are not the same.
    """
    model, source = read_model(flatbuffer), read_model(other)
    (graph,), (pattern,) = model.subgraphs, source.subgraphs
    if [_name(model, op) for op in graph.operators] != [_name(source, op) for op in pattern.operators]:
        raise ModelFileError("TensorFlow makes other operators of the network at another size")
    for op, same in zip(graph.operators, pattern.operators, strict=True):
        for number, twin in zip((*op.inputs, *op.outputs), (*same.inputs, *same.outputs), strict=True):
            if number < 0:
                continue
            tensor, wanted = graph.tensors[number], pattern.tensors[twin]
            tensor.quantization = wanted.quantization
            data, wanted_data = (m.buffers[t.buffer].data for m, t in ((model, tensor), (source, wanted)))
            if wanted_data is None or wanted.quantization is None or wanted.quantization.scale is None:
                continue  # computed, or a size
            if tensor.type == schema.TensorType.INT32:
                model.buffers[tensor.buffer].data = wanted_data
            elif bytes(data) != bytes(wanted_data):
                raise ModelFileError(f"TensorFlow makes other weights of {_name(model, op)} at another size")
    return write_model(model)


def _name(model: Any, op: Any) -> str:
    return operator_name(model.operatorCodes[op.opcodeIndex])


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def _shorten_names(graph: Any, model: Any, ends: set[int]) -> None:
    """Names what is computed between the ends by its number: TensorFlow's names take more bytes than all else."""
    for number, tensor in enumerate(graph.tensors):
        if number not in ends and model.buffers[tensor.buffer].data is None:
            tensor.name = str(number)


class _Resized:
    """The copy of a subgraph at another size of its input."""

    def __init__(self, model: Any, graph: Any, size: tuple[int, int]) -> None:
        self._model = model
        self._original = graph
        self.graph = copy.copy(graph)
        self.graph.tensors = [self._tensor(t) for t in graph.tensors]
        frame = self.graph.tensors[graph.inputs[0]]
        frame.shape = [1, *size, int(frame.shape[3])]
        for op in graph.operators:
            for number, shape in zip(op.outputs, self._outputs(op), strict=True):
                self.graph.tensors[number].shape = list(shape)

    def graph_shapes(self) -> list[Shape]:
        """The shapes of all tensors."""
        return [_shape(t) for t in self.graph.tensors]

    def _tensor(self, tensor: Any) -> Any:
        tensor = copy.copy(tensor)
        if self._model.buffers[tensor.buffer].data is None:
            tensor.buffer = 0  # TensorFlow gives each computed tensor an empty buffer of its own
            tensor.shapeSignature = None
        return tensor

    def _of(self, number: int) -> Shape:
        return _shape(self.graph.tensors[number])

    def _constant(self, number: int) -> Any:
        """The value of a constant; None for what is computed."""
        tensor = self.graph.tensors[number]
        data = self._model.buffers[tensor.buffer].data
        return None if data is None else np.frombuffer(bytes(data), np.int32).reshape(self._of(number))

    def _outputs(self, op: Any) -> list[Shape]:
        name = _name(self._model, op)
        inputs = [int(t) for t in op.inputs if t >= 0]
        options = op.builtinOptions
        first = self._of(inputs[0])
        if name in _SAME_SHAPE:
            return [first]
        if len(first) == 4:
            if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                kernel = self._of(inputs[1])
                dilation = (options.dilationHFactor, options.dilationWFactor)
                extent = tuple((k - 1) * d + 1 for k, d in zip(kernel[1:3], dilation, strict=True))
                return [(1, *_window(first, extent, options), kernel[0 if name == "CONV_2D" else 3])]
            if name in _POOLS:
                extent = (options.filterHeight, options.filterWidth)
                return [(1, *_window(first, extent, options), first[3])]
            if name in _ELEMENTWISE and not self._has_places(inputs):
                return [tuple(int(n) for n in np.broadcast_shapes(*(self._of(t) for t in inputs)))]
            if name == "CONCATENATION" and options.axis in (3, -1) and not self._has_places(inputs):
                return [(*first[:3], sum(self._of(t)[3] for t in inputs))]
            if name == "DEPTH_TO_SPACE":
                block = options.blockSize
                return [(1, first[1] * block, first[2] * block, first[3] // block**2)]
            if name in ("PAD", "PADV2") and (padding := self._constant(inputs[1])) is not None:
                return [tuple(n + int(before) + int(after) for n, (before, after) in zip(first, padding, strict=True))]
            if name in _RESIZES and (shape := self._enlarged(op)) is not None:
                return [shape]
        raise ModelFileError(
            f"its operator {name} is bound to the size of the frame: a dense network must be fully convolutional "
            "(convolutions, pooling with strides, enlarging by whole factors, sums and concatenations of maps)"
        )

    def _has_places(self, inputs: Sequence[int]) -> bool:
        """Tells whether one of the tensors is a constant that holds a number for each place of a map."""
        constants = (t for t in inputs if self._model.buffers[self.graph.tensors[t].buffer].data is not None)
        return any(n != 1 for t in constants for n in self._of(t)[-3:-1])

    def _enlarged(self, op: Any) -> Shape | None:
        """The shape of a map enlarged by the factor of the original, whose constant it gives a buffer of its own.

        None if that is no whole number.
        """
        source, target = int(op.inputs[0]), int(op.inputs[1])
        before = _shape(self._original.tensors[source])[1:3]
        after = _shape(self._original.tensors[int(op.outputs[0])])[1:3]
        if any(b % a for a, b in zip(before, after, strict=True)) or self._constant(target) is None:
            return None
        size = [n * (b // a) for n, a, b in zip(self._of(source)[1:3], before, after, strict=True)]
        self.graph.tensors[target].buffer = self._buffer(np.array(size, np.int32))
        return (1, *size, self._of(source)[3])

    def _buffer(self, values: Any) -> int:
        """The place of a constant's bytes, added if they are new."""
        content = values.tobytes()
        for place, buffer in enumerate(self._model.buffers):
            if buffer.data is not None and bytes(buffer.data) == content:
                return place
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1


def _window(shape: Shape, extent: tuple[int, int], options: Any) -> Shape:
    """Height and width of what a window, moved over a map, gives."""
    same = options.padding == schema.Padding.SAME
    strides = (options.strideH, options.strideW)
    return tuple(
        -(-n // stride) if same else -(-(n - size + 1) // stride)
        for n, size, stride in zip(shape[1:3], extent, strides, strict=True)
    )
