"""A TensorFlow Lite flatbuffer under construction: tensors, constants, operators, the finished file.

Option tables and versions follow the schema that comes with TensorFlow (``tensorflow/lite/schema/schema.fbs``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.tflite.object_tree import DTYPES, TYPE_CODES, operator_name, read_model, schema, write_model
from stn_rectify.runtime.model.model_file import SIGNATURE

#: Operators whose output has the levels of their input, in another order or shape.
_MOVING = ("RESHAPE", "TRANSPOSE")


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


class FlatbufferBuilder:
    """The first subgraph of a model, new or read; operators are added in the order they run."""

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

    def name(self, tensor: Tensor) -> str:
        """The name of a tensor, by which it is found in the written file."""
        name = self._graph.tensors[tensor.index].name
        return name.decode() if isinstance(name, bytes) else str(name)

    def requantize(self, tensor: Tensor, quantization: Quantization) -> Tensor:
        """Lets the same levels of a tensor mean other numbers, and those of what they are only moved from.

        A TRANSPOSE or RESHAPE whose two ends differ in the last bits of their scales, ai-edge-litert refuses.
        """
        parameters = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = [quantization.scale], [quantization.zero_point]
        self._graph.tensors[tensor.index].quantization = parameters
        for operator in self._graph.operators:
            moves = operator_name(self.model.operatorCodes[operator.opcodeIndex]) in _MOVING
            source = int(operator.inputs[0])
            if moves and tensor.index in operator.outputs and self._graph.tensors[source].quantization is not None:
                self.requantize(self.tensor(source), quantization)
        return Tensor(tensor.index, tensor.shape, tensor.dtype, quantization)

    def input(self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None) -> Tensor:
        """A new graph input."""
        t = self.new_tensor(shape, dtype, quantization)
        self._graph.inputs = [*self._graph.inputs, t.index]
        return t

    def constant(self, values: npt.ArrayLike, dtype: str = "int32", quantization: Quantization | None = None) -> Tensor:
        """A constant; equal constants share one buffer.

        Raises:
            OverflowError: if a value does not fit ``dtype``.
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

    # Operators

    def emit(
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
        self.emit_many(name, operands, [output], options, int8 if operands[0].dtype == "int8" else 1, **fields)
        return output

    def emit_many(
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
            identity = max(ours.builtinCode, ours.deprecatedBuiltinCode), ours.version, ours.customCode
            if identity == (value, code.version, code.customCode):
                return index
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def replace(self, tensor: Tensor, by: Tensor) -> None:
        """Lets all operators read another tensor instead of one."""
        for operator in self._graph.operators:
            operator.inputs = [by.index if int(t) == tensor.index else int(t) for t in operator.inputs]

    def sort_operators(self) -> None:
        """Brings the operators into an order in which each runs after those that it reads; else as they were added."""
        operators = self._graph.operators
        makers = {int(t): number for number, op in enumerate(operators) for t in op.outputs}
        ordered: list[int] = []
        placed: set[int] = set()
        for first in range(len(operators)):
            waiting = [first]
            while waiting:
                number = waiting[-1]
                sources = {makers[int(t)] for t in operators[number].inputs if int(t) in makers} - placed
                if number in placed:
                    waiting.pop()
                elif sources:
                    waiting += sorted(sources, reverse=True)
                else:
                    placed.add(number)
                    ordered.append(waiting.pop())
        self._graph.operators = [operators[number] for number in ordered]

    # The finished file

    def finish(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> bytes:
        """The flatbuffer, with a SignatureDef ``serving_default`` that names inputs and outputs."""
        for named in (inputs, outputs):
            for name, tensor in named.items():
                self.rename(tensor, name)
        self._graph.inputs = [t.index for t in inputs.values()]
        self._graph.outputs = [t.index for t in outputs.values()]
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.subgraphIndex = 0
        signature.inputs = [self._tensor_map(n, t) for n, t in inputs.items()]
        signature.outputs = [self._tensor_map(n, t) for n, t in outputs.items()]
        self.model.signatureDefs = [signature]
        self.model.description = "stn-rectify: all-integer Spatial Transformer Network"
        self.model.metadata = None  # the trunk's own notes of its conversion are no longer true
        self.drop_unused_buffers()
        return write_model(self.model)

    @staticmethod
    def _tensor_map(name: str, tensor: Tensor) -> Any:
        entry = schema.TensorMapT()
        entry.name = name
        entry.tensorIndex = tensor.index
        return entry

    def drop_unused_buffers(self) -> None:
        """Leaves out the buffers that no tensor and no note of the model is in; the first is empty, by the format."""
        owners = [t for graph in self.model.subgraphs for t in graph.tensors] + list(self.model.metadata or [])
        kept = sorted({0, *(int(owner.buffer) for owner in owners)})
        place = {old: new for new, old in enumerate(kept)}
        self.model.buffers = [self.model.buffers[k] for k in kept]
        for owner in owners:
            owner.buffer = place[int(owner.buffer)]
