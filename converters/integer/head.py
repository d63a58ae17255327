"""The head: int8 features → θ and grid coefficients, an exact int32 dot product.

A quantized Dense layer has 256 steps for all of θ, which is 0.2 px and more at the corners. Here every row keeps as
many fractional bits as an int32 accumulator can hold for *any* features, and overflow is excluded at conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.sampler_plan import THETA_BITS, SamplerPlan
from stn_rectify.converters.tflite.builder import Quantization, Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.errors import ModelFileError

#: More extra bits than this gain nothing: the rounding of the weights is already below one step of the result.
_MOST_EXTRA_BITS = 12


@dataclass(frozen=True)
class IntegerHead:
    """Integer weights of the head.

    Row r computes ``((Σ weights[r] · (features - zero_point) + bias[r]) >> shift[r]) << left_shift[r]``, of which the
    first rows are the grid's coefficients (held within ± limits), the rest θ in Q20.

    Attributes:
        weights: int32 [R, F].
        bias: int32 [R], the rounding of the shift included.
        shift: int32 [R], bits that were kept beyond the format.
        left_shift: int32 [R], bits that are missing from it: nonzero only for weights so large that the accumulator
            could not hold the format itself.
        limits: int32 [R], bounds of the result.
        coefficients: number of rows that are grid coefficients; 0 in a pose-only file.
        zero_point: of the features.
    """

    weights: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int32]
    left_shift: npt.NDArray[np.int32]
    limits: npt.NDArray[np.int32]
    coefficients: int
    zero_point: int


def quantize_head(
    kernel: npt.ArrayLike, bias: npt.ArrayLike, features: Quantization, plan: SamplerPlan | None
) -> IntegerHead:
    """Folds feature scale, θ → coefficients and fixed-point formats into integer weights.

    Args:
        kernel: of the Dense layer that gives θ, float [F, T], T being 6, 8 or 32.
        bias: float [T].
        features: quantization of the int8 features.
        plan: of the sampler; None for a pose-only file.

    Raises:
        ModelFileError: if weights are not finite, or so large that nothing fits.
    """
    w, b = np.asarray(kernel, np.float64).T, np.asarray(bias, np.float64)
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise ModelFileError("the weights of theta are not finite: the training diverged")
    rows, offsets, formats = [w], [b], [np.full(len(b), THETA_BITS)]
    limits = [np.full(len(b), (1 << 31) - 1)]
    if plan is not None:
        G, g = plan.coefficient_map()
        rows.insert(0, G @ w)
        offsets.insert(0, G @ b + g)
        formats.insert(0, plan.formats)
        limits.insert(0, plan.limits)
    quantized = [
        _quantize_row(row * features.scale, offset, int(bits), features.zero_point)
        for row, offset, bits in zip(np.vstack(rows), np.concatenate(offsets), np.concatenate(formats), strict=True)
    ]
    weights, biases, shifts = (np.array(part) for part in zip(*quantized, strict=True))
    return IntegerHead(
        weights=weights.astype(np.int32),
        bias=biases.astype(np.int32),
        shift=np.maximum(shifts, 0).astype(np.int32),
        left_shift=np.maximum(-shifts, 0).astype(np.int32),
        limits=np.concatenate(limits).astype(np.int32),
        coefficients=0 if plan is None else len(plan.formats),
        zero_point=features.zero_point,
    )


def _quantize_row(row: FloatArray, offset: float, bits: int, zero_point: int) -> tuple[IntArray, int, int]:
    """Weights, bias and shift with the most bits for which no features in [-128, 127] overflow 31 bits."""
    for extra in range(_MOST_EXTRA_BITS, -bits - 1, -1):
        scale = 2.0 ** (bits + extra)
        if max(np.abs(row).max(initial=0), abs(offset)) * scale >= 2**31:
            continue
        weights = np.round(row * scale).astype(np.int64)
        rounding = (1 << extra) >> 1 if extra > 0 else 0
        bias = round(offset * scale) + rounding
        # Interval of the products, then of every partial sum: zero belongs to it in whatever order they are added.
        products = np.stack([weights * (-128 - zero_point), weights * (127 - zero_point)])
        low = int(np.minimum(products.min(axis=0), 0).sum()) + min(bias, 0)
        high = int(np.maximum(products.max(axis=0), 0).sum()) + max(bias, 0)
        if low >= -(2**31) and high < 2**31 and np.abs(products).max(initial=0) < 2**31:
            return weights, bias, extra
    raise ModelFileError("the weights of theta are too large for 32-bit integers: the training diverged")


def build_head(graph: FlatbufferGraph, features: Tensor, head: IntegerHead) -> tuple[Tensor | None, Tensor]:
    """Appends the head.

    Args:
        graph: the trunk.
        features: int8 tensor, any shape.
        head: integer weights.

    Returns:
        The coefficients, int32 (None in a pose-only file), and θ, int32 Q20 [1, T].
    """
    rows, count = head.weights.shape
    flat = graph.cast(graph.reshape(features, (1, count)), "int32")
    centred = graph.subtract(flat, graph.constant(np.full((1, count), head.zero_point)))  # [-255, 255]
    products = graph.multiply(graph.tile(centred, (rows, 1)), graph.constant(head.weights))
    total = graph.add(graph.sum(products, axis=1), graph.constant(head.bias))  # |·| < 2^31: _quantize_row
    result = graph.shift_right(total, head.shift)
    bounds = head.limits >> head.left_shift
    result = graph.maximum(graph.minimum(result, graph.constant(bounds)), graph.constant(-bounds))
    if head.left_shift.any():
        result = graph.multiply(result, graph.constant(1 << head.left_shift))
    n = head.coefficients
    theta = graph.reshape(graph.slice(result, (n,), (rows - n,)), (1, rows - n))
    return (graph.slice(result, (0,), (n,)) if n else None), theta
