"""The integer grid generator of a thin-plate spline: coefficients → clamped coordinates, in built-in operators.

Two sums of products (`separable_spline.py`): over the functions of the column, which gives short tables; over the
functions of the row, at every ``step``-th row. What is as large as the image is interpolated linearly from there. All
positions are counted from the far edge, last - x, so that fused RELUs do the clamping. The bounds below hold for *any*
coefficients within `SamplerPlan.limits`.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from stn_rectify.converters.integer.repetition import repeat_last
from stn_rectify.converters.integer.sampler_plan import GRID_BITS, SamplerPlan
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Tensor

__all__ = ["build_tps_grid"]


def build_tps_grid(graph: FlatbufferGraph, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Appends the grid generator.

    Args:
        graph: where to.
        coefficients: int32 [A · B · 2]: for each function of the column and each of the row, x and y.
        plan: sizes and formats.

    Returns:
        int32 [2, h, w], Q8 or Q16 (`SamplerPlan.position_bits`): x from 0 to the table's last column, then y.
    """
    spline, (height, width) = plan.spline, plan.output_size
    bits = spline.knot_bits(plan.side)
    (a, _), (b, knots) = spline.columns.shape, spline.rows.shape

    # Q(column_sum_bits), |·| < 2^31 by the choice of these bits, and so is every partial sum.
    values = graph.reshape(coefficients, (a, 2 * b, 1))
    across = _weighted_sum(graph, repeat_last(graph, values, width), graph.constant(spline.columns[:, None]))
    row_sum_bits = spline.row_sum_bits(plan.side)
    across = _rounded_shift(graph, across, spline.column_sum_bits(plan.side) - row_sum_bits + spline.row_bits)
    # Q(row_sum_bits), |·| < 2^31; then Q(knot_bits).
    values = graph.tile(graph.reshape(across, (2 * b, 1, width)), (1, knots, 1))
    weights = graph.constant(np.repeat(spline.rows, 2, axis=0)[:, :, None])
    values = graph.reshape(values, (b, 2 * knots, width))
    weights = graph.reshape(repeat_last(graph, weights, width), (b, 2 * knots, width))
    before = _rounded_shift(graph, _weighted_sum(graph, values, weights), row_sum_bits - bits)

    before = graph.reshape(before, (2, knots, width))
    if spline.step > 1:
        before = _between_knots(graph, before, plan)
        bits += spline.step_bits
    else:
        before = graph.subtract(before, graph.fill(before.shape, 0), relu=True)
    edges = [graph.fill((1, height, width), (last << bits) + (1 << (bits - GRID_BITS - 1))) for last in plan.last]
    position = graph.subtract(graph.concatenate(edges), before, relu=True)
    return position if bits == plan.position_bits else graph.shift_right_all(position, bits - GRID_BITS)


def _weighted_sum(graph: FlatbufferGraph, values: Tensor, weights: Tensor) -> Tensor:
    """Σ values · weights over the first axis: [n, m, w] and [n, m or 1, w] → [1, m, w]."""
    count, rows, _ = values.shape
    if weights.shape[1] != rows:
        weights = graph.tile(weights, (1, rows, 1))
    products = graph.multiply(values, weights)
    return reduce(graph.add, graph.split(products, count)) if count > 1 else products


def _rounded_shift(graph: FlatbufferGraph, values: Tensor, bits: int) -> Tensor:
    if bits == 0:
        return values
    return graph.shift_right_all(graph.add(values, graph.fill(values.shape, 1 << (bits - 1))), bits)


def _between_knots(graph: FlatbufferGraph, knots: Tensor, plan: SamplerPlan) -> Tensor:
    """[2, knots, w] → step times the positions at every row, not below zero: [2, h, w]."""
    step, height = plan.spline.step, plan.output_size[0]
    _, count, width = knots.shape
    first, second = (graph.slice(knots, (0, k, 0), (2, count - 1, width)) for k in (0, 1))
    rise = graph.reshape(graph.subtract(second, first), (2 * (count - 1), width))
    # |knot| · step + |rise| · (step - 1) < 2^31 by the choice of knot_bits.
    start = graph.multiply(knots, graph.fill(knots.shape, step))
    start = graph.reshape(start, (2 * count, width))

    row = np.arange(height)
    piece = np.minimum(row // step, count - 2)  # the last row may be the last knot: the end of a piece
    starts = graph.gather(start, graph.constant(np.concatenate([piece, piece + count])))
    rises = graph.gather(rise, graph.constant(np.concatenate([piece, piece + count - 1])))
    share = repeat_last(graph, graph.constant((row - piece * step).reshape(1, -1, 1)), width)
    share = graph.reshape(graph.tile(share, (2, 1, 1)), (2 * height, width))
    return graph.reshape(graph.add(starts, graph.multiply(rises, share), relu=True), (2, height, width))
