"""Rounding as in an INT8 file, with straight-through gradients (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["rounded_activation", "rounded_kernel"]

_SMALLEST_RANGE = 1e-6  # a tensor that is all zeros still needs a scale


def rounded_activation(x: Any, low: Any, high: Any) -> Any:
    """``x`` on the 256 levels of an asymmetric int8 tensor.

    Args:
        x: float tensor.
        low: least value of the range, a scalar; one above zero counts as zero.
        high: largest value of the range, a scalar; one below zero counts as zero.

    Returns:
        The same shape. Its gradient with respect to ``x`` is 1 inside the range and 0 outside.
    """
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    high = ops.maximum(high, low + _SMALLEST_RANGE)
    return keras.quantizers.fake_quant_with_min_max_vars(x, ops.stop_gradient(low), ops.stop_gradient(high))


def rounded_kernel(kernel: Any, channel_axes: tuple[int, ...]) -> Any:
    """``kernel`` on the 255 levels of a symmetric int8 tensor with a scale for each output channel.

    Batch normalization need not be folded in before: it multiplies a whole output channel, so kernel, scale and rounded
    kernel are all multiplied by the same number.

    Args:
        kernel: float tensor.
        channel_axes: the axes that number the output channels.

    Returns:
        The same shape. Its gradient with respect to ``kernel`` is 1.
    """
    rank = len(kernel.shape)
    others = sorted(set(range(rank)) - {axis % rank for axis in channel_axes})
    scale = ops.maximum(ops.max(ops.abs(kernel), axis=others, keepdims=True), _SMALLEST_RANGE) / 127.0
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)
