"""The integer grid generator: coefficients → clamped coordinates in the table, in built-in operators.

Multiplications happen on one row and one column only; what is as large as the image is added, clamped and (projective)
divided. Every bound below holds for *any* coefficients within `SamplerPlan.limits`.
"""

from __future__ import annotations

import numpy as np

from stn_rectify.converters.integer.repetition import repeat_last
from stn_rectify.converters.integer.sampler_plan import DENOMINATOR_BITS, GRID_BITS, SamplerPlan
from stn_rectify.converters.integer.tps_grid import build_tps_grid
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Tensor

__all__ = ["build_grid"]


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
        return build_tps_grid(graph, coefficients, plan)
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
    # How far before the far edge, not below zero; then the same from the near edge.
    before = graph.subtract(_repeat_columns(graph, along_column, plan), _repeat_rows(graph, along_row, plan), relu=True)
    return graph.subtract(_far_edge(graph, plan, bits, 1 << (bits - GRID_BITS - 1)), before, relu=True)


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
    whole = graph.divide(numerator, denominator)
    remainder = graph.subtract(numerator, graph.multiply(whole, denominator))
    scale = graph.fill((2, rows, columns), 1 << GRID_BITS)
    fraction = graph.divide(graph.multiply(graph.kept(remainder), scale), denominator)
    before = graph.add(graph.multiply(whole, scale), fraction)
    return graph.subtract(_far_edge(graph, plan, GRID_BITS), before, relu=True)


def _rounded_shift(graph: FlatbufferGraph, values: Tensor, bits: int) -> Tensor:
    return graph.shift_right_all(graph.add(values, graph.fill(values.shape, 1 << (bits - 1))), bits)


def _repeat_rows(graph: FlatbufferGraph, row: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, 1, w] → [n, h, w]."""
    return graph.tile(row, (1, plan.output_size[0], 1))


def _repeat_columns(graph: FlatbufferGraph, column: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, 1, h] → [n, h, w]."""
    return repeat_last(graph, graph.reshape(column, (column.shape[0], column.shape[2], 1)), plan.output_size[1])
