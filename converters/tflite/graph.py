"""The operators that integer head, grid and sampler are built from.

Each version is the oldest that has the operand types used here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.tflite.builder import FlatbufferBuilder, Quantization, Tensor
from stn_rectify.converters.tflite.object_tree import TYPE_CODES

#: Elements of a factor for which one more operator pays.
_LARGE = 4096


class FlatbufferGraph(FlatbufferBuilder):
    """A flatbuffer to which operators are appended; each method appends one and returns its output."""

    def add(self, a: Tensor, b: Tensor, *, relu: bool = False) -> Tensor:
        """a + b; int32 addition wraps, and a fused RELU costs nothing."""
        return self._arithmetic("ADD", a, b, relu)

    def subtract(self, a: Tensor, b: Tensor, *, relu: bool = False) -> Tensor:
        """a - b, with or without a fused RELU."""
        return self._arithmetic("SUB", a, b, relu)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """a · b, element by element; the low 32 bits of int32, the low 64 bits of int64."""
        return self._arithmetic("MUL", a, b, False)

    def kept(self, a: Tensor) -> Tensor:
        """``a`` itself, a large factor that nothing but one product reads: one number of it is read once more.

        Otherwise tflite-runtime 2.14 writes a product of int32 over the factor, and for that takes a loop that is not
        vectorized: 11 instead of 2.5 instructions an element on arm64.
        """
        if a.size >= _LARGE:
            self.slice(a, (0,) * len(a.shape), (1,) * len(a.shape))
        return a

    def divide(self, a: Tensor, b: Tensor) -> Tensor:
        """a / b of int32, rounded towards zero."""
        out = self.new_tensor(a.shape, a.dtype)
        return self.emit("DIV", [a, b], out, "DivOptions", fusedActivationFunction=0)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller of each pair; dear, for vectors only."""
        return self.emit("MINIMUM", [a, b], self._broadcast(a, b), "MaximumMinimumOptions")

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """The larger of each pair; dear, for vectors only."""
        return self.emit("MAXIMUM", [a, b], self._broadcast(a, b), "MaximumMinimumOptions")

    def shift_right(self, a: Tensor, bits: int | npt.ArrayLike) -> Tensor:
        """Arithmetic shift, by one count or one count an element; dear, for vectors only."""
        counts = self.constant(np.broadcast_to(np.asarray(bits), a.shape))
        return self.emit("RIGHT_SHIFT", [a, counts], self.new_tensor(a.shape, a.dtype))

    def shift_right_all(self, a: Tensor, bits: int) -> Tensor:
        """Arithmetic shift of a large tensor by one count, which costs 4 bytes in the file."""
        return self.emit("RIGHT_SHIFT", [a, self.fill(a.shape, bits)], self.new_tensor(a.shape, a.dtype))

    def sum(self, a: Tensor, axis: int) -> Tensor:
        """Sum over one axis, which disappears."""
        shape = [n for k, n in enumerate(a.shape) if k != axis]
        out = self.new_tensor(shape, a.dtype)
        return self.emit("SUM", [a, self.constant([axis])], out, "ReducerOptions", keepDims=False)

    def cast(self, a: Tensor, dtype: str, quantization: Quantization | None = None) -> Tensor:
        """Change of dtype; to a narrower one the low bits are kept."""
        out = self.new_tensor(a.shape, dtype, quantization)
        return self.emit("CAST", [a], out, "CastOptions", inDataType=TYPE_CODES[a.dtype], outDataType=TYPE_CODES[dtype])

    def bitcast(self, a: Tensor, shape: Sequence[int], dtype: str) -> Tensor:
        """The same bytes as another dtype (little-endian on every target)."""
        return self.emit("BITCAST", [a], self.new_tensor(shape, dtype))

    def reshape(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        """The same elements in another shape."""
        if a.shape == tuple(shape):
            return a
        out = self.new_tensor(shape, a.dtype, a.quantization)
        return self.emit("RESHAPE", [a, self.constant(list(shape))], out, "ReshapeOptions", newShape=list(shape))

    def transpose(self, a: Tensor, order: Sequence[int] = (1, 0)) -> Tensor:
        """The axes in another order: [M, N] → [N, M] if none is given."""
        out = self.new_tensor([a.shape[axis] for axis in order], a.dtype, a.quantization)
        return self.emit("TRANSPOSE", [a, self.constant(list(order))], out, "TransposeOptions", int8=2)

    def tile(self, a: Tensor, multiples: Sequence[int]) -> Tensor:
        """Repeats along each axis."""
        if set(multiples) == {1}:
            return a
        out = self.new_tensor([n * m for n, m in zip(a.shape, multiples, strict=True)], a.dtype)
        return self.emit("TILE", [a, self.constant(list(multiples))], out)

    def fill(self, shape: Sequence[int], value: int) -> Tensor:
        """An int32 tensor of one value, made at run time: 4 bytes in the file instead of a buffer."""
        key = ("fill", tuple(shape), value)
        if key not in self._constants:
            out = self.new_tensor(shape, "int32")
            operands = [self.constant(list(shape)), self.constant(value)]
            self._constants[key] = self.emit("FILL", operands, out, "FillOptions")
        return self._constants[key]

    def slice(self, a: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
        """A block of ``a``."""
        out = self.new_tensor(size, a.dtype, a.quantization)
        operands = [a, self.constant(list(begin)), self.constant(list(size))]
        return self.emit("SLICE", operands, out, "SliceOptions", int8=2)

    def split(self, a: Tensor, parts: int) -> list[Tensor]:
        """Equal parts along the first axis."""
        shape = (a.shape[0] // parts, *a.shape[1:])
        outputs = [self.new_tensor(shape, a.dtype) for _ in range(parts)]
        self.emit_many("SPLIT", [self.constant(0), a], outputs, "SplitOptions", numSplits=parts)
        return outputs

    def concatenate(self, parts: Sequence[Tensor]) -> Tensor:
        """Joins along the first axis."""
        shape = (sum(p.shape[0] for p in parts), *parts[0].shape[1:])
        out = self.new_tensor(shape, parts[0].dtype)
        return self.emit(
            "CONCATENATION",
            list(parts),
            out,
            "ConcatenationOptions",
            int8=2,
            axis=0,
            fusedActivationFunction=0,
        )

    def pad(self, a: Tensor, padding: Sequence[tuple[int, int]], value: int) -> Tensor:
        """A margin of ``value``, (before, after) for each axis."""
        shape = [n + before + after for n, (before, after) in zip(a.shape, padding, strict=True)]
        out = self.new_tensor(shape, a.dtype, a.quantization)
        margin = self.constant([value], a.dtype, a.quantization)
        return self.emit("PADV2", [a, self.constant([list(p) for p in padding]), margin], out, "PadV2Options", int8=2)

    def gather(self, table: Tensor, rows: Tensor, quantization: Quantization | None = None) -> Tensor:
        """Rows of ``table``; ``quantization`` is what they mean."""
        out = self.new_tensor((*rows.shape, *table.shape[1:]), table.dtype, quantization)
        return self.emit("GATHER", [table, rows], out, "GatherOptions", axis=0, batchDims=0)

    def _broadcast(self, a: Tensor, b: Tensor) -> Tensor:
        return self.new_tensor(np.broadcast_shapes(a.shape, b.shape), a.dtype)

    def _arithmetic(self, name: str, a: Tensor, b: Tensor, relu: bool) -> Tensor:
        out = self._broadcast(a, b)
        version = 5 if (name, a.dtype) == ("MUL", "int64") else 1
        self.emit_many(name, [a, b], [out], f"{name.title()}Options", version, fusedActivationFunction=int(relu))
        return out
