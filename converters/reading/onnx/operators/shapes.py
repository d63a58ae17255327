"""Operators that move numbers about: shapes, parts, joints, sums along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.laid_out import Value, laid, logical, shape_of
from stn_rectify.converters.reading.onnx.operators.call import Call


def _reshape(call: Call) -> Value:
    value = call.value(0)
    sizes = call.sizes(call.constant(1, "sizes"))
    if not call.attribute("allowzero", 0):
        sizes = [value.shape[k] if size == 0 else size for k, size in enumerate(sizes)]
    if -1 in sizes:
        others = int(np.prod([size for size in sizes if size != -1]))
        sizes[sizes.index(-1)] = int(np.prod(value.shape)) // max(others, 1)
    if np.prod(sizes) != np.prod(value.shape):
        call.refuse(f"makes {sizes} of {list(value.shape)}, which does not fit: export the model with a batch of 1")
    return value.reshaped(sizes)


def _flatten(call: Call) -> Value:
    value = call.value(0)
    axis = int(call.attribute("axis", 1))
    axis = axis + len(value.shape) if axis < 0 else axis
    return value.reshaped([int(np.prod(part)) for part in (value.shape[:axis], value.shape[axis:])])


def _squeeze(call: Call) -> Value:
    value = call.value(0)
    axes = call.axes()
    gone = [k for k, size in enumerate(value.shape) if size == 1] if axes is None else axes
    return value.reshaped([size for k, size in enumerate(value.shape) if k not in gone])


def _unsqueeze(call: Call) -> Value:
    value = call.value(0)
    rank = len(value.shape)
    axes = np.atleast_1d(call.setting("axes", 1))
    sizes = list(value.shape)
    for axis in sorted(int(a) % (rank + len(axes)) for a in axes):
        sizes.insert(axis, 1)
    return value.reshaped(sizes)


def _transpose(call: Call) -> Value:
    value = call.value(0)
    return value.transposed(call.attribute("perm") or range(len(value.shape))[::-1])


def _concat(call: Call) -> Value:
    operands = [call.operand(number) for number in range(len(call.inputs))]
    rank = len(shape_of(operands[0]))
    axis = int(call.attribute("axis")) % rank
    lead = next(operand for operand in operands if isinstance(operand, Value))
    axes = lead.axes if lead.columns is None else tuple(range(rank))
    if axis and call.batch not in (None, 1):
        operands = [o if isinstance(o, Value) or o.shape[0] == 1 else o[:1] for o in operands]
    return Value(tf.concat([laid(operand, axes) for operand in operands], axis=axes.index(axis)), axes)


def _slice(call: Call) -> Value:
    value = _ordered(call)
    starts, ends, steps = (call.setting(name, number) for name, number in (("starts", 1), ("ends", 2), ("steps", 4)))
    axes = call.axes(3)
    axes = list(range(len(starts))) if axes is None else axes
    parts = [slice(None)] * len(value.axes)
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(starts), strict=True):
        first, last, by = slice(int(start), int(end), int(step)).indices(value.shape[axis])
        parts[value.axes.index(axis)] = slice(first, None if last < 0 else last, by)
    return Value(value.tensor[tuple(parts)], value.axes)


def _split(call: Call) -> list[Value]:
    value = _ordered(call)
    axis = int(call.attribute("axis", 0)) % len(value.axes)
    count, size = len(call.node.outputs), value.shape[axis]
    each = -(-size // count)
    sizes = call.setting("split", 1) or [*[each] * (count - 1), size - each * (count - 1)]
    return [Value(part, value.axes) for part in tf.split(value.tensor, sizes, axis=value.axes.index(axis))]


def _gather(call: Call) -> Value:
    value = _ordered(call)
    places = np.asarray(call.constant(1, "places"))
    axis = int(call.attribute("axis", 0)) % len(value.axes)
    places = np.where(places < 0, places + value.shape[axis], places)
    if places.ndim == 1:
        return Value(tf.gather(value.tensor, places, axis=value.axes.index(axis)), value.axes)
    tensor = value.logical()
    if places.ndim == 0:  # as a slice: that has an INT8 operator everywhere
        parts: list[Any] = [slice(None)] * len(value.axes)
        parts[axis] = int(places)
        return Value.plain(tensor[tuple(parts)])
    return Value.plain(tf.gather(tensor, places, axis=axis))


def _ordered(call: Call) -> Value:
    value = call.value(0)
    return value if value.columns is None else Value.plain(value.logical())


def _pad(call: Call) -> Value:
    value = _ordered(call)
    pads, fill = call.setting("pads", 1), call.setting("value", 2, 0.0)
    mode = {"constant": "CONSTANT", "reflect": "REFLECT"}.get(call.attribute("mode", "constant"))
    if mode is None:
        call.refuse(f"pads by {call.attribute('mode')}; replace it by padding with zeros")
    rank = len(value.axes)
    axes = call.axes(3) or list(range(rank))
    amounts = {axis: (int(pads[k]), int(pads[k + len(axes)])) for k, axis in enumerate(axes)}
    tensor, sides = value.tensor, [amounts.get(axis, (0, 0)) for axis in value.axes]
    if any(amount < 0 for side in sides for amount in side):
        parts = tuple(slice(max(0, -low), -max(0, -high) or None) for low, high in sides)
        tensor, sides = tensor[parts], [(max(0, low), max(0, high)) for low, high in sides]
    if not any(amount for side in sides for amount in side):
        return Value(tensor, value.axes)
    return Value(tf.pad(tensor, sides, mode, constant_values=fill or 0.0), value.axes)


def _expand(call: Call) -> Value:
    value = call.value(0)
    sizes = call.sizes(call.constant(1, "sizes"))
    shape = np.broadcast_shapes(value.shape, tuple(sizes))
    if tuple(shape) == value.shape:
        return value
    return Value.plain(tf.broadcast_to(value.logical(), shape))


def _tile(call: Call) -> Value:
    value = _ordered(call)
    repeats = call.sizes(call.constant(1, "repeats"))
    return Value(tf.tile(value.tensor, [repeats[axis] for axis in value.axes]), value.axes)


def _reduced(reduce: Callable[..., Any]) -> Callable[[Call], Value]:
    def apply(call: Call) -> Value:
        value = _ordered(call)
        rank, axes = len(value.axes), call.axes()
        if not axes and call.attribute("noop_with_empty_axes", 0):
            return value
        gone = axes or list(range(rank))
        kept = reduce(value.tensor, axis=[value.axes.index(axis) for axis in gone], keepdims=True)
        found = Value(kept, value.axes)
        if call.attribute("keepdims", 1):
            return found
        return found.reshaped([size for k, size in enumerate(value.shape) if k not in gone])

    return apply


def _scatter(call: Call) -> Value:
    data, places, updates = call.value(0).logical(), call.constant(1, "places"), logical(call.operand(2))
    if call.attribute("reduction", "none") != "none":
        call.refuse("adds up what it writes; build the matrix with torch.stack or torch.cat")
    return Value.plain(tf.tensor_scatter_nd_update(data, places, updates))


SHAPES: dict[str, Callable[[Call], Value | list[Value]]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Pad": _pad,
    "Expand": _expand,
    "Tile": _tile,
    "ReduceMean": _reduced(tf.reduce_mean),
    "ReduceSum": _reduced(tf.reduce_sum),
    "ReduceMax": _reduced(tf.reduce_max),
    "ReduceMin": _reduced(tf.reduce_min),
    "ScatterND": _scatter,
}
