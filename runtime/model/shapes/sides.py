"""Operators that change the sides of a tensor: others for the same numbers, longer ones, fewer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.shapes.node import MAX_STEP, Node, Shape, checked_axis


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
    axes = {checked_axis(axis, len(shape)) for axis in node.options(0)}
    axes = axes or {k for k, side in enumerate(shape) if side == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise DataError(f"it leaves out sides of {list(shape)} that are not 1")
    return tuple(side for k, side in enumerate(shape) if k not in axes)


def _expand_dims(node: Node) -> Shape:
    shape, (axis,) = node.shape(0), node.numbers(1)
    axis = checked_axis(axis, len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _transpose(node: Node) -> Shape:
    shape, order = node.shape(0), node.numbers(1)
    order = tuple(checked_axis(axis, len(shape)) for axis in order)
    if sorted(order) != list(range(len(shape))):
        raise DataError(f"it puts the sides of {list(shape)} in the order {list(order)}")
    return tuple(shape[axis] for axis in order)


def _reversed(node: Node) -> Shape:
    for axis in node.numbers(1):
        checked_axis(axis, len(node.shape(0)))
    return node.shape(0)


def _rank(node: Node) -> Shape:
    return (len(node.shape(0)),)


def _told(node: Node) -> Shape:
    return node.numbers(0)


def _broadcast_to(node: Node) -> Shape:
    shape = node.numbers(1)
    if any(side < 1 for side in shape) or np.broadcast_shapes(node.shape(0), shape) != shape:
        raise DataError(f"it makes {list(shape)} of {list(node.shape(0))}")
    return shape


def _tile(node: Node) -> Shape:
    return tuple(side * times for side, times in zip(node.shape(0), node.numbers(1), strict=True))


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
    axes = {checked_axis(axis, len(shape)) for axis in node.numbers(1)}
    keeps = node.option(0, "<B")
    return tuple(1 if k in axes else side for k, side in enumerate(shape) if keeps or k not in axes)


def _space_to_batch(node: Node) -> Shape:
    shape, blocks, pads = node.shape(0), node.numbers(1), node.numbers(2)
    sides: list[int] = []
    batch = shape[0]
    for k, block in enumerate(blocks):
        side = shape[1 + k] + sum(pads[2 * k : 2 * k + 2])
        if not 1 <= block <= MAX_STEP or min(pads[2 * k : 2 * k + 2]) < 0 or side % block:
            raise DataError(f"it cuts {list(shape)} into blocks of {list(blocks)}")
        batch, sides = batch * block, [*sides, side // block]
    return (batch, *sides, *shape[1 + len(blocks) :])


def _batch_to_space(node: Node) -> Shape:
    shape, blocks, crops = node.shape(0), node.numbers(1), node.numbers(2)
    sides: list[int] = []
    batch = shape[0]
    for k, block in enumerate(blocks):
        if not 1 <= block <= MAX_STEP or min(crops[2 * k : 2 * k + 2]) < 0 or batch % block:
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


RULES: dict[str, Callable[[Node], Shape | list[Shape]]] = {
    **dict.fromkeys(("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"), _reduced),
    **dict.fromkeys(("MIRROR_PAD", "PAD", "PADV2"), _pad),
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "BROADCAST_TO": _broadcast_to,
    "DEPTH_TO_SPACE": _depth_to_space,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _told,
    "RESHAPE": _reshape,
    "REVERSE_V2": _reversed,
    "SHAPE": _rank,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SQUEEZE": _squeeze,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
