"""Operators that take parts of a tensor, or put tensors together as parts of one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.shapes.node import Node, Shape, checked_axis


def _concatenation(node: Node) -> Shape:
    shapes = [node.shape(k) for k in range(len(node.operator.inputs))]
    axis = checked_axis(node.option(0), len(shapes[0]))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) != 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise DataError("its inputs have other shapes than each other")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _pack(node: Node) -> Shape:
    shapes = {node.shape(k) for k in range(len(node.operator.inputs))}
    if len(shapes) != 1 or node.option(0) != len(node.operator.inputs):
        raise DataError("its inputs have other shapes than each other")
    shape = shapes.pop()
    axis = checked_axis(node.option(1), len(shape) + 1)
    return (*shape[:axis], len(node.operator.inputs), *shape[axis:])


def _unpack(node: Node) -> list[Shape]:
    shape = node.shape(0)
    axis = checked_axis(node.option(1), len(shape))
    if node.option(0) != shape[axis]:
        raise DataError(f"it makes {node.option(0)} parts of {shape[axis]}")
    return [(*shape[:axis], *shape[axis + 1 :])] * shape[axis]


def _split(node: Node) -> list[Shape]:
    (axis,), shape, parts = node.numbers(0), node.shape(1), node.step(0)
    axis = checked_axis(axis, len(shape))
    if parts != len(node.operator.outputs) or shape[axis] % parts:
        raise DataError(f"it makes {parts} parts of {shape[axis]}")
    return [(*shape[:axis], shape[axis] // parts, *shape[axis + 1 :])] * parts


def _split_by_sizes(node: Node) -> list[Shape]:
    shape, sizes, (axis,) = node.shape(0), node.numbers(1), node.numbers(2)
    axis = checked_axis(axis, len(shape))
    if -1 in sizes:
        known = sum(size for size in sizes if size != -1)
        sizes = tuple(shape[axis] - known if size == -1 else size for size in sizes)
    if sum(sizes) != shape[axis] or node.option(0) != len(sizes):
        raise DataError(f"it makes parts of {list(sizes)} of {shape[axis]}")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def sliced(node: Node) -> Shape:
    """The shape of what SLICE takes of its input."""
    shape, begins, sizes = node.shape(0), node.numbers(1), node.numbers(2)
    sizes = tuple(side - begin if size == -1 else size for side, begin, size in zip(shape, begins, sizes, strict=True))
    for side, begin, size in zip(shape, begins, sizes, strict=True):
        if not 0 <= begin <= begin + size <= side:
            raise DataError(f"it takes {size} from {begin} on of a side of {side}")
    return sizes


def strided_index(node: Node) -> tuple[slice | int, ...]:
    """The part of its input that STRIDED_SLICE takes, as NumPy's index."""
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
    return np.broadcast_to(np.zeros((), np.int8), node.shape(0))[strided_index(node)].shape


def _gather(node: Node) -> Shape:
    shape, indices, batch = node.shape(0), node.shape(1), node.option(1)
    axis = checked_axis(node.option(0), len(shape))
    batch = checked_axis(batch, len(indices) + 1)
    if batch > axis or shape[:batch] != indices[:batch]:
        raise DataError(f"it takes from {list(shape)} by {list(indices)}")
    known = node.values.get(node.operator.inputs[1])
    if known is not None and known.size and not 0 <= int(known.min()) <= int(known.max()) < shape[axis]:
        raise DataError(f"it takes number {int(known.max())} or {int(known.min())} of {shape[axis]}")
    return (*shape[:axis], *indices[batch:], *shape[axis + 1 :])


RULES: dict[str, Callable[[Node], Shape | list[Shape]]] = {
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "PACK": _pack,
    "SLICE": sliced,
    "SPLIT": _split,
    "SPLIT_V": _split_by_sizes,
    "STRIDED_SLICE": _strided_slice,
    "UNPACK": _unpack,
}
