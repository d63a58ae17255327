"""Convolutions, pooling, products with weights, resizing: images channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.laid_out import CHANNELS_LAST, Value, logical
from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.converters.reading.onnx.operators.windows import Windows
from stn_rectify.runtime.arrays import Array


def _image(call: Call) -> Any:
    """The input as a tensor [N, H, W, C]."""
    value = call.value(0)
    if len(value.axes) != 4:
        call.refuse(f"works on {list(value.shape)}, but an image [batch, channels, height, width] is needed")
    return value.laid(CHANNELS_LAST)


def _conv(call: Call) -> Value:
    image = _image(call)
    weights = np.asarray(call.constant(1, "weights"), np.float32)
    groups = int(call.attribute("group", 1))
    windows = Windows.of(call, image.shape.as_list()[1:3], weights.shape[2:])
    filters = weights.transpose(2, 3, 1, 0)
    if windows.is_whole and groups == 1:
        # One window: a dense layer, whose numbers keep their bits where theta is made of them.
        row = tf.reshape(image, [image.shape[0], -1])
        found = tf.matmul(row, filters.reshape(-1, filters.shape[3]))
        return Value(_biased(call, found)[:, None, None], CHANNELS_LAST)
    if groups == 1:
        found = windows.convolved(image, filters, tf.nn.conv2d)
    elif groups == image.shape[3]:
        multiplied = weights.shape[0] // groups
        by_channel = filters.reshape(*filters.shape[:2], groups, multiplied)
        found = windows.convolved(image, by_channel, tf.nn.depthwise_conv2d)
    else:
        parts = zip(tf.split(image, groups, axis=3), np.split(filters, groups, axis=3), strict=True)
        found = tf.concat([windows.convolved(*part, tf.nn.conv2d) for part in parts], axis=3)
    return Value(_biased(call, found), CHANNELS_LAST)


def _biased(call: Call, tensor: Any) -> Any:
    bias = call.given(2)
    return tensor if bias is None else tf.nn.bias_add(tensor, np.asarray(call.constant(2, "biases"), np.float32))


def _max_pool(call: Call) -> Value:
    image = _image(call)
    windows = Windows.of(call, image.shape.as_list()[1:3], call.attribute("kernel_shape"))
    if windows.dilations != (1, 1):
        call.refuse("has a dilation, for which there is no INT8 operator; replace it by one without")
    if len([name for name in call.node.outputs if name]) > 1:
        call.refuse("gives the places of its maxima, too; replace it by one with return_indices=False")
    padding, image = ("SAME", image) if windows.is_same else ("VALID", windows.edge_padded(image))
    return Value(tf.nn.max_pool2d(image, windows.sizes, windows.strides, padding), CHANNELS_LAST)


def _average_pool(call: Call) -> Value:
    image = _image(call)
    windows = Windows.of(call, image.shape.as_list()[1:3], call.attribute("kernel_shape"))
    if windows.dilations != (1, 1):
        call.refuse("has a dilation, for which there is no INT8 operator; replace it by one without")
    counts_zeros = bool(call.attribute("count_include_pad", 0))
    if windows.is_same and not counts_zeros:
        found = tf.nn.avg_pool2d(image, windows.sizes, windows.strides, "SAME")
        return Value(found, CHANNELS_LAST)
    found = tf.nn.avg_pool2d(windows.zero_padded(image), windows.sizes, windows.strides, "VALID")
    share = windows.share_counted(counts_zeros)
    return Value(found if (share == 1).all() else found * (1 / share)[None, :, :, None], CHANNELS_LAST)


def _global_pool(reduce: Callable[..., Any]) -> Callable[[Call], Value]:
    return lambda call: Value(reduce(_image(call), axis=[1, 2], keepdims=True), CHANNELS_LAST)


def _gemm(call: Call) -> Value:
    first, second = call.operand(0), call.operand(1)
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    if call.attribute("transA", 0):
        first = first.transposed((1, 0)) if isinstance(first, Value) else first.T
    if call.attribute("transB", 0):
        second = second.transposed((1, 0)) if isinstance(second, Value) else second.T
    found = _product(first, second)
    found = found if alpha == 1 else found * alpha
    added = call.given(2)
    if added is None:
        return Value.plain(found)
    if isinstance(added, Value) or added.size not in (1, found.shape[-1]):
        return Value.plain(found + beta * logical(added))
    row = np.broadcast_to(np.asarray(added, np.float32).ravel(), found.shape[-1]) * np.float32(beta)
    return Value.plain(tf.nn.bias_add(found, row))


def _matmul(call: Call) -> Value:
    return Value.plain(_product(call.operand(0), call.operand(1)))


def _product(first: Any, second: Any) -> Any:
    """A product of matrices; the order of a row goes into the weights."""
    if isinstance(first, Value) and first.columns is not None and isinstance(second, np.ndarray) and second.ndim == 2:
        return tf.matmul(first.tensor, np.asarray(second[np.argsort(first.columns)], np.float32))
    first, second = (logical(side) for side in (first, second))
    row, column = len(first.shape) == 1, len(second.shape) == 1
    first = tf.expand_dims(first, 0) if row else first
    second = tf.expand_dims(second, 1) if column else second
    found = tf.matmul(first, second)
    return tf.squeeze(found, [axis for axis, gone in ((-2, row), (-1, column)) if gone]) if row or column else found


def _einsum(call: Call) -> Value:
    operands = [logical(call.operand(number)) for number in range(len(call.inputs))]
    return Value.plain(tf.einsum(call.attribute("equation"), *operands))


def _resize(call: Call) -> Value:
    image = _image(call)
    height, width, channels = image.shape.as_list()[1:]
    mode, how = call.attribute("mode", "nearest"), call.attribute("coordinate_transformation_mode", "half_pixel")
    sizes, scales = _given_array(call, 3), _given_array(call, 2 if call.given(2) is not None else 1)
    if sizes is not None:
        wanted = sizes[-2:]
    elif scales is not None:
        exact = np.array([height, width]) * scales[-2:]
        wanted = np.rint(exact)
        if np.abs(exact - wanted).max() > 1e-3:
            call.refuse(f"resizes {height}x{width} by a factor to no whole size; say the size: interpolate(size=...)")
    else:
        call.refuse("has no size: export the model again")
    rows, columns = (int(n) for n in wanted)
    if (rows, columns) == (height, width):
        return Value(image, CHANNELS_LAST)
    if mode == "linear" and how in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        options = {"align_corners": how == "align_corners", "half_pixel_centers": "half_pixel" in how}
        found = tf.raw_ops.ResizeBilinear(images=image, size=[rows, columns], **options)
    elif mode == "nearest" and how == "asymmetric" and call.attribute("nearest_mode", "") == "floor":
        found = tf.raw_ops.ResizeNearestNeighbor(images=image, size=[rows, columns])
    else:
        call.refuse(f"resizes by {mode}, {how}; replace it by interpolate(mode='bilinear') or 'nearest', or by pooling")
    if call.attribute("antialias", 0):
        call.refuse("resizes with antialias, for which there is no INT8 operator; replace it by pooling")
    return Value(tf.ensure_shape(found, [image.shape[0], rows, columns, channels]), CHANNELS_LAST)


def _given_array(call: Call, number: int) -> Array | None:
    found = call.given(number)
    return None if found is None or not call.constant(number, "sizes").size else call.constant(number, "sizes")


def _depth_to_space(call: Call) -> Value:
    block, mode = int(call.attribute("blocksize")), call.attribute("mode", "DCR")
    batch, channels, height, width = call.value(0).shape
    image = call.value(0)
    shape = [batch, block, block, channels // block**2, height, width]
    order = (0, 3, 4, 1, 5, 2)
    if mode == "CRD":
        shape, order = [batch, channels // block**2, block, block, height, width], (0, 1, 4, 2, 5, 3)
    tensor = tf.transpose(tf.reshape(image.logical(), shape), order)
    return Value.plain(tf.reshape(tensor, [batch, channels // block**2, height * block, width * block]))


LAYERS: dict[str, Callable[[Call], Value]] = {
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool(tf.reduce_mean),
    "GlobalMaxPool": _global_pool(tf.reduce_max),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "Resize": _resize,
    "DepthToSpace": _depth_to_space,
}
