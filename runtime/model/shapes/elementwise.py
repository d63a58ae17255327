"""Operators that make each number of its own: the output has the shape of an input, or of all of them broadcast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.shapes.node import ITEM_BYTES, Node, Shape


def _as_first(node: Node) -> Shape:
    return node.shape(0)


def _broadcast(node: Node) -> Shape:
    return tuple(np.broadcast_shapes(*(node.shape(k) for k in range(node.count))))


def _two_broadcast(node: Node) -> Shape:
    return tuple(np.broadcast_shapes(node.shape(0), node.shape(1)))


def _select(node: Node) -> Shape:
    condition, first, second = node.shape(0), node.shape(1), node.shape(2)
    if first != second or condition not in (first, (), (1,), first[:1]):
        raise DataError(f"it selects between {list(first)} and {list(second)} by {list(condition)}")
    return first


def _prelu(node: Node) -> Shape:
    shape = _two_broadcast(node)
    if shape != node.shape(0):
        raise DataError("its slopes have a shape of their own")
    return shape


def _bitcast(node: Node) -> Shape:
    shape = node.shape(0)
    source, result = (ITEM_BYTES[t.dtype] for t in (node.tensor(0), node.tensors[node.operator.outputs[0]]))
    if source == result:
        return shape
    if source > result:
        return (*shape, source // result)
    if not shape or shape[-1] != result // source:
        raise DataError(f"its input is {list(shape)}")
    return shape[:-1]


# fmt: off
_SHAPE_OF_FIRST = (
    "ABS", "CAST", "DEQUANTIZE", "ELU", "EXP", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG",
    "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX",
    "SQRT", "SQUARE", "TANH",
)
_SHAPE_OF_TWO = (
    "ADD", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL",
    "POW", "RIGHT_SHIFT", "SQUARED_DIFFERENCE", "SUB",
)
# fmt: on

RULES: dict[str, Callable[[Node], Shape | list[Shape]]] = {
    **dict.fromkeys(_SHAPE_OF_FIRST, _as_first),
    **dict.fromkeys(_SHAPE_OF_TWO, _two_broadcast),
    "BITCAST": _bitcast,
    "PRELU": _prelu,
    "SELECT": _select,
    "SELECT_V2": _broadcast,
}
