"""Head, grid and sampler in NumPy integers: what the operators of a file compute, bit for bit, written independently.

Every step is the arithmetic meaning of the operators (shifts, floors, clamps), not a replay of them, in int64 with the
int32 wrap-around where the file relies on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.head import IntegerHead
from stn_rectify.converters.integer.sampler_plan import AFFINE_GUARD_BITS, DENOMINATOR_BITS, GRID_BITS, SamplerPlan
from stn_rectify.runtime.arrays import IntArray

Integers = IntArray


def reference_head(features: npt.ArrayLike, head: IntegerHead) -> tuple[Integers, Integers]:
    """int8 features [F] → coefficients (empty in a pose-only file) and θ, Q20."""
    centred = np.asarray(features, np.int64).ravel() - head.zero_point
    total = head.weights.astype(np.int64) @ centred + head.bias
    limits = head.limits.astype(np.int64) >> head.left_shift
    result = np.clip(total >> head.shift, -limits, limits) << head.left_shift
    return result[: head.coefficients], result[head.coefficients :]


def reference_grid(coefficients: npt.ArrayLike, plan: SamplerPlan) -> Integers:
    """Coefficients [6], [9] or [128] → x and y in the table, Q8, [2, h, w]."""
    if plan.transform == "tps":
        return _reference_spline(np.asarray(coefficients, np.int64), plan)
    rows, columns = plan.output_size
    c = np.asarray(coefficients, np.int64).reshape(-1, 3, 1, 1)
    j, i = np.arange(columns).reshape(1, -1), np.arange(rows).reshape(-1, 1)
    last = np.array(plan.last).reshape(2, 1, 1) << GRID_BITS
    if plan.transform == "affine":
        shift = plan.coefficient_bits - plan.position_bits
        column, row, offset = c[:, 0] * j >> shift, c[:, 1] * i >> shift, c[:, 2] >> shift
        position = column + row + offset + (plan.margin << plan.position_bits)
        rounding = 1 << (AFFINE_GUARD_BITS - 1)
        return np.asarray(np.clip((position + rounding) >> AFFINE_GUARD_BITS, 0, last))
    along_row, along_column = c[:, 0] * j, c[:, 1] * i + c[:, 2]
    shift = DENOMINATOR_BITS - plan.coefficient_bits
    half = 1 << (shift - 1)
    least = 1 << (plan.coefficient_bits - 8)
    denominator = ((along_row[2] + half) >> shift) + ((along_column[2] + half) >> shift)
    denominator = np.maximum(denominator, least)
    numerator = np.maximum(along_row[:2] + along_column[:2], 0)
    return np.asarray(np.maximum(last - (numerator << GRID_BITS) // denominator, 0))


def _reference_spline(coefficients: Integers, plan: SamplerPlan) -> Integers:
    """Sums over the functions of the column, then of the row, then straight lines between the knots."""
    spline, side = plan.spline, plan.side
    bits = spline.knot_bits(side)
    c = coefficients.reshape(len(spline.columns), len(spline.rows), 2)
    # Counted from the far edge, in table pixels: across [2, B, w], knots [2, knots, w].
    drop = spline.column_sum_bits(side) - spline.row_sum_bits(side) + spline.row_bits
    across = _rounded_shift(np.einsum("abc,aj->cbj", c, spline.columns), drop)
    knots = _rounded_shift(np.einsum("cbj,bk->ckj", across, spline.rows), spline.row_sum_bits(side) - bits)
    row = np.arange(plan.output_size[0])
    knot, share = row // spline.step, (row % spline.step)[:, None]
    following = np.minimum(knot + 1, knots.shape[1] - 1)
    distance = knots[:, knot] * (spline.step - share) + knots[:, following] * share
    bits += spline.step_bits
    last = np.array(plan.last).reshape(2, 1, 1) << bits
    half = 1 << (bits - GRID_BITS - 1)
    return np.asarray(np.maximum(last + half - np.maximum(distance, 0), 0) >> (bits - GRID_BITS))


def _rounded_shift(values: Integers, bits: int) -> Integers:
    return np.asarray((values + ((1 << bits) >> 1)) >> bits)


def reference_sampler(
    frame: npt.NDArray[np.int8], coefficients: npt.ArrayLike, plan: SamplerPlan
) -> npt.NDArray[np.int8]:
    """int8 frame [H, W, C] and coefficients → int8 rectified image [h, w, C]."""
    x, y = reference_grid(coefficients, plan)
    padding = [(plan.margin, plan.margin + 1), (plan.margin, plan.margin + 1), (0, 0)]
    padded = np.pad(np.asarray(frame, np.int64), padding, constant_values=plan.zero_point)
    one = 1 << GRID_BITS
    column, fx = x >> GRID_BITS, (x & (one - 1))[..., None]
    row, fy = y >> GRID_BITS, (y & (one - 1))[..., None]

    def interpolated(r: Integers) -> Integers:
        return np.asarray(padded[r, column] * (one - fx) + padded[r, column + 1] * fx + one // 2)

    upper, lower = interpolated(row), interpolated(row + 1)
    # Two lanes share one number: a negative upper one takes one unit of 2^-16 levels.
    blended = (upper * (one - fy) + lower * fy - ((upper < 0) & (fy > 0))) >> 16
    if plan.padding == "cut":
        height, width = plan.input_size
        inside = (column >= 1) & (column < width) & (row >= 1) & (row < height)
        blended = np.where(inside[..., None], blended, _blank(plan.zero_point, fy))
    return np.asarray(blended, np.int8)


def _blank(level: int, fy: Integers) -> Integers:
    """Gives what four equal pixels are blended to, the lanes' unit included."""
    upper = np.full(fy.shape, level * (1 << GRID_BITS) + (1 << GRID_BITS) // 2)
    return np.asarray((upper * (1 << GRID_BITS) - ((upper < 0) & (fy > 0))) >> 16)
