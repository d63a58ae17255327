"""Reads what a TensorFlow Lite flatbuffer says about itself, before any interpreter trusts it.

A small read-only walk through the tables of TensorFlow's ``schema.fbs`` (version 3) that are needed here.
Every position is checked against the buffer's length, so a damaged file gives an error and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stn_rectify.runtime.errors import DataError

#: ``BuiltinOperator.CUSTOM``: the operator's name is its custom code. Flex operators are custom ones as well.
CUSTOM_OPERATOR = 32

_IDENTIFIER = b"TFL3"
# By their numbers in ``TensorType``.
# fmt: off
_TENSOR_TYPES = (
    "FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "STRING", "BOOL", "INT16", "COMPLEX64", "INT8",
    "FLOAT64", "COMPLEX128", "UINT64", "RESOURCE", "VARIANT", "UINT32", "UINT16", "INT4", "BFLOAT16",
)
# fmt: on


@dataclass(frozen=True)
class OperatorCode:
    """One kind of operator in the graph: its number in ``BuiltinOperator``, version, and name if custom."""

    builtin: int
    version: int
    custom: str


@dataclass(frozen=True)
class Tensor:
    """A tensor's name, type (``"INT8"``, ``"FLOAT32"``, …), shape and quantization.

    Its values are ``scale`` · (level - ``zero_point``); scale is 0 if it has none, or one for each channel.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Operator:
    """An operator at its place in a subgraph; inputs and outputs are positions among the tensors, -1 for none."""

    code: OperatorCode
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Subgraph:
    """A subgraph's tensors, and its operators in the order they run; inputs and outputs are positions of tensors."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Signature:
    """A SignatureDef: names of a subgraph's inputs and outputs → tensor position."""

    key: str
    subgraph: int
    inputs: dict[str, int]
    outputs: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """The content that a flatbuffer declares."""

    operators: tuple[OperatorCode, ...]
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]


def read_flatbuffer(buffer: bytes) -> Graph:
    """Reads operators, tensors and signatures.

    Raises:
        DataError: if it is no TensorFlow Lite flatbuffer, or is damaged.
    """
    if buffer[4:8] != _IDENTIFIER:
        raise DataError("not a TensorFlow Lite file (the letters TFL3 are missing at byte 4)")
    model = _Table(buffer, _number(buffer, "<I", 0))
    codes = tuple(_operator_code(table) for table in model.tables(1))
    return Graph(
        operators=codes,
        subgraphs=tuple(_subgraph(table, codes) for table in model.tables(2)),
        signatures=tuple(_signature(table) for table in model.tables(7)),
    )


def _operator_code(table: _Table) -> OperatorCode:
    # Slot 0 is the byte that numbers below 127 used to be stored in; the larger of both is valid.
    builtin = max(table.number(0, "<b"), table.number(3, "<i"))
    return OperatorCode(builtin, table.number(2, "<i", 1), table.text(1))


def _subgraph(table: _Table, codes: tuple[OperatorCode, ...]) -> Subgraph:
    subgraph = Subgraph(
        tensors=tuple(_tensor(t) for t in table.tables(0)),
        inputs=table.integers(1),
        outputs=table.integers(2),
        operators=tuple(_operator(t, codes) for t in table.tables(3)),
    )
    ends = [*subgraph.inputs, *subgraph.outputs, *(k for op in subgraph.operators for k in (*op.inputs, *op.outputs))]
    wrong = [k for k in ends if not -1 <= k < len(subgraph.tensors)]  # -1: an operand that is left out
    if wrong or -1 in (*subgraph.inputs, *subgraph.outputs):
        raise DataError(f"damaged: it names tensor {wrong[0] if wrong else -1} of {len(subgraph.tensors)}")
    return subgraph


def _operator(table: _Table, codes: tuple[OperatorCode, ...]) -> Operator:
    index = table.number(0, "<I")
    if index >= len(codes):
        raise DataError(f"damaged: an operator is number {index} of {len(codes)} kinds")
    return Operator(codes[index], table.integers(1), table.integers(2))


def _tensor(table: _Table) -> Tensor:
    code = table.number(1, "<b")
    dtype = _TENSOR_TYPES[code] if 0 <= code < len(_TENSOR_TYPES) else f"TYPE_{code}"
    quantization = table.table(4)
    scales = () if quantization is None else quantization.vector(2, "f")
    zero_points = () if quantization is None else quantization.vector(3, "q")
    scale, zero_point = (scales[0], zero_points[0]) if len(scales) == len(zero_points) == 1 else (0.0, 0)
    return Tensor(table.text(3), dtype, table.integers(0), float(scale), int(zero_point))


def _signature(table: _Table) -> Signature:
    inputs, outputs = ({m.text(0): m.number(1, "<I") for m in table.tables(slot)} for slot in (0, 1))
    return Signature(table.text(2), table.number(4, "<I"), inputs, outputs)


def _number(buffer: bytes, layout: str, position: int) -> int:
    if not 0 <= position <= len(buffer) - struct.calcsize(layout):
        raise DataError(f"damaged: points to byte {position} of {len(buffer)}")
    return int(struct.unpack_from(layout, buffer, position)[0])


@dataclass(frozen=True)
class _Table:
    """A flatbuffer table: a signed offset back to its vtable, which has a 16-bit offset per field slot."""

    buffer: bytes
    position: int

    def number(self, slot: int, layout: str, default: int = 0) -> int:
        position = self._field(slot)
        return default if position is None else _number(self.buffer, layout, position)

    def text(self, slot: int) -> str:
        start, length = self._vector(slot, item_bytes=1)
        return self.buffer[start : start + length].decode("utf-8", "replace")

    def integers(self, slot: int) -> tuple[int, ...]:
        return self.vector(slot, "i")

    def vector(self, slot: int, code: str) -> tuple[Any, ...]:
        """Numbers of one of `struct`'s format characters."""
        start, length = self._vector(slot, item_bytes=struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{length}{code}", self.buffer, start)

    def table(self, slot: int) -> _Table | None:
        position = self._field(slot)
        return None if position is None else _Table(self.buffer, position + _number(self.buffer, "<I", position))

    def tables(self, slot: int) -> Iterator[_Table]:
        start, length = self._vector(slot, item_bytes=4)
        for position in range(start, start + 4 * length, 4):
            yield _Table(self.buffer, position + _number(self.buffer, "<I", position))

    def _field(self, slot: int) -> int | None:
        vtable = self.position - _number(self.buffer, "<i", self.position)
        entry = 4 + 2 * slot
        if entry >= _number(self.buffer, "<H", vtable):
            return None
        offset = _number(self.buffer, "<H", vtable + entry)
        return self.position + offset if offset else None

    def _vector(self, slot: int, item_bytes: int) -> tuple[int, int]:
        """Gives the place of a vector's first item and the number of items; (0, 0) for an absent one."""
        position = self._field(slot)
        if position is None:
            return 0, 0
        start = position + _number(self.buffer, "<I", position)
        length = _number(self.buffer, "<I", start)
        if start + 4 + length * item_bytes > len(self.buffer):
            raise DataError(f"damaged: a list of {length} items at byte {start} reaches past the end")
        return start + 4, length
