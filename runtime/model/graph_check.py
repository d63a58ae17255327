"""Checks that a graph makes sense, and what it will need, before an interpreter believes it.

Interpreters check much of it themselves, but not all: some of what is wrong makes them read and write outside of their
memory, or end the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.flatbuffer import Graph, Operator, Subgraph, Tensor
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.model.operators import operator_name
from stn_rectify.runtime.model.shapes.folding import VALUES, folded_values
from stn_rectify.runtime.model.shapes.layers import working_bytes
from stn_rectify.runtime.model.shapes.node import ITEM_BYTES, MAX_RANK, Node, Shape
from stn_rectify.runtime.model.shapes.rules import output_shapes

# Kernels multiply and divide scales: what comes of it must be a number still.
_LEAST_SCALE = 1e-20
# Kernels of sums end the process where a factor is none below 1.
_SUMS, _SUM_BITS = ("ADD", "SUB"), {"INT8": 20, "UINT8": 20, "INT16": 15}
# The inputs from which on one may be left out: biases.
_FIRST_OPTIONAL = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_LEVELS = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767), "INT32": (-(2**31), 2**31 - 1)}


def check_graph(graph: Graph, limits: ModelLimits) -> None:
    """Checks every tensor and operator of every subgraph.

    Args:
        graph: whose operators are all allowed ones.
        limits: what its tensors may come to.

    Raises:
        DataError: if something makes no sense, if a tensor's size depends on what the graph computes, or if the tensors
            come to more than the limits allow.
    """
    needed = 0
    for subgraph in graph.subgraphs:
        needed += tensor_shapes(subgraph, limits.tensor_bytes - needed)[1]
        if needed > limits.tensor_bytes:
            raise DataError(
                f"its tensors come to {needed} bytes and more, and the limit is {limits.tensor_bytes}: give another "
                "file, or, if you trust this one, raise the limit: ModelLimits(tensor_bytes=) (--max-tensor-bytes)"
            )
    for signature in graph.signatures:
        _check_signature(graph, signature.subgraph, signature.inputs, signature.outputs)


def tensor_shapes(subgraph: Subgraph, limit: int) -> tuple[dict[int, Shape], int]:
    """The shapes that the tensors of a subgraph will have, by position, and what they come to, bytes.

    Args:
        subgraph: whose tensors and operators are checked on the way.
        limit: bytes; once they are over it the rest is not looked at.

    Raises:
        DataError: if something makes no sense.
    """
    tensors = subgraph.tensors
    shapes: dict[int, Shape] = {}
    values: dict[int, Array] = {}
    needed = working = 0
    for position, tensor in enumerate(tensors):
        _check_tensor(tensor)
        if tensor.data is not None:
            _check_constant(tensor)
            shapes[position] = tensor.shape
            needed += len(tensor.data)
            if tensor.dtype in VALUES:
                values[position] = np.frombuffer(tensor.data, VALUES[tensor.dtype]).reshape(tensor.shape)
        elif 0 in tensor.shape and math.prod(tensor.shape) == 0 and position not in subgraph.inputs:
            shapes[position] = tensor.shape  # an empty constant, such as the shape of a single number
            if tensor.dtype in VALUES:
                values[position] = np.zeros(tensor.shape, VALUES[tensor.dtype])
    for position in subgraph.inputs:
        if position in shapes or min(tensors[position].shape, default=1) < 1:
            raise DataError(f"damaged: its input {tensors[position].name!r} is {list(tensors[position].shape)}")
        shapes[position] = tensors[position].shape
        needed += _bytes(tensors[position], shapes[position])
    for number, operator in enumerate(subgraph.operators):
        name = operator_name(operator.code.builtin)
        try:
            _check_places(name, operator, tensors, shapes)
            node = Node(operator, tensors, shapes, values)
            outputs = output_shapes(node)
            _check_scales(name, operator, tensors)
            working = max(working, working_bytes(node, outputs))
            folded = folded_values(node, outputs)
        except DataError as error:
            raise DataError(f"operator {number} ({name}) makes no sense: {error}: convert the model again") from None
        for position, shape in zip(operator.outputs, outputs, strict=True):
            shapes[position] = shape
            needed += _bytes(tensors[position], shape)
            if folded is not None:
                values[position] = folded
        if needed + working > limit:
            break
    else:
        _check_outputs(subgraph, shapes)
    return shapes, needed + working


def _check_signature(graph: Graph, number: int, inputs: dict[str, int], outputs: dict[str, int]) -> None:
    if number >= len(graph.subgraphs):
        raise DataError(f"damaged: a signature is of subgraph {number} of {len(graph.subgraphs)}")
    subgraph = graph.subgraphs[number]
    if not set(inputs.values()) <= set(subgraph.inputs) or not set(outputs.values()) <= set(subgraph.outputs):
        raise DataError("damaged: a signature names tensors that are neither inputs nor outputs")


def _check_outputs(subgraph: Subgraph, shapes: dict[int, Shape]) -> None:
    for position in subgraph.outputs:
        tensor = subgraph.tensors[position]
        if shapes.get(position) != tensor.shape:
            made = list(shapes[position]) if position in shapes else "nothing"
            raise DataError(f"its output {tensor.name!r} is {list(tensor.shape)}, but the graph makes {made} of it")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.dtype not in ITEM_BYTES:
        raise DataError(f"tensor {tensor.name!r} is {tensor.dtype}, which is not computed with here")
    if len(tensor.shape) > MAX_RANK:
        raise DataError(f"tensor {tensor.name!r} has {len(tensor.shape)} sides: convert the model again")
    if tensor.is_special:
        raise DataError(f"tensor {tensor.name!r} keeps state, or is sparse: convert the model without")
    for wrong in _wrong_quantization(tensor):
        raise DataError(f"tensor {tensor.name!r} has {wrong}: convert the model again")


def _wrong_quantization(tensor: Tensor) -> Iterator[str]:
    scales, zero_points, shape = tensor.scales, tensor.zero_points, tensor.shape
    if not scales:
        return
    if any(not _LEAST_SCALE < scale < 1 / _LEAST_SCALE for scale in scales):
        yield "a scale that is no number above 0, or too near to it, or too large"
    if len(zero_points) not in (1, len(scales)):
        yield f"{len(zero_points)} zero points for {len(scales)} scales"
    low, high = _LEVELS.get(tensor.dtype, (-(2**63), 2**63))
    if any(not low <= zero_point <= high for zero_point in zero_points):
        yield "a zero point that is none of its levels"
    if len(scales) > 1 and (not 0 <= tensor.axis < len(shape) or shape[tensor.axis] != len(scales)):
        yield f"{len(scales)} scales along side {tensor.axis} of {list(shape)}"


def _check_scales(name: str, operator: Operator, tensors: tuple[Tensor, ...]) -> None:
    """Checks that the scales of an operator's tensors go together."""
    scales = [tensors[k].scale for k in operator.inputs if k >= 0 and tensors[k].dtype in _SUM_BITS]
    output = tensors[operator.outputs[0]]
    if name in _SUMS and output.dtype in _SUM_BITS:
        most = output.scale * 2 ** (_SUM_BITS[output.dtype] - 1)
        if min(scales, default=0) <= 0 or max(scales) >= most:
            raise DataError(f"its inputs' scales are {scales}, its output's {output.scale}")


def _check_constant(tensor: Tensor) -> None:
    assert tensor.data is not None
    size = math.prod(tensor.shape)
    if min(tensor.shape, default=1) < 0 or size * ITEM_BYTES[tensor.dtype] != len(tensor.data):
        raise DataError(
            f"tensor {tensor.name!r} is {tensor.dtype} {list(tensor.shape)}, but has {len(tensor.data)} bytes: "
            "convert the model again"
        )


def _check_places(name: str, operator: Operator, tensors: tuple[Tensor, ...], shapes: dict[int, Shape]) -> None:
    """Inputs are there before the operator runs, but for a bias; outputs are not."""
    for k, position in enumerate(operator.inputs):
        if position < 0 and k < _FIRST_OPTIONAL.get(name, len(operator.inputs)):
            raise DataError(f"input {k} is missing")
    for position in operator.inputs:
        if position >= 0 and position not in shapes:
            raise DataError(f"it reads tensor {tensors[position].name!r}, which nothing has made by then")
    for position in operator.outputs:
        if position < 0 or position in shapes:
            name = tensors[position].name if position >= 0 else "none"
            raise DataError(f"it writes tensor {name!r}, which is made already")
    if len(set(operator.outputs)) != len(operator.outputs):
        raise DataError("it writes a tensor twice")


def _bytes(tensor: Tensor, shape: Shape) -> int:
    return math.prod(shape) * ITEM_BYTES[tensor.dtype]
