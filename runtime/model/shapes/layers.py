"""Operators that are layers of a network: sums of products, windows that go over a picture, a picture made larger."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.shapes.node import ITEM_BYTES, Node, Shape

_SAME, _VALID = 0, 1


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


def _convolution(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    filters, filter_height, filter_width, depth = node.shape(1, 4)
    if channels % depth or filters % (channels // depth):
        raise DataError(f"its filters take {depth} channels, but its input has {channels}")
    _check_bias(node, 2, filters)
    window = (filter_height - 1) * node.step(5, 1) + 1, (filter_width - 1) * node.step(4, 1) + 1
    return batch, *_window_counts(node, (height, width), window), filters


def _depthwise(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    one, filter_height, filter_width, filters = node.shape(1, 4)
    if one != 1 or filters != channels * node.step(3):
        raise DataError(f"it has {filters} filters for {channels} channels, each {node.step(3)} times")
    _check_bias(node, 2, filters)
    window = (filter_height - 1) * node.step(6, 1) + 1, (filter_width - 1) * node.step(5, 1) + 1
    return batch, *_window_counts(node, (height, width), window), filters


def _transposed_convolution(node: Node) -> Shape:
    shape = node.numbers(0)
    filters, filter_height, filter_width, depth = node.shape(1, 4)
    batch, height, width, channels = node.shape(2, 4)
    _check_bias(node, 3, filters)
    if len(shape) != 4 or (shape[0], shape[3], depth) != (batch, filters, channels):
        raise DataError(f"it makes {list(shape)} of {list(node.shape(2))} by filters {list(node.shape(1))}")
    if _window_counts(node, (shape[1], shape[2]), (filter_height, filter_width)) != (height, width):
        raise DataError(f"it makes {list(shape)} of {list(node.shape(2))}")
    return shape


def _pool(node: Node) -> Shape:
    batch, height, width, channels = node.shape(0, 4)
    return batch, *_window_counts(node, (height, width), (node.step(4), node.step(3))), channels


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


def _resized(node: Node) -> Shape:
    batch, _, _, channels = node.shape(0, 4)
    height, width = node.numbers(1)
    return batch, height, width, channels


def _check_bias(node: Node, k: int, channels: int) -> None:
    if node.has(k) and math.prod(node.shape(k)) != channels:
        raise DataError(f"its bias is {list(node.shape(k))} for {channels} channels")


def _window_counts(node: Node, size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
    """How many windows fit below each other and beside each other; all such options begin with padding and strides."""
    padding, down, right = node.option(0, "<b"), node.step(2), node.step(1)
    if padding == _SAME:
        return -(-size[0] // down), -(-size[1] // right)
    if padding == _VALID:
        return (size[0] - window[0] + down) // down, (size[1] - window[1] + right) // right
    raise DataError(f"its padding is number {padding}")


RULES: dict[str, Callable[[Node], Shape | list[Shape]]] = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resized),
    "BATCH_MATMUL": _matrices,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed_convolution,
}
