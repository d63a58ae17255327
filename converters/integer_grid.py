"""The integer grid generator: coefficients → clamped Q8 coordinates in the table, in built-in operators.

Multiplications happen on one row and one column only; what is as large as the image is added, clamped and (projective)
divided. Every bound below holds for *any* coefficients within `SamplerPlan.limits`.
"""

from __future__ import annotations

import numpy as np

from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph, Tensor
from stn_rectify.converters.sampler_plan import AFFINE_GUARD_BITS, DENOMINATOR_BITS, GRID_BITS, SamplerPlan

__all__ = ["build_grid"]


def build_grid(graph: FlatbufferGraph, coefficients: Tensor, plan: SamplerPlan) -> Tensor:
    """Appends the grid generator.

    Args:
        graph: where to.
        coefficients: int32 [6] or [9].
        plan: sizes and formats.

    Returns:
        int32 [2, h, w], Q8: x in [0, last x · 256], then y in [0, last y · 256].
    """
    rows, columns = plan.output_size
    count = coefficients.shape[0] // 3
    table = graph.reshape(coefficients, (count, 3))

    def column(index: int) -> Tensor:
        return graph.reshape(graph.slice(table, (0, index), (count, 1)), (count, 1, 1))

    along_row = graph.multiply(column(0), graph.constant(np.arange(columns).reshape(1, 1, -1)))  # |·| < 2^30
    along_column = graph.multiply(column(1), graph.constant(np.arange(rows).reshape(1, -1, 1)))  # |·| < 2^29
    along_column = graph.add(along_column, column(2))  # |·| < 2^30 - 2^20
    build = _affine_grid if plan.transform == "affine" else _projective_grid
    return build(graph, along_row, along_column, plan)


def _far_edge(graph: FlatbufferGraph, plan: SamplerPlan, bits: int, more: int = 0) -> Tensor:
    """[2, h, w]: the last x and the last y with so many fractional bits, and a little more."""
    last_x, last_y = ((last << bits) + more for last in plan.last)
    if last_x == last_y:
        return graph.fill((2, *plan.output_size), last_x)
    return graph.concatenate([graph.fill((1, *plan.output_size), last) for last in (last_x, last_y)])


def _affine_grid(graph: FlatbufferGraph, along_row: Tensor, along_column: Tensor, plan: SamplerPlan) -> Tensor:
    """Row and column parts in Q12, added, clamped and rounded to Q8 once: each rounded to Q8 would double the error."""
    bits = GRID_BITS + AFFINE_GUARD_BITS
    shift = plan.coefficient_bits - bits
    half = 1 << (shift - 1)
    margin = plan.margin << plan.coefficient_bits
    edges = np.array(plan.last).reshape(2, 1, 1) << bits
    # |along_row| < 2^25 and |along_column| < 2^25 from here on.
    along_row = graph.shift_right(graph.add(along_row, graph.constant([[[half]]])), shift)
    along_column = graph.shift_right(graph.add(along_column, graph.constant([[[half + margin]]])), shift)
    along_column = graph.subtract(graph.constant(edges), along_column)
    # How far before the far edge, not below zero; then the same from the near edge.
    before = graph.subtract(_repeat_columns(graph, along_column, plan), _repeat_rows(graph, along_row, plan), relu=True)
    rounding = 1 << (AFFINE_GUARD_BITS - 1)
    position = graph.subtract(_far_edge(graph, plan, bits, rounding), before, relu=True)
    return graph.shift_right_all(position, AFFINE_GUARD_BITS)


def _projective_grid(graph: FlatbufferGraph, along_row: Tensor, along_column: Tensor, plan: SamplerPlan) -> Tensor:
    """Numerators of (last - x) · den over den, counted from the far edge and then from the near one."""
    rows, columns = plan.output_size
    shift = DENOMINATOR_BITS - plan.coefficient_bits
    half = graph.constant([[[1 << (shift - 1)]]])
    least = 1 << (plan.coefficient_bits - 8)  # the denominator is held at 1/256 and above

    numerator = graph.add(
        _repeat_rows(graph, graph.slice(along_row, (0, 0, 0), (2, 1, columns)), plan),
        _repeat_columns(graph, graph.slice(along_column, (0, 0, 0), (2, rows, 1)), plan),
        relu=True,
    )  # [0, 2^31)
    den_row = graph.slice(along_row, (2, 0, 0), (1, 1, columns))
    den_column = graph.slice(along_column, (2, 0, 0), (1, rows, 1))
    den_row = graph.shift_right(graph.add(den_row, half), shift)
    den_column = graph.shift_right(graph.add(den_column, half), shift)
    den_column = graph.subtract(den_column, graph.constant([[[least]]]))
    denominator = graph.add(_repeat_rows(graph, den_row, plan), _repeat_columns(graph, den_column, plan), relu=True)
    denominator = graph.add(denominator, graph.fill((1, rows, columns), least))  # [least, 8 · 2^bits)
    denominator = graph.tile(denominator, (2, 1, 1))

    # One division would leave 0.1 px: whole pixels first, then 1/256 of the remainder. The remainder is less than
    # the denominator, less than 2^23, so 256 of it fit; the quotient is at most 2^31 / least, so 256 of it fit.
    whole = graph.divide(numerator, denominator)
    remainder = graph.subtract(numerator, graph.multiply(whole, denominator))
    scale = graph.fill((2, rows, columns), 1 << GRID_BITS)
    fraction = graph.divide(graph.multiply(remainder, scale), denominator)
    before = graph.add(graph.multiply(whole, scale), fraction)
    return graph.subtract(_far_edge(graph, plan, GRID_BITS), before, relu=True)


def _repeat_rows(graph: FlatbufferGraph, row: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, 1, w] → [n, h, w]."""
    return graph.tile(row, (1, plan.output_size[0], 1))


def _repeat_columns(graph: FlatbufferGraph, column: Tensor, plan: SamplerPlan) -> Tensor:
    """[n, h, 1] → [n, h, w] in two steps: TILE copies single numbers slowly, short runs fast."""
    width = plan.output_size[1]
    first = max((d for d in range(1, width + 1) if width % d == 0 and d * d <= 1.3 * width), default=1)
    return graph.tile(graph.tile(column, (1, 1, first)), (1, 1, width // first))
