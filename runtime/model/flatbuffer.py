"""Reads what a TensorFlow Lite flatbuffer says about itself, before any interpreter trusts it.

A small read-only walk through the tables of TensorFlow's ``schema.fbs`` (version 3) that are needed here, and those
that an interpreter reads besides. Every position is checked against the buffer's length, so a damaged file gives an
error and nothing else; lists that lie on top of each other, of which a small file can have any number, as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stn_rectify.runtime.errors import DataError

#: ``BuiltinOperator.CUSTOM``: the operator's name is its custom code. Flex operators are custom ones as well.
CUSTOM_OPERATOR = 32

_IDENTIFIER = b"TFL3"
# Of RESHAPE and SQUEEZE, which begin with a list; those of other operators that are allowed are numbers.
_LISTING_OPTIONS = (17, 30)
# Lists may be shared, but not so often.
_READ_TIMES = 16
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

    Its values are ``scale`` · (level - ``zero_point``); scale is 0 if it has none, or one for each channel. ``scales``
    and ``zero_points`` are all of them, those of channels along ``axis``. ``data`` are the bytes of a constant; None of
    what an operator computes, or the user gives. A ``is_special`` tensor keeps state, or is stored in another way.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: memoryview | None = field(default=None, repr=False, compare=False)
    is_special: bool = False


@dataclass(frozen=True)
class Operator:
    """An operator at its place in a subgraph; inputs and outputs are positions among the tensors, -1 for none.

    ``options`` are those of the type that has the number ``options_type`` in ``BuiltinOptions``; None if it has none.
    """

    code: OperatorCode
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int = 0
    options: Table | None = field(default=None, repr=False, compare=False)


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
    source = _Source(buffer)
    model = Table(source, source.number("<I", 0))
    codes = tuple(_operator_code(table) for table in model.tables(1))
    buffers = tuple(_data(table) for table in model.tables(4))
    for table in model.tables(6):  # the interpreter looks at their names
        table.text(0)
    return Graph(
        operators=codes,
        subgraphs=tuple(_subgraph(table, codes, buffers) for table in model.tables(2)),
        signatures=tuple(_signature(table) for table in model.tables(7)),
    )


def _data(table: Table) -> memoryview | None:
    """The bytes of a buffer; None of an empty one."""
    if table.number(1, "<Q") > 1 or table.number(2, "<Q") > 1:
        raise DataError("damaged: its constants lie behind the model, as those of files over 2 GB do")
    return table.bytes(0) or None


def _operator_code(table: Table) -> OperatorCode:
    # Slot 0 is the byte that numbers below 127 used to be stored in; the larger of both is valid.
    builtin = max(table.number(0, "<b"), table.number(3, "<i"))
    return OperatorCode(builtin, table.number(2, "<i", 1), table.text(1))


def _subgraph(table: Table, codes: tuple[OperatorCode, ...], buffers: tuple[memoryview | None, ...]) -> Subgraph:
    table.text(4)
    subgraph = Subgraph(
        tensors=tuple(_tensor(t, buffers) for t in table.tables(0)),
        inputs=table.integers(1),
        outputs=table.integers(2),
        operators=tuple(_operator(t, codes) for t in table.tables(3)),
    )
    ends = [*subgraph.inputs, *subgraph.outputs, *(k for op in subgraph.operators for k in (*op.inputs, *op.outputs))]
    wrong = [k for k in ends if not -1 <= k < len(subgraph.tensors)]  # -1: an operand that is left out
    if wrong or -1 in (*subgraph.inputs, *subgraph.outputs):
        raise DataError(f"damaged: it names tensor {wrong[0] if wrong else -1} of {len(subgraph.tensors)}")
    return subgraph


def _operator(table: Table, codes: tuple[OperatorCode, ...]) -> Operator:
    index = table.number(0, "<I")
    if index >= len(codes):
        raise DataError(f"damaged: an operator is number {index} of {len(codes)} kinds")
    if any(table.has(slot) for slot in (7, 9, 10, 11, 12)) or table.integers(8) or table.bytes(5):
        raise DataError("damaged: an operator has what only operators have that are not allowed here")
    options_type, options = table.number(3, "<B"), table.table(4)
    if options is not None and options_type in _LISTING_OPTIONS:  # the interpreter reads it, wanted or not
        options.integers(0)
    return Operator(codes[index], table.integers(1), table.integers(2), options_type, options)


def _tensor(table: Table, buffers: tuple[memoryview | None, ...]) -> Tensor:
    code, number = table.number(1, "<b"), table.number(2, "<I")
    dtype = _TENSOR_TYPES[code] if 0 <= code < len(_TENSOR_TYPES) else f"TYPE_{code}"
    if number >= len(buffers):
        raise DataError(f"damaged: a tensor has buffer {number} of {len(buffers)}")
    quantization, details, axis = table.table(4), 0, 0
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    if quantization is not None:
        for slot in (0, 1):  # what it was calibrated by: nobody needs it, but the interpreter may look
            quantization.vector(slot, "f")
        scales, zero_points = quantization.vector(2, "f"), quantization.vector(3, "q")
        details, axis = quantization.number(4, "<B"), quantization.number(6, "<i")
    is_single = len(scales) == len(zero_points) == 1
    scale, zero_point = (scales[0], zero_points[0]) if is_single else (0.0, 0)
    table.integers(7)
    return Tensor(
        name=table.text(3),
        dtype=dtype,
        shape=table.integers(0),
        scale=float(scale),
        zero_point=int(zero_point),
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        data=buffers[number],
        is_special=bool(table.number(5, "<B") or table.has(6) or table.has(9) or details),
    )


def _signature(table: Table) -> Signature:
    inputs, outputs = ({m.text(0): m.number(1, "<I") for m in table.tables(slot)} for slot in (0, 1))
    return Signature(table.text(2), table.number(4, "<I"), inputs, outputs)


class _Source:
    """The bytes, and how many items of lists have been read of them."""

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self._left = _READ_TIMES * len(buffer)

    def number(self, layout: str, position: int) -> int:
        if not 0 <= position <= len(self.buffer) - struct.calcsize(layout):
            raise DataError(f"damaged: points to byte {position} of {len(self.buffer)}")
        return int(struct.unpack_from(layout, self.buffer, position)[0])

    def count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise DataError("damaged: its lists lie on top of each other")


class Table:
    """A flatbuffer table: a signed offset back to its vtable, which has a 16-bit offset per field slot.

    Args:
        source: holds it.
        position: of it, bytes.

    Raises:
        DataError: if it does not lie in the buffer with all of its fields. So do all methods, if what a field points to
            does not.
    """

    def __init__(self, source: _Source, position: int) -> None:
        self._source, self._position = source, position
        self._vtable = position - source.number("<i", position)
        self._vtable_bytes = source.number("<H", self._vtable)
        table_bytes = source.number("<H", self._vtable + 2)
        source.count(4)
        if self._vtable_bytes < 4 or self._vtable_bytes % 2 or table_bytes < 4:
            raise DataError(f"damaged: the table at byte {position} makes no sense")
        source.number("<B", self._vtable + self._vtable_bytes - 1)
        source.number("<B", position + table_bytes - 1)
        offsets = struct.unpack_from(f"<{self._vtable_bytes // 2 - 2}H", source.buffer, self._vtable + 4)
        if any(offset >= table_bytes for offset in offsets):
            raise DataError(f"damaged: the table at byte {position} has fields behind its end")

    def has(self, slot: int) -> bool:
        """Tells whether a field is there."""
        return self._field(slot) is not None

    def number(self, slot: int, layout: str, default: int = 0) -> int:
        """A number, in a layout of `struct`."""
        position = self._field(slot)
        return default if position is None else self._source.number(layout, position)

    def text(self, slot: int) -> str:
        """A text; empty if it is not there."""
        content = self.bytes(slot)
        self._source.count(len(content))
        return bytes(content).decode("utf-8", "replace")

    def bytes(self, slot: int) -> memoryview:
        """Bytes, as a part of the buffer."""
        start, length = self._vector(slot, item_bytes=1, counts=False)
        return memoryview(self._source.buffer)[start : start + length]

    def integers(self, slot: int) -> tuple[int, ...]:
        """Numbers of 32 bits."""
        return self.vector(slot, "i")

    def vector(self, slot: int, code: str) -> tuple[Any, ...]:
        """Numbers of one of `struct`'s format characters."""
        start, length = self._vector(slot, item_bytes=struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{length}{code}", self._source.buffer, start)

    def table(self, slot: int) -> Table | None:
        """A table; None if it is not there."""
        position = self._field(slot)
        return None if position is None else self._at(position)

    def tables(self, slot: int) -> Iterator[Table]:
        """Tables, one after the other."""
        start, length = self._vector(slot, item_bytes=4)
        for position in range(start, start + 4 * length, 4):
            yield self._at(position)

    def _at(self, position: int) -> Table:
        return Table(self._source, position + self._source.number("<I", position))

    def _field(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry >= self._vtable_bytes:
            return None
        offset = self._source.number("<H", self._vtable + entry)
        return self._position + offset if offset else None

    def _vector(self, slot: int, item_bytes: int, *, counts: bool = True) -> tuple[int, int]:
        """Gives the place of a vector's first item and the number of items; (0, 0) for an absent one."""
        position = self._field(slot)
        if position is None:
            return 0, 0
        start = position + self._source.number("<I", position)
        length = self._source.number("<I", start)
        if start + 4 + length * item_bytes > len(self._source.buffer):
            raise DataError(f"damaged: a list of {length} items at byte {start} reaches past the end")
        if counts:
            self._source.count(length * item_bytes)
        return start + 4, length
