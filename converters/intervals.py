"""Interval analysis of a written file: what every int32 tensor can hold, whatever the frame.

Starts from the whole range of every int8 tensor and follows the operators of head, grid and sampler with exact bounds
for every element. It finds int32 overflow and GATHER indices outside their table, or shows that there are none.

Addition, subtraction and multiplication of int32 wrap around, and a wrapped value becomes right again when later terms
bring it back into range. So exact (unwrapped) bounds are kept through those three, and must fit in 32 bits wherever
anything else reads the value: a RELU, a shift, a cast, a division, a GATHER, an output of the file.

Plain intervals forget that two operands come from one value. Four patterns are known and bounded exactly:
``x - low byte of x``, ``a·w + b·(256 - w)``, ``n - (n / d)·d``, and the byte-wise shift of `integer_sampler`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.written_graph import WrittenGraph

__all__ = ["IntervalReport", "analyse_intervals"]

Array = npt.NDArray[np.int64]
_INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class _Bounds:
    low: Array
    high: Array
    zero_bits: int = 0  # every value is a multiple of 2^zero_bits

    def apply(self, move: Callable[[Array], Any]) -> _Bounds:
        """The same bounds, elements moved."""
        return _Bounds(move(self.low), move(self.high), self.zero_bits)

    @property
    def fits_int32(self) -> bool:
        return bool(self.low.min(initial=0) >= _INT32[0] and self.high.max(initial=0) <= _INT32[1])


@dataclass
class IntervalReport:
    """What was found.

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


def analyse_intervals(flatbuffer: bytes) -> IntervalReport:
    """Bounds every int32 value of the first subgraph."""
    return _Analysis(flatbuffer).run()


class _Analysis:
    def __init__(self, flatbuffer: bytes) -> None:
        self.graph = WrittenGraph(flatbuffer)
        self.report = IntervalReport()
        self.bounds: dict[int, _Bounds] = {}

    # What is known of a tensor

    def get(self, tensor: int) -> _Bounds:
        """Bounds of a tensor: computed, constant, or all of its dtype."""
        if tensor not in self.bounds:
            value = self.graph.constant(tensor)
            if value is not None:
                nonzero = value[value != 0]
                bits = (
                    min((int(v) & -int(v)).bit_length() - 1 for v in nonzero.ravel())
                    if nonzero.size < 4096 and nonzero.size
                    else 0
                )
                self.bounds[tensor] = _Bounds(value, value, bits)
            else:
                self.bounds[tensor] = self.whole_range(tensor)
        return self.bounds[tensor]

    def whole_range(self, tensor: int) -> _Bounds:
        if not np.issubdtype(self.graph.dtype(tensor), np.integer):
            return _Bounds(np.zeros(1, np.int64), np.zeros(1, np.int64))  # no integers, so nothing to bound
        info = np.iinfo(self.graph.dtype(tensor))
        low, high = (np.broadcast_to(np.int64(v), self.graph.shape(tensor)) for v in (info.min, info.max))
        return _Bounds(low, high)

    def settled(self, tensor: int, reader: str) -> _Bounds:
        """Bounds of a tensor where its 32 bits are read as a number."""
        bounds = self.get(tensor)
        if self.graph.dtype(tensor) == "int32":
            self.settle(bounds, reader)
        return bounds

    def settle(self, bounds: _Bounds, reader: str) -> None:
        peak = max(abs(int(bounds.low.min(initial=0))), abs(int(bounds.high.max(initial=0))))
        self.report.largest = max(self.report.largest, peak)
        if not bounds.fits_int32:
            self.report.problems.append(f"{reader} can read {peak}, more than 31 bits")

    # The walk

    def run(self) -> IntervalReport:
        for number, op in enumerate(self.graph.operators):
            outputs = [int(t) for t in op.outputs]
            rule = getattr(self, f"rule_{self.graph.name(op).lower()}", None)
            label = f"operator {number} ({self.graph.name(op)})"
            computed = None
            if rule is not None and all(
                np.issubdtype(self.graph.dtype(t), np.integer) for t in [*outputs, int(op.inputs[0])]
            ):
                computed = rule(op, label)
            elif any(self.graph.dtype(t) == "int32" for t in outputs):
                self.report.problems.append(f"{label} makes int32 values that this analysis cannot follow")
            for k, tensor in enumerate(outputs):
                self.bounds[tensor] = computed[k] if computed else self.whole_range(tensor)
                self.report.checked += self.graph.dtype(tensor) == "int32"
        for tensor in self.graph.outputs:
            self.settled(int(tensor), "an output")
        return self.report

    # Ring operations

    def ring(self, op: Any, label: str, low: Array, high: Array, zero_bits: int) -> list[_Bounds]:
        result = _Bounds(low, high, zero_bits)
        if op.builtinOptions.fusedActivationFunction:  # RELU: the only one that is used
            self.settle(result, label)
            result = _Bounds(np.maximum(low, 0), np.maximum(high, 0), zero_bits)
        return [result]

    def rule_add(self, op: Any, label: str) -> list[_Bounds] | None:
        if self.graph.dtype(int(op.outputs[0])) != "int32":
            return None
        a, b = (self.get(t) for t in self.graph.operands(op))
        blend = self.blend(op)
        if blend is not None:
            return self.ring(op, label, *blend, 0)
        return self.ring(op, label, a.low + b.low, a.high + b.high, min(a.zero_bits, b.zero_bits))

    def rule_sub(self, op: Any, label: str) -> list[_Bounds] | None:
        if self.graph.dtype(int(op.outputs[0])) != "int32":
            return None
        x, y = self.graph.operands(op)
        a, b = self.get(x), self.get(y)
        if self.graph.is_low_byte(y, x):
            return self.ring(op, label, a.low & ~0xFF, a.high & ~0xFF, 8)
        divisor = self.graph.divisor_of_multiple(y, x)
        if divisor is not None and a.low.min() >= 0:
            return self.ring(op, label, np.zeros_like(a.low), np.minimum(a.high, self.get(divisor).high - 1), 0)
        return self.ring(op, label, a.low - b.high, a.high - b.low, min(a.zero_bits, b.zero_bits))

    def rule_mul(self, op: Any, label: str) -> list[_Bounds] | None:
        if self.graph.dtype(int(op.outputs[0])) != "int32":
            return None
        a, b = (self.get(t) for t in self.graph.operands(op))
        products = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
        low, high = np.minimum.reduce(products), np.maximum.reduce(products)
        return self.ring(op, label, low, high, a.zero_bits + b.zero_bits)

    def blend(self, op: Any) -> tuple[Array, Array] | None:
        """Bounds of a·w + b·(256 - w): 256 times those of a and b together."""
        first, second = (self.graph.made_by(t, "MUL") for t in self.graph.operands(op))
        if not (first and second):
            return None
        (a, w), (b, v) = self.graph.operands(first), self.graph.operands(second)
        (w_base, w_path), (v_base, v_path) = self.graph.unmoved(w), self.graph.unmoved(v)
        complement = self.graph.made_by(w_base, "SUB")
        if not complement or int(complement.inputs[1]) != v_base or w_path != v_path:
            return None
        total, weight = self.get(int(complement.inputs[0])), self.get(v_base)
        whole = int(total.high.max())
        if total.low.min() != whole or weight.low.min() < 0 or weight.high.max() > whole:
            return None
        p, q = self.get(a), self.get(b)
        return np.minimum(p.low, q.low) * whole, np.maximum(p.high, q.high) * whole

    # Other arithmetic

    def rule_sum(self, op: Any, label: str) -> list[_Bounds]:
        a = self.settled(int(op.inputs[0]), label)
        axes = self.graph.constant(int(op.inputs[1]))
        axis = tuple(int(k) for k in np.atleast_1d(axes)) if axes is not None else None
        # Any partial sum, in any order, lies between these.
        partial = _Bounds(np.minimum(a.low, 0).sum(axis=axis), np.maximum(a.high, 0).sum(axis=axis))
        self.settle(partial, label)
        return [_Bounds(a.low.sum(axis=axis), a.high.sum(axis=axis))]

    def rule_right_shift(self, op: Any, label: str) -> list[_Bounds]:
        a, bits = self.settled(int(op.inputs[0]), label), self.get(int(op.inputs[1]))
        return [_Bounds(a.low >> bits.low, a.high >> bits.low)]

    def rule_minimum(self, op: Any, label: str) -> list[_Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        return [_Bounds(np.minimum(a.low, b.low), np.minimum(a.high, b.high))]

    def rule_maximum(self, op: Any, label: str) -> list[_Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        return [_Bounds(np.maximum(a.low, b.low), np.maximum(a.high, b.high))]

    def rule_div(self, op: Any, label: str) -> list[_Bounds]:
        a, b = (self.settled(t, label) for t in self.graph.operands(op))
        if b.low.min() < 1 or a.low.min() < 0:
            self.report.problems.append(
                f"{label} divides {a.low.min()} … by {b.low.min()} …: only positive numbers are"
            )
            return [self.whole_range(int(op.outputs[0]))]
        return [_Bounds(a.low // b.high, a.high // b.low)]

    def rule_cast(self, op: Any, label: str) -> list[_Bounds]:
        a = self.settled(int(op.inputs[0]), label)
        whole = self.whole_range(int(op.outputs[0]))
        inside = a.low.min(initial=0) >= whole.low.min(initial=0) and a.high.max(initial=0) <= whole.high.max(initial=0)
        return [a if inside else whole]

    def rule_fill(self, op: Any, label: str) -> list[_Bounds]:
        value = self.get(int(op.inputs[1]))
        return [value.apply(lambda v: np.broadcast_to(v, self.graph.shape(int(op.outputs[0]))))]

    def rule_gather(self, op: Any, label: str) -> list[_Bounds]:
        table, index = (self.settled(t, label) for t in self.graph.operands(op))
        rows = table.low.shape[0]
        low, high = int(index.low.min()), int(index.high.max())
        self.report.gathers.append((high, rows))
        if low < 0 or high >= rows:
            self.report.problems.append(f"{label} can read rows {low} … {high} of a table of {rows}")
        shape = self.graph.shape(int(op.outputs[0]))
        return [_Bounds(np.broadcast_to(table.low.min(axis=0), shape), np.broadcast_to(table.high.max(axis=0), shape))]

    # Movements

    def rule_reshape(self, op: Any, label: str) -> list[_Bounds]:
        return [self.get(int(op.inputs[0])).apply(lambda v: v.reshape(self.graph.shape(int(op.outputs[0]))))]

    def rule_transpose(self, op: Any, label: str) -> list[_Bounds] | None:
        axes = self.graph.constant(int(op.inputs[1]))
        return None if axes is None else [self.get(int(op.inputs[0])).apply(lambda v: v.transpose(axes))]

    def rule_tile(self, op: Any, label: str) -> list[_Bounds] | None:
        times = self.graph.constant(int(op.inputs[1]))
        return (
            None
            if times is None
            else [self.get(int(op.inputs[0])).apply(lambda v: np.tile(v, [int(t) for t in times]))]
        )

    def rule_slice(self, op: Any, label: str) -> list[_Bounds] | None:
        begin = self.graph.constant(int(op.inputs[1]))
        if begin is None:
            return None
        block = tuple(
            slice(int(b), int(b) + n) for b, n in zip(begin, self.graph.shape(int(op.outputs[0])), strict=True)
        )
        return [self.get(int(op.inputs[0])).apply(lambda v: v[block])]

    def rule_split(self, op: Any, label: str) -> list[_Bounds]:
        a, parts = self.get(int(op.inputs[1])), len(op.outputs)
        pairs = zip(np.split(a.low, parts), np.split(a.high, parts), strict=True)
        return [_Bounds(low, high, a.zero_bits) for low, high in pairs]

    def rule_concatenation(self, op: Any, label: str) -> list[_Bounds] | None:
        if self.graph.dtype(int(op.outputs[0])) != "int32":
            return None
        parts, axis = [self.get(t) for t in self.graph.operands(op)], op.builtinOptions.axis
        low, high = (np.concatenate([getattr(p, side) for p in parts], axis) for side in ("low", "high"))
        return [_Bounds(low, high, min(p.zero_bits for p in parts))]

    def rule_bitcast(self, op: Any, label: str) -> list[_Bounds]:
        self.settled(int(op.inputs[0]), label)
        shifted = self.shifted_right_one_byte(op)
        return [shifted or self.whole_range(int(op.outputs[0]))]

    def shifted_right_one_byte(self, op: Any) -> _Bounds | None:
        """Bounds of Z >> 8 if this BITCAST ends that sequence for non-negative multiples of 256."""
        tensor = self.graph.source_of_byte_shift(op)
        if tensor is None:
            return None
        source = self.get(tensor)
        if self.graph.dtype(tensor) != "int32" or self.graph.dtype(int(op.outputs[0])) != "int32":
            return None
        if source.zero_bits < 8 or source.low.min() < 0 or source.low.shape != self.graph.shape(int(op.outputs[0])):
            return None
        return _Bounds(source.low >> 8, source.high >> 8)
