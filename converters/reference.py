"""Head, grid and sampler in NumPy integers: what the operators of a file compute, bit for bit, written independently.

Every step is the arithmetic meaning of the operators (shifts, floors, clamps), not a replay of them, in int64 with the
int32 wrap-around where the file relies on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer_head import IntegerHead
from stn_rectify.converters.sampler_plan import AFFINE_GUARD_BITS, DENOMINATOR_BITS, GRID_BITS, SamplerPlan

__all__ = ["reference_grid", "reference_head", "reference_sampler"]

Integers = npt.NDArray[np.int64]


def reference_head(features: npt.ArrayLike, head: IntegerHead) -> tuple[Integers, Integers]:
    """int8 features [F] → coefficients [6 or 9] (empty in a pose-only file) and θ [6 or 8], Q20."""
    centred = np.asarray(features, np.int64).ravel() - head.zero_point
    total = head.weights.astype(np.int64) @ centred + head.bias
    limits = head.limits.astype(np.int64) >> head.left_shift
    result = np.clip(total >> head.shift, -limits, limits) << head.left_shift
    return result[: head.coefficients], result[head.coefficients :]


def reference_grid(coefficients: npt.ArrayLike, plan: SamplerPlan) -> Integers:
    """Coefficients [6] or [9] → x and y in the table, Q8, [2, h, w]."""
    rows, columns = plan.output_size
    c = np.asarray(coefficients, np.int64).reshape(-1, 3, 1, 1)
    j, i = np.arange(columns).reshape(1, -1), np.arange(rows).reshape(-1, 1)
    along_row, along_column = c[:, 0] * j, c[:, 1] * i + c[:, 2]
    last = np.array(plan.last).reshape(2, 1, 1) << GRID_BITS
    if plan.transform == "affine":
        shift = plan.coefficient_bits - GRID_BITS - AFFINE_GUARD_BITS
        half = 1 << (shift - 1)
        margin = plan.margin << plan.coefficient_bits
        position = ((along_row + half) >> shift) + ((along_column + half + margin) >> shift)
        rounding = 1 << (AFFINE_GUARD_BITS - 1)
        return np.asarray(np.clip((position + rounding) >> AFFINE_GUARD_BITS, 0, last))
    shift = DENOMINATOR_BITS - plan.coefficient_bits
    half = 1 << (shift - 1)
    least = 1 << (plan.coefficient_bits - 8)
    denominator = ((along_row[2] + half) >> shift) + ((along_column[2] + half) >> shift)
    denominator = np.maximum(denominator, least)
    numerator = np.maximum(along_row[:2] + along_column[:2], 0)
    return np.asarray(np.maximum(last - (numerator << GRID_BITS) // denominator, 0))


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

    upper = interpolated(row)
    # The two lanes share one number: a negative low lane borrows one from the high lane.
    lower = interpolated(row + 1) - (upper < 0)
    return np.asarray((upper * (one - fy) + lower * fy) >> 16, np.int8)
