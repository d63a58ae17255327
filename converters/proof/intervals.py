"""Interval analysis of a written file: what every int32 tensor can hold, whatever the frame.

Starts from the whole range of every int8 tensor and follows the operators of head, grid and sampler with exact bounds
for every element. It finds int32 overflow and GATHER indices outside their table, or shows that there are none.

Addition, subtraction and multiplication of int32 wrap around, and a wrapped value becomes right again when later terms
bring it back into range. So exact (unwrapped) bounds are kept through those three, and must fit in 32 bits wherever
anything else reads the value: a RELU, a shift, a cast, a division, a GATHER, an output of the file.

Plain intervals forget that two operands come from one value, and what bits mean that are read as other numbers. The
sequences of `operator_patterns` are bounded exactly: ``a·(256 - w) + b·w``, ``n - (n / d)·d``, and the shifts of
`integer_sampler` by whole bytes. int64 is not bounded: the sampler reads its bytes and nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from stn_rectify.converters.proof.bounds import BOUNDS_LIMIT, MOVEMENTS, Bounds, whole_range
from stn_rectify.converters.proof.operator_patterns import blended, bytes_of, divisor_of_multiple, source_of_lane_shift
from stn_rectify.converters.tflite.written_graph import WrittenGraph
from stn_rectify.runtime.arrays import IntArray

_NO_ACTIVATION, _RELU = 0, 1
_INDEXING = ("GATHER", "GATHER_ND", "SCATTER_ND", "EMBEDDING_LOOKUP", "DYNAMIC_UPDATE_SLICE", "SLICE", "STRIDED_SLICE")

# Operator and its name for messages → bounds of its outputs; None: they can be anything.
_Rule = Callable[[Any, str], list[Bounds] | None]


@dataclass
class IntervalReport:
    """The findings of the analysis.

    Attributes:
        problems: overflows, indices out of range, operators that cannot be followed; empty when all is proved.
        checked: int32 results that were bounded.
        largest: the largest magnitude that anything but a ring operation reads.
        gathers: for each GATHER, the largest index and the rows of its table.
    """

    problems: list[str] = field(default_factory=list)
    checked: int = 0
    largest: int = 0
    gathers: list[tuple[int, int]] = field(default_factory=list)


def analyse_intervals(flatbuffer: bytes, subgraph: int = 0) -> IntervalReport:
    """Bounds every int32 value of a subgraph."""
    return _Analysis(WrittenGraph(flatbuffer, subgraph)).run()


class _Analysis:
    def __init__(self, graph: WrittenGraph) -> None:
        self.graph = graph
        self.report = IntervalReport()
        self.bounds: dict[int, Bounds] = {}

    # What is known of a tensor

    def get(self, tensor: int) -> Bounds:
        """Bounds of a tensor: computed, constant, or all of its dtype."""
        if tensor not in self.bounds:
            value = self.graph.constant(tensor)
            self.bounds[tensor] = self.whole_range(tensor) if value is None else Bounds(value, value)
        return self.bounds[tensor]

    def whole_range(self, tensor: int) -> Bounds:
        return whole_range(self.graph.dtype(tensor), self.graph.shape(tensor))

    def settled(self, tensor: int, reader: str) -> Bounds:
        """Bounds of a tensor where its 32 bits are read as a number."""
        bounds = self.get(tensor)
        if self.graph.dtype(tensor) == "int32":
            self.settle(bounds, reader)
        return bounds

    def settle(self, bounds: Bounds, reader: str) -> None:
        self.report.largest = max(self.report.largest, bounds.peak)
        if not bounds.fits_int32:
            self.report.problems.append(f"{reader} can read {bounds.peak}, more than 31 bits")

    # The walk

    def run(self) -> IntervalReport:
        for number, op in enumerate(self.graph.operators):
            label = f"operator {number} ({self.graph.name(op)})"
            outputs = [int(t) for t in op.outputs]
            computed = None
            if self.is_followed(op):
                computed = self.follow(op, label)
            else:
                self.pass_over(op, label)
            for k, tensor in enumerate(outputs):
                self.bounds[tensor] = computed[k] if computed else self.whole_range(tensor)
                self.report.checked += self.graph.dtype(tensor) == "int32"
        for tensor in self.graph.outputs:
            self.settled(tensor, "an output")
        return self.report

    def is_followed(self, op: Any) -> bool:
        """Tells whether the analysis computes the bounds of an operator's outputs.

        It does for those that make int32, move the bytes of head, grid and sampler, or read by a computed index; not
        for the trunk's int8 operators.
        """
        makes_int32 = any(self.graph.dtype(int(t)) == "int32" for t in op.outputs)
        name = self.graph.name(op)
        by_index = name == "GATHER" and self.graph.constant(int(op.inputs[1])) is None
        return makes_int32 or by_index or name in ("CAST", "BITCAST")

    def follow(self, op: Any, label: str) -> list[Bounds] | None:
        rule = self.rule_for(self.graph.name(op))
        touched = [int(op.outputs[0]), *self.graph.operands(op)]
        if rule is None or not all(np.issubdtype(self.graph.dtype(t), np.integer) for t in touched):
            self.report.problems.append(f"{label} makes int32 values that this analysis cannot follow")
            return None
        return rule(op, label)

    def rule_for(self, name: str) -> _Rule | None:
        """Gives the rule that bounds the outputs of such operators; None if there is none."""
        if name in MOVEMENTS:
            return lambda op, _: MOVEMENTS[name](self.graph, self.get, op)
        return getattr(self, f"rule_{name.lower()}", None)

    def pass_over(self, op: Any, label: str) -> None:
        """An operator of the trunk: its outputs can be anything, but it must not read a wrapped or unbounded index."""
        operands = self.graph.operands(op)
        for tensor in operands:
            self.settled(tensor, label)
        if self.graph.name(op) in _INDEXING and any(self.graph.constant(t) is None for t in operands[1:]):
            self.report.problems.append(f"{label} reads by a computed index that this analysis cannot follow")

    def unfollowed(self, op: Any, reason: str) -> list[Bounds]:
        self.report.problems.append(reason)
        return [self.whole_range(int(t)) for t in op.outputs]

    # Ring operations

    def ring(self, op: Any, label: str, low: IntArray, high: IntArray) -> list[Bounds]:
        activation = op.builtinOptions.fusedActivationFunction
        if activation not in (_NO_ACTIVATION, _RELU):
            return self.unfollowed(op, f"{label} has activation {activation}, which this analysis cannot follow")
        result = Bounds(low, high)
        if activation == _RELU:
            self.settle(result, label)
            result = Bounds(np.maximum(low, 0), np.maximum(high, 0))
        return [result]

    def rule_add(self, op: Any, label: str) -> list[Bounds]:
        x, y = self.graph.operands(op)
        a, b = self.get(x), self.get(y)
        blend = blended(self.graph, x, y)
        bounds = self.blend_bounds(*blend) if blend is not None else None
        if bounds is not None:
            return self.ring(op, label, *bounds)
        if a.peak + b.peak >= BOUNDS_LIMIT:
            return self.unfollowed(op, f"{label} adds up to more than can be bounded")
        return self.ring(op, label, a.low + b.low, a.high + b.high)

    def rule_sub(self, op: Any, label: str) -> list[Bounds]:
        x, y = self.graph.operands(op)
        a, b = self.get(x), self.get(y)
        divisor = divisor_of_multiple(self.graph, y, x)
        if divisor is not None and a.low.min() >= 0 and self.get(divisor).low.min() >= 1:
            return self.ring(op, label, np.zeros_like(a.low), np.minimum(a.high, self.get(divisor).high - 1))
        if a.peak + b.peak >= BOUNDS_LIMIT:
            return self.unfollowed(op, f"{label} adds up to more than can be bounded")
        return self.ring(op, label, a.low - b.high, a.high - b.low)

    def rule_mul(self, op: Any, label: str) -> list[Bounds]:
        a, b = (self.get(t) for t in self.graph.operands(op))
        if a.peak * b.peak >= BOUNDS_LIMIT:
            return self.unfollowed(op, f"{label} multiplies to more than can be bounded")
        products = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        return self.ring(op, label, low, high)

    def blend_bounds(self, a: int, b: int, weight: int, total: int) -> tuple[IntArray, IntArray] | None:
        """Of a·(total - weight) + b·weight: total times those of a and b together, for weights from 0 to total."""
        total_bounds, weight_bounds = self.get(total), self.get(weight)
        factor = int(total_bounds.high.max())
        if total_bounds.low.min() != factor or weight_bounds.low.min() < 0 or weight_bounds.high.max() > factor:
            return None
        p, q = self.get(a), self.get(b)
        if max(p.peak, q.peak) * factor >= BOUNDS_LIMIT:
            return None
        return np.minimum(p.low, q.low) * factor, np.maximum(p.high, q.high) * factor

    # Other arithmetic

    def rule_sum(self, op: Any, label: str) -> list[Bounds]:
        a, axes = self.settled(int(op.inputs[0]), label), self.graph.constant(int(op.inputs[1]))
        if axes is None:
            return self.unfollowed(op, f"{label} sums over computed axes")
        axis, keep = tuple(int(k) for k in np.atleast_1d(axes)), bool(op.builtinOptions.keepDims)
        # Any partial sum, in any order, lies between these.
        self.settle(Bounds(np.minimum(a.low, 0).sum(axis=axis), np.maximum(a.high, 0).sum(axis=axis)), label)
        return [a.apply(lambda v: v.sum(axis=axis, keepdims=keep))]

    def rule_right_shift(self, op: Any, label: str) -> list[Bounds]:
        a, bits = (self.settled(t, label) for t in self.graph.operands(op))
        if bits.low.min() < 0 or bits.high.max() > 31 or (bits.low != bits.high).any():
            return self.unfollowed(op, f"{label} shifts by counts that are not fixed numbers from 0 to 31")
        return [Bounds(a.low >> bits.low, a.high >> bits.low)]

    def rule_minimum(self, op: Any, label: str) -> list[Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        return [Bounds(np.minimum(a.low, b.low), np.minimum(a.high, b.high))]

    def rule_maximum(self, op: Any, label: str) -> list[Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        return [Bounds(np.maximum(a.low, b.low), np.maximum(a.high, b.high))]

    def rule_div(self, op: Any, label: str) -> list[Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        if b.low.min() < 1 or a.low.min() < 0 or op.builtinOptions.fusedActivationFunction:
            return self.unfollowed(op, f"{label} divides {a.low.min()} … by {b.low.min()} …, not only positive numbers")
        return [Bounds(a.low // b.high, a.high // b.low)]

    # Bits read as other numbers

    def rule_cast(self, op: Any, label: str) -> list[Bounds]:
        a = self.settled(int(op.inputs[0]), label)
        dtype_range = self.whole_range(int(op.outputs[0]))
        if self.graph.dtype(int(op.outputs[0])) == "int16":
            a = self.low_half(int(op.inputs[0])) or a
        inside = a.low.min(initial=0) >= dtype_range.low.min(initial=0) and a.high.max(
            initial=0
        ) <= dtype_range.high.max(initial=0)
        return [a if inside else dtype_range]

    def low_half(self, tensor: int) -> Bounds | None:
        """Of numbers cut out of others' bytes: what their low 16 bits are, if these are of one number."""
        cut = bytes_of(self.graph, tensor)
        if cut is None or cut.byte > 2:
            return None
        shape = self.graph.shape(tensor)
        block = slice(cut.first, cut.first + prod(shape))
        return self.get(cut.source).apply(lambda v: (v.ravel()[block] >> (8 * cut.byte)).reshape(shape))

    def rule_bitcast(self, op: Any, label: str) -> list[Bounds]:
        self.settled(int(op.inputs[0]), label)
        source = source_of_lane_shift(self.graph, int(op.outputs[0]))
        if source is not None:
            shape = self.graph.shape(int(op.outputs[0]))
            return [self.get(source).apply(lambda v: (v[1:] << 16).reshape(shape))]
        return [self.whole_range(int(op.outputs[0]))]

    # Tables

    def rule_fill(self, op: Any, label: str) -> list[Bounds]:
        value = self.settled(int(op.inputs[1]), label)
        return [value.apply(lambda v: np.broadcast_to(v, self.graph.shape(int(op.outputs[0]))))]

    def rule_gather(self, op: Any, label: str) -> list[Bounds]:
        table, index = (self.settled(t, label) for t in self.graph.operands(op))
        if op.builtinOptions.axis or op.builtinOptions.batchDims:
            return self.unfollowed(op, f"{label} gathers along another axis than the first")
        rows = table.low.shape[0]
        low, high = int(index.low.min()), int(index.high.max())
        self.report.gathers.append((high, rows))
        if low < 0 or high >= rows:
            self.report.problems.append(f"{label} can read rows {low} … {high} of a table of {rows}")
        shape = self.graph.shape(int(op.outputs[0]))
        return [Bounds(np.broadcast_to(table.low.min(axis=0), shape), np.broadcast_to(table.high.max(axis=0), shape))]
