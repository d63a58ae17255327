"""Layers with kernels, computed with rounded ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import activations, layers, ops

__all__ = ["has_known_kernel", "is_fused_activation", "is_linear", "linear_part", "normalisation"]

Rounding = Callable[[Any], Any]
KernelRounding = Callable[[Any, tuple[int, ...]], Any]


def has_known_kernel(layer: Any) -> bool:
    """Tells whether `linear_part` can compute the layer; not a subclass, which may compute something else."""
    return type(layer) in _LINEAR


def is_fused_activation(function: Any) -> bool:
    """Tells whether TensorFlow Lite computes the activation inside the operator before it."""
    return function in (activations.linear, activations.relu, activations.relu6)


def is_linear(layer: Any) -> bool:
    """Tells whether the layer has a known kernel and no activation of its own."""
    return has_known_kernel(layer) and layer.activation is activations.linear


def linear_part(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    """The layer's output before its activation.

    Args:
        layer: a layer that `has_known_kernel`.
        x: its input.
        kernel: rounds a kernel, given the axes that number its output channels.
        between: rounds the tensor between the two convolutions of a separable one.
    """
    y = _LINEAR[type(layer)](layer, x, kernel, between)
    return y if layer.bias is None else y + layer.bias


def normalisation(layer: layers.BatchNormalization) -> tuple[Any, Any]:
    """Factor and offset of batch normalization with the statistics it has: what is folded into a converted file."""
    factor = ops.rsqrt(layer.moving_variance + layer.epsilon)
    factor = factor * layer.gamma if layer.scale else factor
    offset = -layer.moving_mean * factor
    return factor, offset + layer.beta if layer.center else offset


def _dense(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    return ops.matmul(x, kernel(layer.kernel, (-1,)))


def _convolution(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    return ops.conv(x, kernel(layer.kernel, (-1,)), **_geometry(layer))


def _transposed(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    rounded = kernel(layer.kernel, (2,))  # height, width, out, in
    return ops.conv_transpose(x, rounded, output_padding=layer.output_padding, **_geometry(layer))


def _depthwise(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    return ops.depthwise_conv(x, kernel(layer.kernel, (-2, -1)), **_geometry(layer))


def _separable(layer: Any, x: Any, kernel: KernelRounding, between: Rounding) -> Any:
    y = between(ops.depthwise_conv(x, kernel(layer.depthwise_kernel, (-2, -1)), **_geometry(layer)))
    return ops.conv(y, kernel(layer.pointwise_kernel, (-1,)), data_format=layer.data_format)


def _geometry(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "data_format": layer.data_format,
        "dilation_rate": tuple(layer.dilation_rate),
    }


_LINEAR: dict[type, Callable[[Any, Any, KernelRounding, Rounding], Any]] = {
    layers.Dense: _dense,
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
}
