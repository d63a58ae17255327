"""Building and extending a TensorFlow Lite flatbuffer, operator by operator.

Only what the integer head, grid and sampler need. Option tables and versions follow the schema that comes with
TensorFlow (``tensorflow/lite/schema/schema.fbs``); each version is the oldest that has the operand types used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.flatbuffer_model import DTYPES, TYPE_CODES, read_model, write_model
from stn_rectify.converters.schema import schema

__all__ = ["FlatbufferGraph", "Quantization", "Tensor"]

#: Elements of a factor for which one more operator pays.
_LARGE = 4096


@dataclass(frozen=True)
class Quantization:
    """Per-tensor quantization: real = (value - zero_point) · scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph under construction."""

    index: int
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class FlatbufferGraph:
    """The first subgraph of a model, new or read, to which operators are appended in the order they run."""

    def __init__(self, flatbuffer: bytes | None = None) -> None:
        if flatbuffer is None:
            self.model = schema.ModelT()
            self.model.version = 3
            self.model.operatorCodes = []
            self.model.buffers = [schema.BufferT()]
            self.model.subgraphs = [schema.SubGraphT()]
            self._graph = self.model.subgraphs[0]
            for field in ("tensors", "operators", "inputs", "outputs"):
                setattr(self._graph, field, [])
        else:
            self.model = read_model(flatbuffer)
            self._graph = self.model.subgraphs[0]
        self._constants: dict[tuple[Any, ...], Tensor] = {}

    # Tensors

    def tensor(self, index: int) -> Tensor:
        """An existing tensor."""
        t = self._graph.tensors[index]
        q = t.quantization
        quantization = None
        if q is not None and q.scale is not None and len(q.scale) == 1:
            quantization = Quantization(float(q.scale[0]), int(q.zeroPoint[0]))
        return Tensor(index, tuple(int(n) for n in t.shape), DTYPES[t.type], quantization)

    def new_tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        quantization: Quantization | None = None,
        *,
        name: str | None = None,
        buffer: int = 0,
    ) -> Tensor:
        """A tensor that an operator (or, with ``buffer``, a constant) fills."""
        t = schema.TensorT()
        t.shape = [int(n) for n in shape]
        t.type = TYPE_CODES[dtype]
        t.buffer = buffer
        t.name = name or f"stn/{len(self._graph.tensors)}"
        if quantization is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = [quantization.scale]
            t.quantization.zeroPoint = [quantization.zero_point]
        self._graph.tensors.append(t)
        return Tensor(len(self._graph.tensors) - 1, tuple(t.shape), dtype, quantization)

    def rename(self, tensor: Tensor, name: str) -> None:
        """Gives a tensor a name to find it by in the written file."""
        self._graph.tensors[tensor.index].name = name

    def input(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        """A new graph input."""
        t = self.new_tensor(shape, dtype, quantization)
        self._graph.inputs = [*self._graph.inputs, t.index]
        return t

    def constant(self, values: npt.ArrayLike, dtype: str = "int32", quantization: Quantization | None = None) -> Tensor:
        """A constant; equal constants share one buffer.

        Raises:
            OverflowError: a value does not fit ``dtype``.
        """
        wide = np.asarray(values)
        array = np.ascontiguousarray(wide.astype(dtype)).reshape(wide.shape)
        if not np.array_equal(array, wide):
            raise OverflowError(f"constant does not fit {dtype}: {wide.min()} … {wide.max()}")
        key = (array.tobytes(), array.shape, dtype, quantization)
        if key not in self._constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            index = len(self.model.buffers) - 1
            self._constants[key] = self.new_tensor(array.shape, dtype, quantization, buffer=index)
        return self._constants[key]

    # Operators: each returns its output

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
        return self._emit("DIV", [a, b], out, "DivOptions", fusedActivationFunction=0)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller of each pair; dear, for vectors only."""
        return self._emit("MINIMUM", [a, b], self._broadcast(a, b), "MaximumMinimumOptions")

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """The larger of each pair; dear, for vectors only."""
        return self._emit("MAXIMUM", [a, b], self._broadcast(a, b), "MaximumMinimumOptions")

    def shift_right(self, a: Tensor, bits: int | npt.ArrayLike) -> Tensor:
        """Arithmetic shift, by one count or one count an element; dear, for vectors only."""
        counts = self.constant(np.broadcast_to(np.asarray(bits), a.shape))
        return self._emit("RIGHT_SHIFT", [a, counts], self.new_tensor(a.shape, a.dtype))

    def shift_right_all(self, a: Tensor, bits: int) -> Tensor:
        """Arithmetic shift of a large tensor by one count, which costs 4 bytes in the file."""
        return self._emit("RIGHT_SHIFT", [a, self.fill(a.shape, bits)], self.new_tensor(a.shape, a.dtype))

    def sum(self, a: Tensor, axis: int) -> Tensor:
        """Sum over one axis, which disappears."""
        shape = [n for k, n in enumerate(a.shape) if k != axis]
        out = self.new_tensor(shape, a.dtype)
        return self._emit("SUM", [a, self.constant([axis])], out, "ReducerOptions", keepDims=False)

    def cast(self, a: Tensor, dtype: str, quantization: Quantization | None = None) -> Tensor:
        """Change of dtype; to a narrower one the low bits are kept."""
        out = self.new_tensor(a.shape, dtype, quantization)
        return self._emit(
            "CAST", [a], out, "CastOptions", inDataType=TYPE_CODES[a.dtype], outDataType=TYPE_CODES[dtype]
        )

    def bitcast(self, a: Tensor, shape: Sequence[int], dtype: str) -> Tensor:
        """The same bytes as another dtype (little-endian on every target)."""
        return self._emit("BITCAST", [a], self.new_tensor(shape, dtype))

    def reshape(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        """The same elements in another shape."""
        if a.shape == tuple(shape):
            return a
        out = self.new_tensor(shape, a.dtype, a.quantization)
        return self._emit("RESHAPE", [a, self.constant(list(shape))], out, "ReshapeOptions", newShape=list(shape))

    def transpose(self, a: Tensor, order: Sequence[int] = (1, 0)) -> Tensor:
        """The axes in another order: [M, N] → [N, M] if none is given."""
        out = self.new_tensor([a.shape[axis] for axis in order], a.dtype, a.quantization)
        return self._emit("TRANSPOSE", [a, self.constant(list(order))], out, "TransposeOptions", int8=2)

    def tile(self, a: Tensor, multiples: Sequence[int]) -> Tensor:
        """Repeats along each axis."""
        if set(multiples) == {1}:
            return a
        out = self.new_tensor([n * m for n, m in zip(a.shape, multiples, strict=True)], a.dtype)
        return self._emit("TILE", [a, self.constant(list(multiples))], out)

    def fill(self, shape: Sequence[int], value: int) -> Tensor:
        """An int32 tensor of one value, made at run time: 4 bytes in the file instead of a buffer."""
        key = ("fill", tuple(shape), value)
        if key not in self._constants:
            out = self.new_tensor(shape, "int32")
            operands = [self.constant(list(shape)), self.constant(value)]
            self._constants[key] = self._emit("FILL", operands, out, "FillOptions")
        return self._constants[key]

    def slice(self, a: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
        """A block of ``a``."""
        out = self.new_tensor(size, a.dtype, a.quantization)
        operands = [a, self.constant(list(begin)), self.constant(list(size))]
        return self._emit("SLICE", operands, out, "SliceOptions", int8=2)

    def split(self, a: Tensor, parts: int) -> list[Tensor]:
        """Equal parts along the first axis."""
        shape = (a.shape[0] // parts, *a.shape[1:])
        outputs = [self.new_tensor(shape, a.dtype) for _ in range(parts)]
        self._emit_many("SPLIT", [self.constant(0), a], outputs, "SplitOptions", numSplits=parts)
        return outputs

    def concatenate(self, parts: Sequence[Tensor]) -> Tensor:
        """Joins along the first axis."""
        shape = (sum(p.shape[0] for p in parts), *parts[0].shape[1:])
        out = self.new_tensor(shape, parts[0].dtype)
        return self._emit(
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
        return self._emit("PADV2", [a, self.constant([list(p) for p in padding]), margin], out, "PadV2Options", int8=2)

    def gather(self, table: Tensor, rows: Tensor) -> Tensor:
        """Rows of ``table``."""
        out = self.new_tensor((*rows.shape, *table.shape[1:]), table.dtype)
        return self._emit("GATHER", [table, rows], out, "GatherOptions", axis=0, batchDims=0)

    # Parts of another model

    def add_buffers(self, buffers: Sequence[Any]) -> list[int]:
        """Adds another model's buffers; returns their places, the first (empty) one being ours."""
        first = len(self.model.buffers)
        self.model.buffers += buffers[1:]
        return [0, *range(first, len(self.model.buffers))]

    def add_tensor(self, tensor: Any) -> int:
        """Adds another model's tensor (``TensorT``), its buffer being one of ours; returns its place."""
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def add_operator(self, operator: Any) -> None:
        """Adds another model's operator (``OperatorT``), its operands and code being ours."""
        self._graph.operators.append(operator)

    def operator_code(self, code: Any) -> int:
        """The place of an operator code (``OperatorCodeT``), added if it is new."""
        value = max(code.builtinCode, code.deprecatedBuiltinCode)
        for index, ours in enumerate(self.model.operatorCodes):
            known = max(ours.builtinCode, ours.deprecatedBuiltinCode), ours.version, ours.customCode
            if known == (value, code.version, code.customCode):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    # The finished file

    def finish(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> bytes:
        """The flatbuffer, with a SignatureDef ``serving_default`` that names inputs and outputs."""
        for named in (inputs, outputs):
            for name, tensor in named.items():
                self.rename(tensor, name)
        self._graph.inputs = [t.index for t in inputs.values()]
        self._graph.outputs = [t.index for t in outputs.values()]
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [self._tensor_map(n, t) for n, t in inputs.items()]
        signature.outputs = [self._tensor_map(n, t) for n, t in outputs.items()]
        self.model.signatureDefs = [signature]
        self.model.description = "stn-rectify: all-integer Spatial Transformer Network"
        self.model.metadata = None  # the trunk's own notes of its conversion are no longer true
        self._drop_unused_buffers()
        return write_model(self.model)

    @staticmethod
    def _tensor_map(name: str, tensor: Tensor) -> Any:
        entry = schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = tensor.index
        return entry

    def _drop_unused_buffers(self) -> None:
        used = {0} | {t.buffer for graph in self.model.subgraphs for t in graph.tensors}
        kept = sorted(used)
        place = {old: new for new, old in enumerate(kept)}
        self.model.buffers = [self.model.buffers[k] for k in kept]
        for graph in self.model.subgraphs:
            for t in graph.tensors:
                t.buffer = place[t.buffer]

    # Emission

    def _broadcast(self, a: Tensor, b: Tensor) -> Tensor:
        return self.new_tensor(np.broadcast_shapes(a.shape, b.shape), a.dtype)

    def _arithmetic(self, name: str, a: Tensor, b: Tensor, relu: bool) -> Tensor:
        out = self._broadcast(a, b)
        version = 5 if (name, a.dtype) == ("MUL", "int64") else 1
        self._emit_many(name, [a, b], [out], f"{name.title()}Options", version, fusedActivationFunction=int(relu))
        return out

    def _emit(
        self,
        name: str,
        operands: list[Tensor],
        output: Tensor,
        options: str | None = None,
        *,
        int8: int = 1,
        **fields: Any,
    ) -> Tensor:
        """Appends an operator; ``int8`` is its version when the first operand is int8, else it is version 1."""
        self._emit_many(name, operands, [output], options, int8 if operands[0].dtype == "int8" else 1, **fields)
        return output

    def _emit_many(
        self,
        name: str,
        operands: list[Tensor],
        outputs: list[Tensor],
        options: str | None,
        version: int = 1,
        **fields: Any,
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._operator_code(name, version)
        operator.inputs = [t.index for t in operands]
        operator.outputs = [t.index for t in outputs]
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        self._graph.operators.append(operator)

    def _operator_code(self, name: str, version: int) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        return self.operator_code(code)
