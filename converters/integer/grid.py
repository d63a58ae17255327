"""The integer grid generator: coefficients → clamped coordinates in the table, in built-in operators.

Products with coefficients are made on one row and one column only, those of a spline on the rows of its knots; what is
as large as the image is added, clamped, divided (projective) or interpolated between knots (a spline). Positions are
counted from the far edge, last - x, so that fused RELUs do the clamping. Every bound below holds for *any* coefficients
within `SamplerPlan.limits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce
from math import prod

import numpy as np

from stn_rectify.converters.integer.sampler_plan import DENOMINATOR_BITS, GRID_BITS, SamplerPlan
from stn_rectify.converters.tflite.builder import Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph

#: What one more operator costs, in copies of a run.
_STEP_COST = 3


def build_grid(graph: FlatbufferGraph, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Appends the grid generator.

    Args:
        graph: where to.
        coefficients: int32 [6], [9] or, of a spline, [128].
        plan: sizes and formats.

    Returns:
        int32 [2, h, w], Q8 or Q16 (`SamplerPlan.position_bits`): x from 0 to the table's last column, then y.
    """
    if plan.transform == "tps":
        return _tps_grid(graph, coefficients, plan)
    build = _affine_grid if plan.transform == "affine" else _projective_grid
    return build(graph, _products(graph, coefficients, plan), plan)


def _products(graph: FlatbufferGraph, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """For each row of the matrix, its three numbers times column numbers, row numbers and one: [2 or 3, 3, length].

    One multiplication of equal shapes: those that broadcast are slow, even for so few numbers.
    """
    rows, columns = plan.output_size
    length = max(rows, columns)
    count = coefficients.shape[0] // 3
    numbers = np.zeros((count, 3, length), int)
    numbers[:, 0, :columns] = np.arange(columns)  # |product| < 2^30
    numbers[:, 1, :rows] = np.arange(rows)  # |product| < 2^29 - 2^20
    numbers[:, 2, :rows] = 1  # |product| < 2^29 - 2^20
    repeated = repeat_last(graph, graph.reshape(coefficients, (count, 3, 1)), length)
    return graph.multiply(repeated, graph.constant(numbers))


def _along_row(graph: FlatbufferGraph, products: Tensor, plan: SamplerPlan, first: int, count: int) -> Tensor:
    """[count, 1, w]."""
    return graph.slice(products, (first, 0, 0), (count, 1, plan.output_size[1]))


def _along_column(graph: FlatbufferGraph, products: Tensor, plan: SamplerPlan, first: int, count: int) -> Tensor:
    """[count, 1, h], the offset added."""
    factor, offset = (graph.slice(products, (first, k, 0), (count, 1, plan.output_size[0])) for k in (1, 2))
    return graph.add(factor, offset)


def _far_edge(graph: FlatbufferGraph, plan: SamplerPlan, bits: int, more: int = 0) -> Tensor:
    """[2, h, w]: the last x and the last y with so many fractional bits, and a little more."""
    last_x, last_y = ((last << bits) + more for last in plan.last)
    if last_x == last_y:
        return graph.fill((2, *plan.output_size), last_x)
    return graph.concatenate([graph.fill((1, *plan.output_size), last) for last in (last_x, last_y)])


def _affine_grid(graph: FlatbufferGraph, products: Tensor, plan: SamplerPlan) -> Tensor:
    """All in Q16, rounded to Q8 by cutting bytes off later: had each part been rounded to Q8, errors would double."""
    bits = plan.position_bits
    products = graph.shift_right_all(products, plan.coefficient_bits - bits)
    along_row = _along_row(graph, products, plan, 0, 2)  # |·| < 2^29
    along_column = _along_column(graph, products, plan, 0, 2)  # |·| < 2^29
    edges = [(last - plan.margin) << bits for last in plan.last]  # < 2^29
    far = graph.constant(np.broadcast_to(np.reshape(edges, (2, 1, 1)), along_column.shape))
    along_column = graph.subtract(far, along_column)
    # The distance from the far edge, not below zero; then from the near edge.
    distance = graph.subtract(
        _repeat_columns(graph, along_column, plan), _repeat_rows(graph, along_row, plan), relu=True
    )
    return graph.subtract(_far_edge(graph, plan, bits, 1 << (bits - GRID_BITS - 1)), distance, relu=True)


def _projective_grid(graph: FlatbufferGraph, products: Tensor, plan: SamplerPlan) -> Tensor:
    """Numerators of (last - x) · den over den, counted from the far edge and then from the near one."""
    rows, columns = plan.output_size
    shift = DENOMINATOR_BITS - plan.coefficient_bits
    least = 1 << (plan.coefficient_bits - 8)  # the denominator is held at 1/256 and above

    numerator = graph.add(
        _repeat_rows(graph, _along_row(graph, products, plan, 0, 2), plan),
        _repeat_columns(graph, _along_column(graph, products, plan, 0, 2), plan),
        relu=True,
    )  # [0, 2^31)
    den_row = _rounded_shift(graph, _along_row(graph, products, plan, 2, 1), shift)
    den_column = _rounded_shift(graph, _along_column(graph, products, plan, 2, 1), shift)
    den_column = graph.subtract(den_column, graph.fill(den_column.shape, least))
    denominator = graph.add(_repeat_rows(graph, den_row, plan), _repeat_columns(graph, den_column, plan), relu=True)
    denominator = graph.add(denominator, graph.fill((1, rows, columns), least))  # [least, 8 · 2^bits)
    denominator = graph.tile(denominator, (2, 1, 1))

    # One division would leave 0.1 px: whole pixels first, then 1/256 of the remainder. The remainder is less than
    # the denominator, less than 2^23, so 256 of it fit; the quotient is at most 2^31 / least, so 256 of it fit.
    whole_pixels = graph.divide(numerator, denominator)
    remainder = graph.subtract(numerator, graph.multiply(whole_pixels, denominator))
    scale = graph.fill((2, rows, columns), 1 << GRID_BITS)
    fraction = graph.divide(graph.multiply(graph.kept(remainder), scale), denominator)
    distance = graph.add(graph.multiply(whole_pixels, scale), fraction)
    return graph.subtract(_far_edge(graph, plan, GRID_BITS), distance, relu=True)


def _tps_grid(graph: FlatbufferGraph, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Two sums of products (`separable_spline.py`), counted from the far edge, then straight lines between the knots.

    Over the functions of the column, which gives short tables; over the functions of the row, at every ``step``-th row.
    What is as large as the image is interpolated linearly from there. ``coefficients``: int32 [A · B · 2], for each
    function of the column and each of the row, x and y.
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
    distance = _rounded_shift(graph, _weighted_sum(graph, values, weights), row_sum_bits - bits)

    distance = graph.reshape(distance, (2, knots, width))
    if spline.step > 1:
        distance = _between_knots(graph, distance, plan)
        bits += spline.step_bits
    else:
        distance = graph.subtract(distance, graph.fill(distance.shape, 0), relu=True)
    edges = [graph.fill((1, height, width), (last << bits) + (1 << (bits - GRID_BITS - 1))) for last in plan.last]
    position = graph.subtract(graph.concatenate(edges), distance, relu=True)
    return position if bits == plan.position_bits else graph.shift_right_all(position, bits - GRID_BITS)


def _weighted_sum(graph: FlatbufferGraph, values: Tensor, weights: Tensor) -> Tensor:
    """Σ values · weights over the first axis: [n, m, w] and [n, m or 1, w] → [1, m, w]."""
    count, rows, _ = values.shape
    if weights.shape[1] != rows:
        weights = graph.tile(weights, (1, rows, 1))
    products = graph.multiply(values, weights)
    return reduce(graph.add, graph.split(products, count)) if count > 1 else products


def _between_knots(graph: FlatbufferGraph, knots: Tensor, plan: SamplerPlan) -> Tensor:
    """[2, knots, w] → step times the positions at every row, not below zero: [2, h, w]."""
    step, height = plan.spline.step, plan.output_size[0]
    _, count, width = knots.shape
    upper, lower = (graph.slice(knots, (0, k, 0), (2, count - 1, width)) for k in (0, 1))
    rise = graph.reshape(graph.subtract(lower, upper), (2 * (count - 1), width))
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


def _rounded_shift(graph: FlatbufferGraph, values: Tensor, bits: int) -> Tensor:
    if bits == 0:
        return values
    return graph.shift_right_all(graph.add(values, graph.fill(values.shape, 1 << (bits - 1))), bits)


def _repeat_rows(graph: FlatbufferGraph, row: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, 1, w] → [n, h, w]."""
    return graph.tile(row, (1, plan.output_size[0], 1))


def _repeat_columns(graph: FlatbufferGraph, column: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, 1, h] → [n, h, w]."""
    return repeat_last(graph, graph.reshape(column, (column.shape[0], column.shape[2], 1)), plan.output_size[1])


def repeat_last(graph: FlatbufferGraph, column: Tensor, width: int) -> Tensor:
    """[…, 1] → […, width], with TILE, which copies single numbers slowly and long runs fast."""
    if width == 1:
        return column
    *outer, _ = column.shape
    steps = _steps(width)
    for times in steps:
        column = graph.tile(column, (*(1 for _ in outer), times))
    if prod(steps) == width:
        return column
    return graph.slice(column, (0,) * len(column.shape), (*outer, width))


@lru_cache
def _steps(width: int) -> tuple[int, ...]:
    """Gives the repetitions, TILE by TILE, that fill at least a width: few copies, each as long as may be."""
    candidates = (steps for total in range(width, width + width // 8 + 1) for steps in _ordered_factors(total))
    return min(candidates, key=lambda steps: sum(steps) + _STEP_COST * (len(steps) + (prod(steps) > width)))


def _ordered_factors(number: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as an ordered product, itself included."""
    yield (number,)
    for factor in range(2, number // 2 + 1):
        if number % factor == 0:
            yield from ((factor, *rest) for rest in _ordered_factors(number // factor))
