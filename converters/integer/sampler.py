"""The integer bilinear sampler in built-in operators: no float, no custom operator, the same bits on every machine.

Two rows of the image are packed into one int32 (16-bit lanes), so that one multiplication interpolates both. Between
the rows, one multiplication of int64 makes the two products and their sum: (a + b·2^32) · (v + w·2^32) has a·w + b·v
in its upper half. Shifts by whole bytes are made by reading the same memory as bytes (BITCAST), moving it by some
(CONCATENATION, SLICE) and reading it back: several times faster than RIGHT_SHIFT. Little-endian.

What was tried, and what it costs: docs/laboratory/sampler-speed.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stn_rectify.converters.integer.grid import build_grid
from stn_rectify.converters.integer.sampler_plan import GRID_BITS, SamplerPlan
from stn_rectify.converters.tflite.builder import Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.runtime.arrays import IntArray

_ONE = 1 << GRID_BITS  # interpolation weights add up to this


def build_sampler(graph: FlatbufferGraph, frame: Tensor, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Appends grid generator and sampler.

    Args:
        graph: where to.
        frame: int8 [1, H, W, C] with a quantization.
        coefficients: int32, as many as `SamplerPlan.formats`.
        plan: sizes and formats.

    Returns:
        int8 [1, h, w, C], quantized as the frame is.
    """
    (column, fx), (row, fy) = _whole_and_fraction(graph, build_grid(graph, coefficients, plan), plan)
    index = _indices(graph, column, row, plan)
    fx0 = graph.subtract(graph.fill(fx.shape, _ONE), fx)
    products = []
    for pixels, weight in zip(_neighbours(graph, frame, index, plan), (fx0, fx), strict=True):
        factors = (_planes(graph, pixels, plan), _every_channel(graph, weight, plan))
        products.append(graph.multiply(*(graph.kept(factor) for factor in factors)))
    # Both lanes at once: 256 · value + rounding, upper pixel in the low half. Before the rounding is added four pixels
    # of -128 reach -2^31 - 2^15, which wraps; the sum with the rounding is in range again, and so are its bits.
    rounding = (_ONE // 2) * (1 + (1 << 16))
    lanes = graph.add(*products)
    lanes = graph.add(lanes, graph.fill(lanes.shape, rounding))
    # The lanes 32 bits apart. A negative upper pixel borrows one from the lower one's lane, and as a lane without sign
    # carries the weight into the upper half of the product: together one unit of 2^-16 levels less.
    wide = graph.cast(graph.bitcast(lanes, (*lanes.shape, 2), "int16"), "int32")
    fy_pair = _every_channel(graph, _row_weights(graph, fy), plan)
    blended = graph.multiply(graph.bitcast(wide, lanes.shape, "int64"), fy_pair)  # upper half: |·| <= 2^23
    return _seventh_byte(graph, blended, frame, plan)


def _whole_and_fraction(graph: FlatbufferGraph, grid: Tensor, plan: SamplerPlan) -> list[tuple[Tensor, Tensor]]:
    """For x and for y: whole pixels [N] and 1/256 of a pixel [1, N], int32, cut out of the positions byte by byte."""
    points = grid.size // 2
    raw = graph.reshape(graph.bitcast(grid, (*grid.shape, 4), "int8"), (8 * points,))
    raw = graph.concatenate([raw, graph.constant(np.zeros(4), "int8")])

    def cut(axis: int, byte: int, dtype: str, shape: tuple[int, ...]) -> Tensor:
        moved = graph.slice(raw, (4 * points * axis + byte,), (4 * points,))
        moved = graph.bitcast(graph.reshape(moved, (*shape, 4)), shape, "int32")
        return graph.cast(graph.cast(moved, dtype), "int32")

    byte = (plan.position_bits - GRID_BITS) // 8
    return [(cut(k, byte + 1, "int16", (points,)), cut(k, byte, "uint8", (1, points))) for k in (0, 1)]


def _indices(graph: FlatbufferGraph, column: Tensor, row: Tensor, plan: SamplerPlan) -> Tensor:
    """The place of each pixel's upper left neighbour in the table, row by row, int32 [N].

    Where the image is cut, columns and rows are looked up: what lies before the first pixel's centre or from the last
    one's on is read from the middle of a margin of two, where all four neighbours are zero, whatever the fraction.
    """
    width = _stored_size(plan)[1]
    if plan.padding != "cut":
        factor = graph.fill(column.shape, width)
        return graph.add(graph.multiply(graph.kept(row), graph.kept(factor)), column)
    columns, rows = (_places_when_cut(size) for size in (plan.input_size[1], plan.input_size[0]))
    places = (graph.gather(graph.constant(rows * width), row), graph.gather(graph.constant(columns), column))
    return graph.add(*places)


def _places_when_cut(size: int) -> IntArray:
    """For each column of the grid's table, of which the frame begins at 1: the column that is stored, int [size + 2].

    The frame is stored from 2 on, with two columns of zeros on either side.
    """
    places = np.arange(size + 2) + 1
    places[0] = 0  # before the first pixel
    places[size:] = size + 2  # from the last one on
    return places


def _stored_size(plan: SamplerPlan) -> tuple[int, int]:
    """Rows and columns of the frame as it is stored, its margin included."""
    if plan.padding != "cut":
        return plan.table_size
    return plan.input_size[0] + 4, plan.input_size[1] + 4


def _row_weights(graph: FlatbufferGraph, fraction: Tensor) -> Tensor:
    """f → f + (256 - f) · 2^32, int64 [1, N]: made with the two 16 bits apart, then widened."""
    shape = fraction.shape
    pair = graph.multiply(graph.kept(fraction), graph.kept(graph.fill(shape, 1 - (1 << 16))))
    pair = graph.add(pair, graph.fill(shape, _ONE << 16))
    wide = graph.cast(graph.bitcast(pair, (*shape, 2), "int16"), "int32")
    return graph.bitcast(wide, shape, "int64")


def _every_channel(graph: FlatbufferGraph, weight: Tensor, plan: SamplerPlan) -> Tensor:
    """[1, N] → [C, N]."""
    return graph.tile(weight, (plan.channels, 1))


def _neighbours(graph: FlatbufferGraph, frame: Tensor, index: Tensor, plan: SamplerPlan) -> Iterator[Tensor]:
    """The pixels at each index, then those to their right, int32 [N, C]: each with the pixel below in the high half."""
    (height, width), (rows, columns) = plan.input_size, _stored_size(plan)
    margin, channels, points = (rows - height) // 2, plan.channels, index.size
    # As a matrix, because PAD is slow on a short last axis. Two spare rows: one is below the last row, and one more
    # pixel is read beside the last column, both with weight zero.
    flat = graph.reshape(frame, (height, width * channels))
    flat = graph.pad(flat, ((margin, margin + 2), (margin * channels,) * 2), plan.zero_point)
    flat = graph.reshape(flat, ((rows + 2) * columns * channels,))
    entries = rows * columns + 1
    # Packing all pixels costs more than packing those that were gathered if the image is much smaller than the frame.
    if channels * entries <= (2 * channels + 8) * points:
        upper = graph.slice(flat, (0,), (entries * channels,))
        lower = graph.slice(flat, (columns * channels - 1,), (entries * channels + 1,))
        table = graph.reshape(_packed(graph, upper, lower), (entries, channels))
        for step in (0, 1):
            yield graph.gather(table, _moved(graph, index, step))
    else:
        pixels = graph.reshape(flat, ((rows + 2) * columns, channels))
        for step in (0, 1):
            places = (_moved(graph, index, step + down) for down in (0, columns))
            upper, lower = (graph.reshape(graph.gather(pixels, place), (points * channels,)) for place in places)
            lower = graph.pad(lower, ((1, 0),), 0)
            yield graph.reshape(_packed(graph, upper, lower), (points, channels))


def _moved(graph: FlatbufferGraph, index: Tensor, step: int) -> Tensor:
    return graph.add(index, graph.fill(index.shape, step)) if step else index


def _packed(graph: FlatbufferGraph, upper: Tensor, lower: Tensor) -> Tensor:
    """int8 [n], int8 [1 + n], the first of which does not count → upper + lower · 2^16, int32 [n]."""
    n = upper.size
    lanes = graph.cast(graph.cast(lower, "uint16"), "int32")  # the high half of each is zero
    lanes = graph.reshape(graph.bitcast(lanes, (n + 1, 2), "int16"), (2 * n + 2,))
    moved = graph.reshape(graph.slice(lanes, (1,), (2 * n,)), (n, 2))  # the zero before, then the number
    return graph.add(graph.cast(upper, "int32"), graph.bitcast(moved, (n,), "int32"))


def _planes(graph: FlatbufferGraph, pixels: Tensor, plan: SamplerPlan) -> Tensor:
    """[N, C] → [C, N], so that weights need no copy for every pixel."""
    if plan.channels == 1:
        return graph.reshape(pixels, (1, pixels.shape[0]))
    return graph.transpose(pixels)


def _seventh_byte(graph: FlatbufferGraph, blended: Tensor, frame: Tensor, plan: SamplerPlan) -> Tensor:
    """Bits 48 to 55 of int64 [C, N], value · 2^48 with its rounding, as the rectified image."""
    n = blended.size
    lanes = graph.bitcast(blended, (*blended.shape, 4), "int16")
    even_bytes = graph.reshape(graph.cast(lanes, "int8"), (4 * n,))  # bytes 0, 2, 4 and 6 of every number
    moved = graph.slice(graph.concatenate([even_bytes, graph.constant([0, 0, 0], "int8")]), (3,), (4 * n,))
    # Quantized from here on, so no RESHAPE after this, which would be one more copy where XNNPACK takes it.
    planes = (1, plan.channels, *plan.output_size) if plan.channels > 1 else (1, *plan.output_size, 1)
    last_first = graph.bitcast(graph.reshape(moved, (*planes, 4)), planes, "int32")
    image = graph.cast(last_first, "int8", frame.quantization)
    return graph.transpose(image, (0, 2, 3, 1)) if plan.channels > 1 else image
