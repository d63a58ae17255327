"""Spatial transformers as others write them: other coordinates, other borders, other shapes of layers.

It is also what a user would give as ``--custom-objects``: nothing in it knows of stn_rectify.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

REACHES = ("W - 1", "W", "W - 2", "half")
BORDERS = ("cut", "zeros", "border", "truncated", "mirrored", "held at W - 2")


def lattice(theta, size, reach, order, height, width):
    """Coordinates x and y [B, h·w] of θ [B, 6] or [B, 2, 3] on a lattice from -1 to 1."""
    rows, columns = size
    u, v = tf.meshgrid(tf.linspace(-1.0, 1.0, columns), tf.linspace(-1.0, 1.0, rows))
    if order == "yx":
        u, v = v, u
    points = tf.stack([tf.reshape(u, [-1]), tf.reshape(v, [-1]), tf.ones([rows * columns])])
    count = tf.shape(theta)[0]
    mapped = tf.matmul(tf.reshape(theta, (-1, 2, 3)), tf.tile(points[None], [count, 1, 1]))
    first, second = mapped[:, 0], mapped[:, 1]
    u, v = (second, first) if order == "yx" else (first, second)
    if reach == "half":
        return ((u + 1.0) * width - 1.0) / 2.0, ((v + 1.0) * height - 1.0) / 2.0
    less = {"W - 1": 1, "W": 0, "W - 2": 2}[reach]
    return 0.5 * (u + 1.0) * (width - less), 0.5 * (v + 1.0) * (height - less)


def interpolate(image, x, y, size, border):
    """Four pixels by gather, weighted: the sampler of many a tutorial."""
    height, width, channels = image.shape[1:]
    count = tf.shape(image)[0]
    if border == "zeros":
        image = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x, y, height, width = x + 1.0, y + 1.0, height + 2, width + 2
    if border in ("border", "zeros"):
        x, y = tf.clip_by_value(x, 0.0, width - 1.0), tf.clip_by_value(y, 0.0, height - 1.0)
    if border == "held at W - 2":
        x, y = tf.clip_by_value(x, 0.0, width - 2.0), tf.clip_by_value(y, 0.0, height - 2.0)
    if border == "mirrored":
        x = (width - 1.0) - tf.abs(tf.math.floormod(x, 2 * (width - 1.0)) - (width - 1.0))
        y = (height - 1.0) - tf.abs(tf.math.floormod(y, 2 * (height - 1.0)) - (height - 1.0))
    rounded = (lambda t: t) if border == "truncated" else tf.floor
    x0, y0 = tf.cast(rounded(x), tf.int32), tf.cast(rounded(y), tf.int32)
    x1, y1 = x0 + 1, y0 + 1
    if border in ("border", "zeros", "mirrored", "held at W - 2"):
        fx, fy = x - tf.floor(x), y - tf.floor(y)
        x0, x1, y0, y1 = (
            tf.clip_by_value(n, 0, last - 1) for n, last in ((x0, width), (x1, width), (y0, height), (y1, height))
        )
        weights = (1 - fx) * (1 - fy), (1 - fx) * fy, fx * (1 - fy), fx * fy
    else:  # weights of the clipped places: zero where both are the same
        x0, x1, y0, y1 = (
            tf.clip_by_value(n, 0, last - 1) for n, last in ((x0, width), (x1, width), (y0, height), (y1, height))
        )
        left, right, top, bottom = (tf.cast(n, tf.float32) for n in (x0, x1, y0, y1))
        weights = (right - x) * (bottom - y), (right - x) * (y - top), (x - left) * (bottom - y), (x - left) * (y - top)
    flat = tf.reshape(image, [-1, channels])
    first = tf.range(count)[:, None] * (height * width)
    places = first + y0 * width + x0, first + y1 * width + x0, first + y0 * width + x1, first + y1 * width + x1
    total = tf.add_n([w[..., None] * tf.gather(flat, p) for w, p in zip(weights, places, strict=True)])
    return tf.reshape(total, (-1, *size, channels))


class BilinearInterpolation(keras.layers.Layer):
    """The layer ``([image, theta])`` of many repositories."""

    def __init__(self, output_size, reach="W - 1", border="cut", order="xy", **kwargs):
        super().__init__(**kwargs)
        self.output_size = tuple(output_size)
        self.reach, self.border, self.order = reach, border, order

    def get_config(self):
        own = {"output_size": self.output_size, "reach": self.reach, "border": self.border, "order": self.order}
        return {**super().get_config(), **own}

    def compute_output_shape(self, shapes):
        return (shapes[0][0], *self.output_size, shapes[0][3])

    def call(self, inputs):
        image, theta = inputs
        height, width = image.shape[1:3]
        x, y = lattice(theta, self.output_size, self.reach, self.order, float(height), float(width))
        return interpolate(image, x, y, self.output_size, self.border)


class SpatialTransformer(keras.layers.Layer):
    """A layer that holds its localization network."""

    def __init__(self, localization, output_size, **kwargs):
        super().__init__(**kwargs)
        self.localization = localization
        self.output_size = tuple(output_size)

    def get_config(self):
        localization = keras.saving.serialize_keras_object(self.localization)
        return {**super().get_config(), "localization": localization, "output_size": self.output_size}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("localization")), **config)

    def compute_output_shape(self, shape):
        return (shape[0], *self.output_size, shape[3])

    def call(self, image):
        theta = self.localization(image)
        x, y = lattice(theta, self.output_size, "W", "xy", float(image.shape[1]), float(image.shape[2]))
        return interpolate(image, x, y, self.output_size, "cut")


def sampled(inputs):
    """The function of a Lambda layer."""
    image, theta = inputs
    x, y = lattice(theta, (12, 14), "W - 1", "xy", float(image.shape[1]), float(image.shape[2]))
    return interpolate(image, x, y, (12, 14), "cut")


def localization(shape, numbers=6, bias=None, name="localization"):
    """A small localization network whose θ moves with the frame by some percent."""
    bias = np.array([0.8, 0.05, 0.02, -0.04, 0.7, -0.03]) if bias is None else np.asarray(bias)
    kernel = keras.initializers.RandomNormal(0, 0.06, seed=4)
    head = keras.layers.Dense(
        numbers, kernel_initializer=kernel, bias_initializer=keras.initializers.Constant(bias), name="theta"
    )
    layers = [
        keras.layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer="he_uniform"),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer="he_uniform"),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu", kernel_initializer="he_uniform"),
        head,
    ]
    return keras.Sequential([keras.Input(shape), *layers], name=name)
