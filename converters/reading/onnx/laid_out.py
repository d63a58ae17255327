"""Values of an ONNX graph as tensors of TensorFlow, which may lie in another order than ONNX has them.

ONNX has images [N, C, H, W]; TensorFlow's convolutions, and every INT8 interpreter, want [N, H, W, C]. A value
remembers which of its axes lies where, so a transpose costs nothing until somebody needs the order itself. Behind a
flatten the same is true of the numbers of a row: the order goes into the rows of the next layer's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.runtime.arrays import Array

#: Where batch, height, width and channels are among ONNX's axes.
CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class Value:
    """A value that depends on the frame.

    Attributes:
        tensor: its numbers as they lie.
        axes: for each axis of ``tensor`` which axis of the value that is.
        columns: of a row [N, F], where each of its numbers lies in ``tensor``; None: in order.
    """

    tensor: Any
    axes: tuple[int, ...]
    columns: Array | None = field(default=None, repr=False)

    @staticmethod
    def plain(tensor: Any) -> Value:
        """One whose axes are in order."""
        return Value(tensor, tuple(range(tensor.shape.rank)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in ONNX's order."""
        sizes = dict(zip(self.axes, self.tensor.shape.as_list(), strict=True))
        return tuple(sizes[axis] for axis in range(len(sizes)))

    def logical(self) -> Any:
        """The tensor in ONNX's order."""
        if self.columns is not None:
            return tf.gather(self.tensor, self.columns, axis=1)
        return self.laid(tuple(range(len(self.axes))))

    def laid(self, axes: tuple[int, ...]) -> Any:
        """The tensor with its axes in another order; ``axes`` as in the attribute, of the same rank or more."""
        if self.columns is not None or len(axes) > len(self.axes):
            missing = len(axes) - len(self.axes)
            tensor = self.logical()
            whole = tf.reshape(tensor, [1] * missing + tensor.shape.as_list()) if missing else tensor
            return _permuted(whole, axes)
        return _permuted(self.tensor, tuple(self.axes.index(axis) for axis in axes))

    def transposed(self, order: Sequence[int]) -> Value:
        """The value with its axes in another order; nothing is moved."""
        plain = self if self.columns is None else Value.plain(self.logical())
        return Value(plain.tensor, tuple(list(order).index(axis) for axis in plain.axes))

    def reshaped(self, shape: Sequence[int]) -> Value:
        """The value in another shape; of an image that becomes a row, only the order is remembered."""
        shape = list(shape)
        if list(self.shape) == shape:
            return self
        is_ordered = self.columns is None and self.axes == tuple(range(len(self.axes)))
        if len(shape) == 2 and shape[0] == self.shape[0] and self.columns is None and self.axes[0] == 0:
            places = np.arange(shape[1]).reshape(self.tensor.shape.as_list()[1:])
            order = [self.axes.index(axis) - 1 for axis in range(1, len(self.axes))]
            columns = places.transpose(order).ravel()
            in_order = bool((columns == np.arange(len(columns))).all())
            return Value(tf.reshape(self.tensor, shape), (0, 1), None if in_order else columns)
        tensor = self.tensor if is_ordered else self.logical()
        if shape and tensor.shape.rank != 2 and shape[0] == tensor.shape[0]:
            tensor = tf.reshape(tensor, [shape[0], -1])  # a row for each frame, which theta may be
        return Value.plain(tf.reshape(tensor, shape))

    def original(self, numbers: Array) -> Array:
        """The numbers of the value in ONNX's order, [N, …], as they lie in the tensor."""
        return np.asarray(
            numbers.transpose(self.axes) if self.columns is None else numbers[:, np.argsort(self.columns)]
        )


#: A value that depends on the frame, or a constant.
Operand = Value | Array


def shape_of(operand: Operand) -> tuple[int, ...]:
    """The shape in ONNX's order."""
    return tuple(operand.shape)


def logical(operand: Operand) -> Any:
    """A tensor, or an array, in ONNX's order."""
    return operand.logical() if isinstance(operand, Value) else operand


def laid(operand: Operand, axes: tuple[int, ...]) -> Any:
    """A tensor, or an array, whose axes lie in the order of ``axes``; further ones in front are 1."""
    if isinstance(operand, Value):
        return operand.laid(axes)
    return np.transpose(operand.reshape((1,) * (len(axes) - operand.ndim) + operand.shape), axes)


def alike(operands: Sequence[Operand]) -> tuple[list[Any], Value]:
    """Operands of an operation on each number, laid out so that they fit each other.

    Returns:
        A tensor or array each, and a value that says how their result lies.
    """
    rank = max(len(shape_of(operand)) for operand in operands)
    values = [operand for operand in operands if isinstance(operand, Value)]
    # The first that lies in another order, else the first of full rank.
    full = [value for value in values if len(value.shape) == rank]
    lead = next((v for v in full if v.columns is not None or v.axes != tuple(range(rank))), None)
    if lead is None:
        return [logical(operand) for operand in operands], Value(None, tuple(range(rank)))
    if lead.columns is None:
        return [laid(operand, lead.axes) for operand in operands], Value(None, lead.axes)
    order = np.argsort(lead.columns)
    rows = [_row(operand, lead, order) for operand in operands]
    if any(row is None for row in rows):
        return [logical(operand) for operand in operands], Value(None, (0, 1))
    return rows, Value(None, (0, 1), lead.columns)


def _row(operand: Operand, lead: Value, order: Array) -> Any:
    """An operand beside a row whose numbers lie in another order; None if it cannot be so without moving it."""
    if isinstance(operand, Value):
        same = operand.columns is not None and bool((operand.columns == lead.columns).all())
        return operand.tensor if same or operand.shape[-1:] == (1,) else None
    return operand[..., order] if operand.ndim and operand.shape[-1] == len(order) else operand


def _permuted(tensor: Any, order: tuple[int, ...]) -> Any:
    """A transpose; a reshape where only axes of size 1 move."""
    if order == tuple(range(len(order))):
        return tensor
    sizes = tensor.shape.as_list()
    moved = [axis for axis in order if sizes[axis] != 1]
    if moved == sorted(moved):
        return tf.reshape(tensor, [sizes[axis] for axis in order])
    return tf.transpose(tensor, order)
