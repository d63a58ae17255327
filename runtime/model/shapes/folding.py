"""What a graph computes of shapes: values that follow from the file alone, and may say what shape a tensor has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.model.shapes.node import Node, Shape
from stn_rectify.runtime.model.shapes.parts import sliced, strided_index

#: The types of tensors whose values may say what shape another one has. They overflow here as they do in a graph.
VALUES: dict[str, np.dtype[Any]] = {"INT32": np.dtype("<i4"), "INT64": np.dtype("<i8")}
_ACTIVATED = ("ADD", "CONCATENATION", "DIV", "MUL", "SUB")  # may have an activation behind them
_MAX_FOLDED = 4096  # items of a tensor whose values are followed, because another operator may take them for a shape


def folded_values(node: Node, outputs: tuple[Shape, ...]) -> Array | None:
    """An operator's output, where it follows from the file alone and may say what shape another one has."""
    fold = _FOLDS.get(node.name)
    if fold is None or len(outputs) != 1 or math.prod(outputs[0]) > _MAX_FOLDED:
        return None
    dtype = VALUES.get(node.tensors[node.operator.outputs[0]].dtype)
    options, activation = node.operator.options, {"CONCATENATION": 1}.get(node.name, 0)
    if dtype is None or (node.name in _ACTIVATED and options is not None and options.number(activation, "<b")):
        return None
    inputs = [node.values.get(position) for position in node.operator.inputs]
    if node.name != "SHAPE" and any(value is None for value in inputs):
        return None
    try:
        with np.errstate(all="ignore"):
            folded = fold(node, [value for value in inputs if value is not None])
            return np.asarray(folded).astype(dtype).reshape(outputs[0])
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return None


#: What graphs compute shapes with, which the converters of other frameworks leave in: shapes are small.
_FOLDS: dict[str, Callable[[Node, list[Array]], Array]] = {
    "ADD": lambda _, values: values[0] + values[1],
    "CAST": lambda _, values: values[0],
    "CONCATENATION": lambda node, values: np.concatenate(values, axis=node.option(0)),
    "DIV": lambda _, values: np.fix(values[0] / values[1]),
    "EXPAND_DIMS": lambda _, values: values[0],
    "GATHER": lambda node, values: np.take(values[0], values[1], axis=node.option(0)),
    "MAXIMUM": lambda _, values: np.maximum(values[0], values[1]),
    "MINIMUM": lambda _, values: np.minimum(values[0], values[1]),
    "MUL": lambda _, values: values[0] * values[1],
    "PACK": lambda node, values: np.stack(values, axis=node.option(1)),
    "RESHAPE": lambda _, values: values[0],
    "SHAPE": lambda node, _: np.array(node.shape(0)),
    "SLICE": lambda node, values: values[0][
        tuple(slice(begin, begin + size) for begin, size in zip(node.numbers(1), sliced(node), strict=True))
    ],
    "SQUEEZE": lambda _, values: values[0],
    "STRIDED_SLICE": lambda node, values: values[0][strided_index(node)],
    "SUB": lambda _, values: values[0] - values[1],
}
