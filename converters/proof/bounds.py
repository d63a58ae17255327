"""Bounds of a tensor's integers, element by element, and how they move with operators that only move elements.

A rule takes the graph, what gives the bounds of a tensor, and the operator. It gives the bounds of each output; None
where the places are computed, so that the outputs can hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stn_rectify.converters.tflite.written_graph import WrittenGraph
from stn_rectify.runtime.arrays import IntArray

#: Bounds are int64 and must not wrap themselves: none that are added or multiplied may reach this.
BOUNDS_LIMIT = 2**62

_INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value of every element, both of the tensor's shape."""

    low: IntArray
    high: IntArray

    @property
    def peak(self) -> int:
        """The largest magnitude."""
        return max(abs(int(self.low.min(initial=0))), abs(int(self.high.max(initial=0))))

    @property
    def fits_int32(self) -> bool:
        """Tells whether every value can be held in 32 bits."""
        return bool(self.low.min(initial=0) >= _INT32[0] and self.high.max(initial=0) <= _INT32[1])

    def apply(self, move: Callable[[IntArray], Any]) -> Bounds:
        """The same bounds, elements moved."""
        return Bounds(move(self.low), move(self.high))


def whole_range(dtype: str, shape: tuple[int, ...]) -> Bounds:
    """The bounds of all that a dtype can hold; zero for other dtypes than integers, of which nothing is bounded."""
    if not np.issubdtype(dtype, np.integer):
        return Bounds(np.zeros(1, np.int64), np.zeros(1, np.int64))
    info = np.iinfo(dtype)
    low, high = (np.broadcast_to(np.int64(v), shape) for v in (info.min, info.max))
    return Bounds(low, high)


BoundsOf = Callable[[int], Bounds]
Movement = Callable[[WrittenGraph, BoundsOf, Any], list[Bounds] | None]


def _reshape(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds]:
    return [bounds_of(int(op.inputs[0])).apply(lambda v: v.reshape(graph.shape(int(op.outputs[0]))))]


def _transpose(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds] | None:
    axes = graph.constant(int(op.inputs[1]))
    return None if axes is None else [bounds_of(int(op.inputs[0])).apply(lambda v: v.transpose(axes))]


def _tile(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds] | None:
    times = graph.constant(int(op.inputs[1]))
    if times is None:
        return None
    return [bounds_of(int(op.inputs[0])).apply(lambda v: np.tile(v, [int(t) for t in times]))]


def _slice(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds] | None:
    begin, size = graph.constant(int(op.inputs[1])), graph.shape(int(op.outputs[0]))
    if begin is None:
        return None
    block = tuple(slice(int(b), int(b) + n) for b, n in zip(begin, size, strict=True))
    return [bounds_of(int(op.inputs[0])).apply(lambda v: v[block])]


def _split(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds] | None:
    axis, a, parts = graph.constant(int(op.inputs[0])), bounds_of(int(op.inputs[1])), len(op.outputs)
    if axis is None:
        return None
    low, high = (np.split(side, parts, axis=int(axis.ravel()[0])) for side in (a.low, a.high))
    return [Bounds(p, q) for p, q in zip(low, high, strict=True)]


def _concatenation(graph: WrittenGraph, bounds_of: BoundsOf, op: Any) -> list[Bounds]:
    parts, axis = [bounds_of(t) for t in graph.operands(op)], op.builtinOptions.axis
    low, high = (np.concatenate([getattr(p, side) for p in parts], axis) for side in ("low", "high"))
    return [Bounds(low, high)]


#: The rules by the names of their operators.
MOVEMENTS: Mapping[str, Movement] = {
    "CONCATENATION": _concatenation,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPLIT": _split,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
