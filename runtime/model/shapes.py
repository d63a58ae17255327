"""The shape of what each operator makes, from its inputs and options, as an interpreter works it out.

An interpreter does not believe the shapes that a file stores: it computes them anew, and takes as much memory as that
needs. So what a file will need is known only by the same computation. A rule here knows one kind of operator, and
refuses what the operator's own code would refuse, or would not expect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.flatbuffer import Operator, Tensor
from stn_rectify.runtime.model.operators import operator_name

Shape = tuple[int, ...]

#: Bytes of an item by the type of a tensor. Others cannot be computed with here.
ITEM_BYTES = {
    "FLOAT32": 4, "FLOAT16": 2, "INT32": 4, "UINT32": 4, "INT64": 8, "UINT64": 8, "INT16": 2, "UINT16": 2, "INT8": 1,
    "UINT8": 1, "BOOL": 1,
}  # fmt: skip

#: The types of tensors whose values may say what shape another one has. They overflow here as they do in a graph.
VALUES: dict[str, np.dtype[Any]] = {"INT32": np.dtype("<i4"), "INT64": np.dtype("<i8")}
_ACTIVATED = ("ADD", "CONCATENATION", "DIV", "MUL", "SUB")  # may have an activation behind them

#: More sides than this no tensor has.
MAX_RANK = 8

# The numbers of ``BuiltinOptions``; options of another type are none to an operator.
_OPTIONS = {
    "AVERAGE_POOL_2D": 5, "BATCH_MATMUL": 101, "CONCATENATION": 10, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2,
    "DEPTH_TO_SPACE": 94, "FULLY_CONNECTED": 8, "GATHER": 23, "MAX_POOL_2D": 5, "MEAN": 27, "MIRROR_PAD": 77,
    "PACK": 59, "REDUCE_MAX": 27, "REDUCE_MIN": 27, "RESHAPE": 17, "SPACE_TO_DEPTH": 19, "SPLIT": 35, "SPLIT_V": 79,
    "SQUEEZE": 30, "STRIDED_SLICE": 32, "SUM": 27, "TRANSPOSE_CONV": 49, "UNPACK": 64,
}  # fmt: skip

_SAME, _VALID = 0, 1
_MAX_STEP = 1 << 16  # of strides, windows and blocks; the kernels add them to sides in 32 bits
_MAX_FOLDED = 4096  # items of a tensor whose values are followed, because another operator may take them for a shape


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
        options = self.operator.options
        if options is None or self.operator.options_type != _OPTIONS[self.name]:
            return 0
        return options.number(slot, layout, default)

    def options(self, slot: int) -> tuple[int, ...]:
        """Numbers of its options."""
        options = self.operator.options
        if options is None or self.operator.options_type != _OPTIONS[self.name]:
            return ()
        return options.integers(slot)

    def step(self, slot: int, default: int = 0) -> int:
        """A stride, a window or a block: a number from 1."""
        value = self.option(slot, default=default)
        if not 1 <= value <= _MAX_STEP:
            raise DataError(f"a stride, window or block of it is {value}")
        return value

    def _position(self, k: int) -> int:
        if not self.has(k):
            raise DataError(f"input {k} is missing")
        return self.operator.inputs[k]


def output_shapes(node: Node) -> tuple[Shape, ...]:
    """The shapes of an operator's outputs.

    Raises:
        DataError: if its inputs or options make no sense, or the shapes depend on what the graph computes.
    """
    rule = _RULES.get(node.name)
    if rule is None:
        raise DataError("nothing is known of this operator")
    try:
        result = rule(node)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"its inputs do not fit each other ({error})") from None
    shapes = tuple(result) if isinstance(result, list) else (result,)
    if len(shapes) != len(node.operator.outputs):
        raise DataError(f"it has {len(node.operator.outputs)} outputs, but makes {len(shapes)}")
    for shape in shapes:
        if len(shape) > MAX_RANK or any(not 1 <= side < 2**31 for side in shape):
            raise DataError(f"its output would be {list(shape)}")
    return shapes


def working_bytes(node: Node, outputs: tuple[Shape, ...]) -> int:
    """The space that an operator needs while it runs, beside its inputs and outputs; 0 of most."""
    if node.name == "CONV_2D":  # each window of the input as a row
        _, height, width, depth = node.shape(1)
        return math.prod(outputs[0][:3]) * height * width * depth * ITEM_BYTES[node.tensor(0).dtype]
    if node.name == "TRANSPOSE_CONV":
        _, height, width, _ = node.shape(1)
        return math.prod(node.shape(2)[:3]) * outputs[0][3] * height * width * 4 + math.prod(outputs[0]) * 4
    if node.name in ("BATCH_MATMUL", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):  # transposed or unpacked copies
        return sum(math.prod(node.shape(k)) * 4 for k in range(2))
    return 0


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


# Rules: from inputs and options to the output's shape, or to a list of the outputs' shapes.


def _as_first(node: Node) -> Shape:
    return node.shape(0)


def _broadcast(node: Node) -> Shape:
    return tuple(np.broadcast_shapes(*(node.shape(k) for k in range(node.count))))


def _two_broadcast(node: Node) -> Shape:
    return tuple(np.broadcast_shapes(node.shape(0), node.shape(1)))


def _select(node: Node) -> Shape:
    condition, first, second = node.shape(0), node.shape(1), node.shape(2)
    if first != second or condition not in (first, (), (1,), first[:1]):
        raise DataError(f"it selects between {list(first)} and {list(second)} by {list(condition)}")
    return first


def _prelu(node: Node) -> Shape:
    shape = _two_broadcast(node)
    if shape != node.shape(0):
        raise DataError("its slopes have a shape of their own")
    return shape


def _bitcast(node: Node) -> Shape:
    shape = node.shape(0)
    source, result = (ITEM_BYTES[t.dtype] for t in (node.tensor(0), node.tensors[node.operator.outputs[0]]))
    if source == result:
        return shape
    if source > result:
        return (*shape, source // result)
    if not shape or shape[-1] != result // source:
        raise DataError(f"its input is {list(shape)}")
    return shape[:-1]


def _window_count(side: int, window: int, stride: int, padding: int) -> int:
    if padding == _SAME:
        return -(-side // stride)
    if padding == _VALID:
        return (side - window + stride) // stride
    raise DataError(f"its padding is number {padding}")


def _check_bias(node: Node, k: int, channels: int) -> None:
    if node.has(k) and math.prod(node.shape(k)) != channels:
        raise DataError(f"its bias is {list(node.shape(k))} for {channels} channels")


def _convolution(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    filters, filter_height, filter_width, depth = node.shape(1, 4)
    if channels % depth or filters % (channels // depth):
        raise DataError(f"its filters take {depth} channels, but its input has {channels}")
    _check_bias(node, 2, filters)
    down, right = node.step(5, 1), node.step(4, 1)
    rows = _window_count(height, (filter_height - 1) * down + 1, node.step(2), node.option(0, "<b"))
    columns = _window_count(width, (filter_width - 1) * right + 1, node.step(1), node.option(0, "<b"))
    return batch, rows, columns, filters


def _depthwise(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    one, filter_height, filter_width, filters = node.shape(1, 4)
    if one != 1 or filters != channels * node.step(3):
        raise DataError(f"it has {filters} filters for {channels} channels, each {node.step(3)} times")
    _check_bias(node, 2, filters)
    down, right = node.step(6, 1), node.step(5, 1)
    rows = _window_count(height, (filter_height - 1) * down + 1, node.step(2), node.option(0, "<b"))
    columns = _window_count(width, (filter_width - 1) * right + 1, node.step(1), node.option(0, "<b"))
    return batch, rows, columns, filters


def _transposed_convolution(node: Node) -> Shape:
    shape = node.numbers(0)
    filters, filter_height, filter_width, depth = node.shape(1, 4)
    batch, height, width, channels = node.shape(2, 4)
    _check_bias(node, 3, filters)
    if len(shape) != 4 or (shape[0], shape[3], depth) != (batch, filters, channels):
        raise DataError(f"it makes {list(shape)} of {list(node.shape(2))} by filters {list(node.shape(1))}")
    padding = node.option(0, "<b")
    rows = _window_count(shape[1], filter_height, node.step(2), padding)
    columns = _window_count(shape[2], filter_width, node.step(1), padding)
    if (rows, columns) != (height, width):
        raise DataError(f"it makes {list(shape)} of {list(node.shape(2))}")
    return shape


def _pool(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    rows = _window_count(height, node.step(4), node.step(2), node.option(0, "<b"))
    return batch, rows, _window_count(width, node.step(3), node.step(1), node.option(0, "<b")), channels


def _fully_connected(node: Node) -> Shape:
    shape, (units, depth) = node.shape(0), node.shape(1, 2)
    if node.option(1, "<b"):
        raise DataError("its weights are shuffled")
    _check_bias(node, 2, units)
    if node.option(2, "<B"):
        if not shape or shape[-1] != depth:
            raise DataError(f"its weights take {depth} numbers, but its input is {list(shape)}")
        return (*shape[:-1], units)
    if math.prod(shape) % depth:
        raise DataError(f"its weights take {depth} numbers, but its input is {list(shape)}")
    return math.prod(shape) // depth, units


def _matrices(node: Node) -> Shape:
    first, second = node.shape(0), node.shape(1)
    if min(len(first), len(second)) < 2:
        raise DataError(f"it multiplies {list(first)} by {list(second)}")
    rows, inner = first[:-3:-1] if node.option(0, "<B") else first[-2:]
    other, columns = second[:-3:-1] if node.option(1, "<B") else second[-2:]
    if inner != other:
        raise DataError(f"it multiplies {list(first)} by {list(second)}")
    return (*np.broadcast_shapes(first[:-2], second[:-2]), rows, columns)


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise DataError(f"its axis is {axis} of {rank} sides")
    return axis % rank


def _concatenation(node: Node) -> Shape:
    shapes = [node.shape(k) for k in range(len(node.operator.inputs))]
    axis = _axis(node.option(0), len(shapes[0]))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) != 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise DataError("its inputs have other shapes than each other")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _pack(node: Node) -> Shape:
    shapes = {node.shape(k) for k in range(len(node.operator.inputs))}
    if len(shapes) != 1 or node.option(0) != len(node.operator.inputs):
        raise DataError("its inputs have other shapes than each other")
    shape = shapes.pop()
    axis = _axis(node.option(1), len(shape) + 1)
    return (*shape[:axis], len(node.operator.inputs), *shape[axis:])


def _unpack(node: Node) -> list[Shape]:
    shape = node.shape(0)
    axis = _axis(node.option(1), len(shape))
    if node.option(0) != shape[axis]:
        raise DataError(f"it makes {node.option(0)} parts of {shape[axis]}")
    return [(*shape[:axis], *shape[axis + 1 :])] * shape[axis]


def _split(node: Node) -> list[Shape]:
    (axis,), shape, parts = node.numbers(0), node.shape(1), node.step(0)
    axis = _axis(axis, len(shape))
    if parts != len(node.operator.outputs) or shape[axis] % parts:
        raise DataError(f"it makes {parts} parts of {shape[axis]}")
    return [(*shape[:axis], shape[axis] // parts, *shape[axis + 1 :])] * parts


def _split_by_sizes(node: Node) -> list[Shape]:
    shape, sizes, (axis,) = node.shape(0), node.numbers(1), node.numbers(2)
    axis = _axis(axis, len(shape))
    if -1 in sizes:
        known = sum(size for size in sizes if size != -1)
        sizes = tuple(shape[axis] - known if size == -1 else size for size in sizes)
    if sum(sizes) != shape[axis] or node.option(0) != len(sizes):
        raise DataError(f"it makes parts of {list(sizes)} of {shape[axis]}")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _slice(node: Node) -> Shape:
    shape, begins, sizes = node.shape(0), node.numbers(1), node.numbers(2)
    sizes = tuple(side - begin if size == -1 else size for side, begin, size in zip(shape, begins, sizes, strict=True))
    for side, begin, size in zip(shape, begins, sizes, strict=True):
        if not 0 <= begin <= begin + size <= side:
            raise DataError(f"it takes {size} from {begin} on of a side of {side}")
    return sizes


def _strided_index(node: Node) -> tuple[slice | int, ...]:
    """What it takes of its input, as NumPy's index."""
    shape = node.shape(0)
    begins, ends, strides = (node.numbers(k) for k in (1, 2, 3))
    begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_mask = (node.option(slot) for slot in range(5))
    if ellipsis_mask or new_axis_mask or node.option(5, "<B") or len(begins) > len(shape) or 0 in strides:
        raise DataError("it takes a part of its input in a way that is not known here")
    index: list[slice | int] = []
    for k, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if shrink_mask >> k & 1:
            index.append(0 if begin_mask >> k & 1 else begin)
        else:
            index.append(slice(None if begin_mask >> k & 1 else begin, None if end_mask >> k & 1 else end, stride))
    return tuple(index)


def _strided_slice(node: Node) -> Shape:
    return np.broadcast_to(np.zeros((), np.int8), node.shape(0))[_strided_index(node)].shape


def _gather(node: Node) -> Shape:
    shape, indices, batch = node.shape(0), node.shape(1), node.option(1)
    axis = _axis(node.option(0), len(shape))
    batch = _axis(batch, len(indices) + 1)
    if batch > axis or shape[:batch] != indices[:batch]:
        raise DataError(f"it takes from {list(shape)} by {list(indices)}")
    known = node.values.get(node.operator.inputs[1])
    if known is not None and known.size and not 0 <= int(known.min()) <= int(known.max()) < shape[axis]:
        raise DataError(f"it takes number {int(known.max())} or {int(known.min())} of {shape[axis]}")
    return (*shape[:axis], *indices[batch:], *shape[axis + 1 :])


def _reshape(node: Node) -> Shape:
    wanted = node.numbers(1) if node.has(1) else node.options(0)
    size = math.prod(node.shape(0))
    if wanted.count(-1) == 1:
        rest = -math.prod(wanted)
        if rest <= 0 or size % rest:
            raise DataError(f"it makes {list(wanted)} of {list(node.shape(0))}")
        wanted = tuple(size // rest if side == -1 else side for side in wanted)
    if math.prod(wanted) != size or any(side < 0 for side in wanted):
        raise DataError(f"it makes {list(wanted)} of {list(node.shape(0))}")
    return wanted


def _squeeze(node: Node) -> Shape:
    shape = node.shape(0)
    axes = {_axis(axis, len(shape)) for axis in node.options(0)} or {k for k, side in enumerate(shape) if side == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise DataError(f"it leaves out sides of {list(shape)} that are not 1")
    return tuple(side for k, side in enumerate(shape) if k not in axes)


def _expand_dims(node: Node) -> Shape:
    shape, (axis,) = node.shape(0), node.numbers(1)
    axis = _axis(axis, len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _transpose(node: Node) -> Shape:
    shape, order = node.shape(0), node.numbers(1)
    order = tuple(_axis(axis, len(shape)) for axis in order)
    if sorted(order) != list(range(len(shape))):
        raise DataError(f"it puts the sides of {list(shape)} in the order {list(order)}")
    return tuple(shape[axis] for axis in order)


def _tile(node: Node) -> Shape:
    return tuple(side * times for side, times in zip(node.shape(0), node.numbers(1), strict=True))


def _told(node: Node) -> Shape:
    return node.numbers(0)


def _broadcast_to(node: Node) -> Shape:
    shape = node.numbers(1)
    if any(side < 1 for side in shape) or np.broadcast_shapes(node.shape(0), shape) != shape:
        raise DataError(f"it makes {list(shape)} of {list(node.shape(0))}")
    return shape


def _pad(node: Node) -> Shape:
    shape, numbers = node.shape(0), node.numbers(1)
    if len(numbers) != 2 * len(shape) or min(numbers, default=0) < 0:
        raise DataError(f"it pads {list(shape)} by {list(numbers)}")
    if node.name == "MIRROR_PAD" and any(
        max(numbers[2 * k : 2 * k + 2]) > side - 1 + (node.option(0, "<b") == 1) for k, side in enumerate(shape)
    ):
        raise DataError(f"it mirrors more of {list(shape)} than there is: {list(numbers)}")
    return tuple(side + sum(numbers[2 * k : 2 * k + 2]) for k, side in enumerate(shape))


def _reduced(node: Node) -> Shape:
    shape = node.shape(0)
    axes = {_axis(axis, len(shape)) for axis in node.numbers(1)}
    keeps = node.option(0, "<B")
    return tuple(1 if k in axes else side for k, side in enumerate(shape) if keeps or k not in axes)


def _reversed(node: Node) -> Shape:
    for axis in node.numbers(1):
        _axis(axis, len(node.shape(0)))
    return node.shape(0)


def _resized(node: Node) -> Shape:
    batch, _, _, channels = node.shape(0, 4)
    height, width = node.numbers(1)
    return batch, height, width, channels


def _space_to_batch(node: Node) -> Shape:
    shape, blocks, pads = node.shape(0), node.numbers(1), node.numbers(2)
    sides: list[int] = []
    batch = shape[0]
    for k, block in enumerate(blocks):
        side = shape[1 + k] + sum(pads[2 * k : 2 * k + 2])
        if not 1 <= block <= _MAX_STEP or min(pads[2 * k : 2 * k + 2]) < 0 or side % block:
            raise DataError(f"it cuts {list(shape)} into blocks of {list(blocks)}")
        batch, sides = batch * block, [*sides, side // block]
    return (batch, *sides, *shape[1 + len(blocks) :])


def _batch_to_space(node: Node) -> Shape:
    shape, blocks, crops = node.shape(0), node.numbers(1), node.numbers(2)
    sides: list[int] = []
    batch = shape[0]
    for k, block in enumerate(blocks):
        if not 1 <= block <= _MAX_STEP or min(crops[2 * k : 2 * k + 2]) < 0 or batch % block:
            raise DataError(f"it puts {list(shape)} together from blocks of {list(blocks)}")
        batch, sides = batch // block, [*sides, shape[1 + k] * block - sum(crops[2 * k : 2 * k + 2])]
    return (batch, *sides, *shape[1 + len(blocks) :])


def _space_to_depth(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    block = node.step(0)
    if height % block or width % block:
        raise DataError(f"it cuts {list(node.shape(0))} into blocks of {block}")
    return batch, height // block, width // block, channels * block * block


def _depth_to_space(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    block = node.step(0)
    if channels % (block * block):
        raise DataError(f"it makes blocks of {block} of {channels} channels")
    return batch, height * block, width * block, channels // (block * block)


def _rank(node: Node) -> Shape:
    return (len(node.shape(0)),)


# fmt: off
_SHAPE_OF_FIRST = (
    "ABS", "CAST", "DEQUANTIZE", "ELU", "EXP", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG",
    "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX",
    "SQRT", "SQUARE", "TANH",
)
_SHAPE_OF_TWO = (
    "ADD", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL",
    "POW", "RIGHT_SHIFT", "SQUARED_DIFFERENCE", "SUB",
)
# fmt: on

_RULES: dict[str, Callable[[Node], Shape | list[Shape]]] = {
    **dict.fromkeys(_SHAPE_OF_FIRST, _as_first),
    **dict.fromkeys(_SHAPE_OF_TWO, _two_broadcast),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool),
    **dict.fromkeys(("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"), _reduced),
    **dict.fromkeys(("MIRROR_PAD", "PAD", "PADV2"), _pad),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resized),
    "BATCH_MATMUL": _matrices,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BITCAST": _bitcast,
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _depth_to_space,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _told,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "PACK": _pack,
    "PRELU": _prelu,
    "RESHAPE": _reshape,
    "REVERSE_V2": _reversed,
    "SELECT": _select,
    "SELECT_V2": _broadcast,
    "SHAPE": _rank,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "SPLIT_V": _split_by_sizes,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transposed_convolution,
    "UNPACK": _unpack,
}

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
        tuple(slice(begin, begin + size) for begin, size in zip(node.numbers(1), _slice(node), strict=True))
    ],
    "SQUEEZE": lambda _, values: values[0],
    "STRIDED_SLICE": lambda node, values: values[0][_strided_index(node)],
    "SUB": lambda _, values: values[0] - values[1],
}
