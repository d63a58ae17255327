"""The float32 twin of an STN: the same trunk and weights, grid and sampler written as fast as float TFLite allows.

What was found fastest on both interpreters, four ways of GATHER compared: a table per row of the pixel pair, fractions
computed on a grid whose columns are repeated for every channel (so no weight is broadcast over a short last axis), and
everything that XNNPACK knows left to XNNPACK. Batch 1, fixed sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stn_rectify.models.network.layers import MIN_DENOMINATOR
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.geometry import THETA_SIZE, pixel_matrix_map

__all__ = ["FloatSampler", "float_twin", "plain_twin"]


@dataclass(frozen=True)
class FloatSampler:
    """Grid and sampler in float32: zeros outside the image, the rectified image as large as the frame.

    Attributes:
        size: height, width, channels.
        transform: ``"affine"`` or ``"projective"``.
    """

    size: tuple[int, int, int]
    transform: str

    def coefficients(self, kernel: Array, bias: Array) -> tuple[Array, Array]:
        """The Dense layer of θ joined with the map to pixels of the padded image: [F, n], [n], float32."""
        height, width, _ = self.size
        K, k = pixel_matrix_map(THETA_SIZE[self.transform], (height, width), (height, width))
        margin = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]])  # the padding's one pixel
        K = np.einsum("ab,bct->act", margin, K.reshape(3, 3, -1)).reshape(9, -1)
        k = (margin @ k.reshape(3, 3)).ravel()
        rows = 6 if self.transform == "affine" else 9
        joined_kernel = np.concatenate([kernel, kernel @ K[:rows].T], axis=1)
        joined_bias = np.concatenate([bias, K[:rows] @ bias + k[:rows]])
        return joined_kernel.astype(np.float32), joined_bias.astype(np.float32)

    def grid(self, coefficients: tf.Tensor, repeats: int) -> tuple[tf.Tensor, tf.Tensor]:
        """x and y in the padded image, [H, W · repeats] each, held inside it."""
        height, width, _ = self.size
        j = np.repeat(np.arange(width, dtype=np.float32), repeats)[None]
        i = np.arange(height, dtype=np.float32)[:, None]
        entries = tf.split(coefficients, coefficients.shape[1], axis=1)
        sums = [a * j + (b * i + c) for a, b, c in zip(entries[::3], entries[1::3], entries[2::3], strict=True)]
        if self.transform == "projective":
            denominator = tf.maximum(sums[2], MIN_DENOMINATOR)
            sums = [sums[0] / denominator, sums[1] / denominator]
        limits = (width + 1.0, height + 1.0)
        x, y = (tf.minimum(tf.maximum(s, 0.0), limit) for s, limit in zip(sums, limits, strict=False))
        return x, y

    def fast(self, frame: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        """The fastest way found."""
        height, width, channels = self.size
        columns = width + 2
        flat = tf.reshape(tf.pad(tf.reshape(frame, (height, width * channels)), ((1, 2), (channels, channels))), (-1,))
        entries = (height + 2) * columns
        here = tf.reshape(flat, (entries + columns, channels))
        below = tf.reshape(flat[columns * channels :], (entries, channels))
        x, y = self.grid(coefficients, 1)
        index = tf.reshape(tf.cast(tf.floor(y) * columns + tf.floor(x), tf.int32), (-1,))
        beside = index + 1
        corners = (tf.gather(rows, points) for rows in (here, below) for points in (index, beside))
        a, b, c, d = (tf.reshape(corner, (height, width * channels)) for corner in corners)
        x, y = self.grid(coefficients, channels)
        fx, fy = x - tf.floor(x), y - tf.floor(y)
        upper, lower = a + fx * (b - a), c + fx * (d - c)
        return tf.reshape(upper + fy * (lower - upper), (1, *self.size))

    def plain(self, frame: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        """As one writes it without timing it: one flat table, weights [N, 1] broadcast over the channels."""
        _, width, channels = self.size
        columns = width + 2
        table = tf.reshape(tf.pad(frame, ((0, 0), (1, 2), (1, 1), (0, 0))), (-1, channels))
        x, y = (tf.reshape(axis, (-1,)) for axis in self.grid(coefficients, 1))
        left, top = tf.floor(x), tf.floor(y)
        index = tf.cast(top * columns + left, tf.int32)
        fx, fy = tf.expand_dims(x - left, 1), tf.expand_dims(y - top, 1)
        a, b, c, d = (tf.gather(table, index + offset) for offset in (0, 1, columns, columns + 1))
        upper, lower = a + fx * (b - a), c + fx * (d - c)
        return tf.reshape(upper + fy * (lower - upper), (1, *self.size))


def float_twin(model: keras.Model, transform: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A model of `lightweight_stn` with the fast sampler: frame [1, H, W, C] → rectified, theta, score."""
    sampler = _sampler(model, transform)
    return _twin(model, sampler, sampler.fast)


def plain_twin(model: keras.Model, transform: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The same with the plain sampler."""
    sampler = _sampler(model, transform)
    return _twin(model, sampler, sampler.plain)


def _sampler(model: keras.Model, transform: str) -> FloatSampler:
    height, width, channels = model.inputs[0].shape[1:]
    return FloatSampler((height, width, channels), transform)


def _twin(model: keras.Model, sampler: FloatSampler, sample: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Any:
    dense = model.get_layer("theta")
    trunk = keras.Model(model.inputs[0], [dense.input, model.outputs[2]])
    kernel, bias = sampler.coefficients(np.asarray(dense.kernel), np.asarray(dense.bias))
    split = [dense.units, kernel.shape[1] - dense.units]

    def twin(frame: tf.Tensor) -> dict[str, tf.Tensor]:
        features, score = trunk(frame, training=False)
        theta, coefficients = tf.split(tf.matmul(features, kernel) + bias, split, axis=1)
        return {"rectified": sample(frame, coefficients), "theta": theta, "score": score}

    return twin
