"""An operator with what is known of its inputs: what every rule looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.flatbuffer import Operator, Table, Tensor
from stn_rectify.runtime.model.operators import operator_name

Shape = tuple[int, ...]

#: Bytes of an item by the type of a tensor. Others cannot be computed with here.
ITEM_BYTES = {
    "FLOAT32": 4, "FLOAT16": 2, "INT32": 4, "UINT32": 4, "INT64": 8, "UINT64": 8, "INT16": 2, "UINT16": 2, "INT8": 1,
    "UINT8": 1, "BOOL": 1,
}  # fmt: skip

#: More sides than this no tensor has.
MAX_RANK = 8

#: The most of a stride, a window or a block; the kernels add them to sides in 32 bits.
MAX_STEP = 1 << 16

# The numbers of ``BuiltinOptions``; options of another type are none to an operator.
_OPTIONS = {
    "AVERAGE_POOL_2D": 5, "BATCH_MATMUL": 101, "CONCATENATION": 10, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2,
    "DEPTH_TO_SPACE": 94, "FULLY_CONNECTED": 8, "GATHER": 23, "MAX_POOL_2D": 5, "MEAN": 27, "MIRROR_PAD": 77,
    "PACK": 59, "REDUCE_MAX": 27, "REDUCE_MIN": 27, "RESHAPE": 17, "SPACE_TO_DEPTH": 19, "SPLIT": 35, "SPLIT_V": 79,
    "SQUEEZE": 30, "STRIDED_SLICE": 32, "SUM": 27, "TRANSPOSE_CONV": 49, "UNPACK": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """An operator with what is known of its inputs.

    Attributes:
        operator: the operator.
        tensors: of its subgraph.
        shapes: of those tensors that have been made so far, by position.
        values: of those that are known before the graph runs, by position.
    """

    operator: Operator
    tensors: Sequence[Tensor]
    shapes: Mapping[int, Shape]
    values: Mapping[int, Array]

    @property
    def name(self) -> str:
        """The operator's name."""
        return operator_name(self.operator.code.builtin)

    @property
    def count(self) -> int:
        """The number of inputs, those that are left out at the end not counted."""
        inputs = self.operator.inputs
        return max((k + 1 for k, position in enumerate(inputs) if position >= 0), default=0)

    def has(self, k: int) -> bool:
        """Tells whether there is an input at this place."""
        return k < len(self.operator.inputs) and self.operator.inputs[k] >= 0

    def tensor(self, k: int) -> Tensor:
        """An input's tensor."""
        return self.tensors[self._position(k)]

    def shape(self, k: int, rank: int | None = None) -> Shape:
        """An input's shape, which must have so many sides."""
        shape = self.shapes[self._position(k)]
        if rank is not None and len(shape) != rank:
            raise DataError(f"input {k} is {list(shape)}, but must have {rank} sides")
        return shape

    def numbers(self, k: int) -> tuple[int, ...]:
        """An input's values, which must be known: they say what shape the output has."""
        position = self._position(k)
        values = self.values.get(position)
        if values is None:
            raise DataError(f"its output's shape depends on what tensor {self.tensors[position].name!r} comes to be")
        return tuple(int(value) for value in values.ravel())

    def option(self, slot: int, layout: str = "<i", default: int = 0) -> int:
        """A number of its options; 0 where it has none of its own type."""
        options = self._own_options()
        return 0 if options is None else options.number(slot, layout, default)

    def options(self, slot: int) -> tuple[int, ...]:
        """Numbers of its options; none where it has no options of its own type."""
        options = self._own_options()
        return () if options is None else options.integers(slot)

    def step(self, slot: int, default: int = 0) -> int:
        """A stride, a window or a block: a number from 1."""
        value = self.option(slot, default=default)
        if not 1 <= value <= MAX_STEP:
            raise DataError(f"a stride, window or block of it is {value}")
        return value

    def _own_options(self) -> Table | None:
        return self.operator.options if self.operator.options_type == _OPTIONS[self.name] else None

    def _position(self, k: int) -> int:
        if not self.has(k):
            raise DataError(f"input {k} is missing")
        return self.operator.inputs[k]


def checked_axis(axis: int, rank: int) -> int:
    """A side by its number, which may count from the end, as a number from 0.

    Raises:
        DataError: if there is no such side.
    """
    if not -rank <= axis < rank:
        raise DataError(f"its axis is {axis} of {rank} sides")
    return axis % rank
