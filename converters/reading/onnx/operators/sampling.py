"""Grid and sampler of a Spatial Transformer: ``affine_grid`` and ``grid_sample`` of PyTorch.

Source: the operators AffineGrid (from operator set 20) and GridSample (from 16) of ONNX,
https://onnx.ai/onnx/operators/onnx__GridSample.html.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.laid_out import CHANNELS_LAST, Value
from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.runtime.arrays import Array


def _affine_grid(call: Call) -> Value:
    """θ [N, 2, 3] → places [N, h, w, 2], normalised x and y."""
    theta = call.value(0)
    size = call.sizes(call.constant(1, "sizes"))
    if len(size) != 4 or theta.shape[1:] != (2, 3):
        call.refuse("makes a grid in space; grids of images, of a theta [batch, 2, 3], can be converted")
    aligned = bool(call.attribute("align_corners", 0))
    x, y = (_lattice(n, aligned) for n in (size[3], size[2]))
    u, v = np.meshgrid(x, y)
    points = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1)[None].astype(np.float32)
    places = tf.matmul(points, theta.transposed((0, 2, 1)).logical())
    return Value.plain(tf.reshape(places, [1, size[2], size[3], 2]))


def _lattice(count: int, aligned: bool) -> Array:
    """Places from -1 to 1: from one end to the other, or the centres of so many pixels."""
    if aligned:
        return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    return (2 * np.arange(count) + 1) / count - 1


def _grid_sample(call: Call) -> Value:
    """Image [N, C, H, W] and places [N, h, w, 2] → [N, C, h, w], bilinear."""
    value, grid = call.value(0), call.value(1)
    mode, padding = call.attribute("mode", "bilinear"), call.attribute("padding_mode", "zeros")
    if len(value.shape) != 4 or len(grid.shape) != 4:
        call.refuse("samples in space; samplers of images can be converted")
    if mode not in ("bilinear", "linear"):
        call.refuse(f"samples by {mode}; sample bilinearly: grid_sample(..., mode='bilinear')")
    aligned = bool(call.attribute("align_corners", 0))
    image, places = value.laid(CHANNELS_LAST), grid.logical()
    height, width = image.shape.as_list()[1:3]
    x, y = (_pixels(places[..., k], size, aligned, padding) for k, size in ((0, width), (1, height)))
    left, top = tf.floor(x), tf.floor(y)
    right, bottom = left + 1.0, top + 1.0
    corners = (
        (left, top, (right - x) * (bottom - y)),
        (right, top, (x - left) * (bottom - y)),
        (left, bottom, (right - x) * (y - top)),
        (right, bottom, (x - left) * (y - top)),
    )
    parts = [weight[..., None] * _read(image, column, row) for column, row, weight in corners]
    return Value((parts[0] + parts[1]) + (parts[2] + parts[3]), CHANNELS_LAST)


def _pixels(places: Any, size: int, aligned: bool, padding: str) -> Any:
    """Normalised places in pixels, held or mirrored at the edge if the padding says so."""
    pixels = (places + 1.0) * ((size - 1) / 2) if aligned else ((places + 1.0) * size - 1.0) / 2.0
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
        span = max(high - low, 1e-6)
        turned = tf.math.floormod(pixels - low, 2 * span)
        pixels = span - tf.abs(turned - span) + low
    return pixels if padding == "zeros" else tf.clip_by_value(pixels, 0.0, size - 1.0)


def _read(image: Any, column: Any, row: Any) -> Any:
    """Pixels of an image [N, H, W, C] at whole places [N, h, w]; 0 outside."""
    height, width = image.shape.as_list()[1:3]
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    places = [tf.cast(tf.clip_by_value(k, 0.0, n - 1.0), tf.int32) for k, n in ((row, height), (column, width))]
    found = tf.gather_nd(image, tf.stack(places, axis=-1), batch_dims=1)
    return tf.where(inside[..., None], found, tf.zeros_like(found))


SAMPLING: dict[str, Callable[[Call], Value]] = {"AffineGrid": _affine_grid, "GridSample": _grid_sample}
