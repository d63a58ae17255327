"""The integer bilinear sampler in built-in operators: no float, no custom operator, the same bits on every machine.

Two rows of the image are packed into one int32 (16-bit lanes), so that one GATHER fetches a column of two pixels and
one multiplication interpolates both. Shifts by whole bytes are made by reading the same memory as bytes (BITCAST),
moving it by one element (CONCATENATION, SLICE) and reading it back: several times faster than RIGHT_SHIFT.
Little-endian.
"""

from __future__ import annotations

import numpy as np

from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph, Tensor
from stn_rectify.converters.integer_grid import build_grid
from stn_rectify.converters.sampler_plan import GRID_BITS, SamplerPlan

__all__ = ["build_sampler"]

_ONE = 1 << GRID_BITS  # interpolation weights add up to this


def build_sampler(graph: FlatbufferGraph, frame: Tensor, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Appends grid generator and sampler.

    Args:
        graph: where to.
        frame: int8 [1, H, W, C] with a quantization.
        coefficients: int32 [6] or [9].
        plan: sizes and formats.

    Returns:
        int8 [1, h, w, C], quantized as the frame is.
    """
    points = plan.output_size[0] * plan.output_size[1]
    grid = graph.reshape(build_grid(graph, coefficients, plan), (2, points))
    fraction = graph.cast(graph.cast(grid, "uint8"), "int32")  # the low byte
    whole = graph.subtract(grid, fraction)  # pixels · 256
    complement = graph.subtract(graph.fill((2, points), _ONE), fraction)
    column, row = graph.split(whole, 2)
    fx, fy = (_every_channel(graph, w, plan) for w in graph.split(fraction, 2))
    fx0, fy0 = (_every_channel(graph, w, plan) for w in graph.split(complement, 2))

    # row · width + column, times 256; below 2^31 because the table has fewer than 2^23 pixels.
    index = graph.add(graph.multiply(row, graph.fill((1, points), plan.table_size[1])), column)
    index = _shift_right_one_byte(graph, graph.reshape(index, (points,)))
    table = _packed_table(graph, frame, plan)
    left = _planes(graph, graph.gather(table, index), plan)
    right = _planes(graph, graph.gather(table, graph.add(index, graph.fill((points,), 1))), plan)

    # Both lanes at once: 256 · value + rounding, upper pixel in the low half. Before the rounding is added four pixels
    # of -128 reach -2^31 - 2^15, which wraps; the sum with the rounding is in range again, and so are its bits.
    rounding = (_ONE // 2) * (1 + (1 << 16))
    lanes = graph.add(graph.multiply(left, fx0), graph.multiply(right, fx))
    lanes = graph.add(lanes, graph.fill((plan.channels, points), rounding))
    upper = graph.cast(graph.cast(lanes, "int16"), "int32")
    lower = _high_half(graph, lanes)  # one less where the low half is negative: 1/256 of a level
    blended = graph.add(graph.multiply(upper, fy0), graph.multiply(lower, fy))  # |·| <= 2^23
    return _third_byte(graph, blended, frame, plan)


def _every_channel(graph: FlatbufferGraph, weight: Tensor, plan: SamplerPlan) -> Tensor:
    """[1, N] → [C, N]."""
    return graph.tile(weight, (plan.channels, 1))


def _packed_table(graph: FlatbufferGraph, frame: Tensor, plan: SamplerPlan) -> Tensor:
    """int32 [pixels of the table + 1, C]: each pixel in the low half, the one below it in the high half."""
    height, width = plan.input_size
    rows, columns = plan.table_size
    margin, channels = plan.margin, plan.channels
    # As a matrix, because PAD is slow on a short last axis. Two spare rows: one is below the last row, and one more
    # pixel is read beside the last column, both with weight zero.
    flat = graph.reshape(frame, (height, width * channels))
    flat = graph.pad(flat, ((margin, margin + 2), (margin * channels,) * 2), plan.zero_point)
    flat = graph.reshape(flat, ((rows + 2) * columns * channels,))
    entries = (rows * columns + 1) * channels
    here = graph.cast(graph.slice(flat, (0,), (entries,)), "int32")
    below = graph.cast(graph.slice(flat, (columns * channels,), (entries,)), "int32")
    packed = graph.add(here, graph.multiply(below, graph.fill((entries,), 1 << 16)))
    return graph.reshape(packed, (rows * columns + 1, channels))


def _planes(graph: FlatbufferGraph, pixels: Tensor, plan: SamplerPlan) -> Tensor:
    """[N, C] → [C, N], so that weights need no copy for every pixel."""
    if plan.channels == 1:
        return graph.reshape(pixels, (1, pixels.shape[0]))
    return graph.transpose(pixels)


def _shift_right_one_byte(graph: FlatbufferGraph, values: Tensor) -> Tensor:
    """values >> 8 for non-negative multiples of 256, int32 [N]: the next number's low byte, zero, moves in on top."""
    n = values.size
    raw = graph.concatenate([graph.bitcast(values, (n, 4), "int8"), graph.constant(np.zeros((1, 4)), "int8")])
    moved = graph.slice(graph.reshape(raw, (4 * n + 4,)), (1,), (4 * n,))
    return graph.bitcast(graph.reshape(moved, (n, 4)), (n,), "int32")


def _high_half(graph: FlatbufferGraph, lanes: Tensor) -> Tensor:
    """lanes >> 16, int32 of the same shape."""
    n = lanes.size
    halves = graph.reshape(graph.bitcast(lanes, (*lanes.shape, 2), "int16"), (2 * n,))
    moved = graph.slice(graph.concatenate([halves, graph.constant([0, 0], "int16")]), (1,), (2 * n,))
    low_is_wanted = graph.bitcast(graph.reshape(moved, (*lanes.shape, 2)), lanes.shape, "int32")
    return graph.cast(graph.cast(low_is_wanted, "int16"), "int32")


def _third_byte(graph: FlatbufferGraph, blended: Tensor, frame: Tensor, plan: SamplerPlan) -> Tensor:
    """Bits 16 to 23 of int32 [C, N], value · 2^16 with its rounding, as the rectified image."""
    n = blended.size
    halves = graph.bitcast(blended, (*blended.shape, 2), "int16")
    low_bytes = graph.reshape(graph.cast(halves, "int8"), (2 * n,))  # bytes 0 and 2 of every number
    moved = graph.slice(graph.concatenate([low_bytes, graph.constant([0, 0], "int8")]), (1,), (2 * n,))
    pairs = graph.bitcast(graph.reshape(moved, (n, 2)), (n,), "int16")  # byte 2 is the low byte now
    image = graph.cast(pairs, "int8", frame.quantization)
    if plan.channels > 1:
        image = graph.transpose(graph.reshape(image, (plan.channels, n // plan.channels)))
    return graph.reshape(image, (1, *plan.output_size, plan.channels))
