"""Spatial transformers as others write them: other coordinates, other borders, other shapes of layers.

It is also what a user would give as ``--custom-objects``: nothing in it knows of stn_rectify.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


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
    x0, x1, y0, y1 = (
        tf.clip_by_value(n, 0, last - 1) for n, last in ((x0, width), (x0 + 1, width), (y0, height), (y0 + 1, height))
    )
    if border in ("border", "zeros", "mirrored", "held at W - 2"):
        fx, fy = x - tf.floor(x), y - tf.floor(y)
        weights = (1 - fx) * (1 - fy), (1 - fx) * fy, fx * (1 - fy), fx * fy
    else:  # weights of the clipped places: zero where both are the same
        left, right, top, bottom = (tf.cast(n, tf.float32) for n in (x0, x1, y0, y1))
        weights = (right - x) * (bottom - y), (right - x) * (y - top), (x - left) * (bottom - y), (x - left) * (y - top)
    flat = tf.reshape(image, [-1, channels])
    first = tf.range(count)[:, None] * (height * width)
    places = first + y0 * width + x0, first + y1 * width + x0, first + y0 * width + x1, first + y1 * width + x1
    total = tf.add_n([w[..., None] * tf.gather(flat, p) for w, p in zip(weights, places, strict=True)])
    return tf.reshape(total, (-1, *size, channels))


class LayerOfSize(keras.layers.Layer):
    """What the layers below have in common: the size of the image that they make of one, or of ``[image, …]``."""

    def __init__(self, output_size, **kwargs):
        super().__init__(**kwargs)
        self.output_size = tuple(output_size)

    def get_config(self):
        return {**super().get_config(), "output_size": self.output_size}

    def compute_output_shape(self, shapes):
        image = shapes[0] if isinstance(shapes[0], list | tuple) else shapes
        return (image[0], *self.output_size, image[3])


class BilinearInterpolation(LayerOfSize):
    """The layer ``([image, theta])`` of many repositories."""

    def __init__(self, output_size, reach="W - 1", border="cut", order="xy", **kwargs):
        super().__init__(output_size, **kwargs)
        self.reach, self.border, self.order = reach, border, order

    def get_config(self):
        own = {"reach": self.reach, "border": self.border, "order": self.order}
        return {**super().get_config(), **own}

    def call(self, inputs):
        image, theta = inputs
        height, width = image.shape[1:3]
        x, y = lattice(theta, self.output_size, self.reach, self.order, float(height), float(width))
        return interpolate(image, x, y, self.output_size, self.border)


class SpatialTransformer(LayerOfSize):
    """A layer that holds its localization network."""

    def __init__(self, localization, output_size, **kwargs):
        super().__init__(output_size, **kwargs)
        self.localization = localization

    def get_config(self):
        return {**super().get_config(), "localization": keras.saving.serialize_keras_object(self.localization)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("localization")), **config)

    def call(self, image):
        theta = self.localization(image)
        x, y = lattice(theta, self.output_size, "W", "xy", float(image.shape[1]), float(image.shape[2]))
        return interpolate(image, x, y, self.output_size, "cut")


class OwnLocalization(LayerOfSize):
    """A layer that makes its localization layers in ``build``, and the weights of θ by ``add_weight``."""

    def build(self, shape):
        self.conv = keras.layers.Conv2D(8, 5, strides=3, activation="relu", kernel_initializer="he_uniform")
        self.conv.build(shape)
        count = int(np.prod(self.conv.compute_output_shape(shape)[1:]))
        self.kernel = self.add_weight(
            shape=(count, 6), initializer=keras.initializers.RandomNormal(0, 0.02, 6), name="theta_kernel"
        )
        bias = keras.initializers.Constant(np.array([0.8, 0.05, 0.02, -0.04, 0.7, -0.03]))
        self.bias = self.add_weight(shape=(6,), initializer=bias, name="theta_bias")

    def call(self, image):
        features = tf.reshape(self.conv(image), (-1, self.kernel.shape[0]))
        theta = tf.matmul(features, self.kernel) + self.bias
        x, y = lattice(theta, self.output_size, "W - 1", "xy", float(image.shape[1]), float(image.shape[2]))
        return interpolate(image, x, y, self.output_size, "border")


class ThinPlateSpline(LayerOfSize):
    """A grid bent by how far control points are from where they rest, called with ``([image, shifts])``."""

    def __init__(self, output_size, points=(3, 3), border="border", reach=0.9, **kwargs):
        super().__init__(output_size, **kwargs)
        self.points, self.border, self.reach = tuple(points), border, reach

    def get_config(self):
        return {**super().get_config(), "points": self.points, "border": self.border, "reach": self.reach}

    def basis(self):
        """What each control point does to each pixel, [h·w, points], and where the points rest, [points, 2]."""
        rows, columns = self.points
        v, u = self.reach * np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].reshape(2, -1)
        rest = np.stack([u, v], axis=1)
        count = len(rest)

        def kernel(a, b):
            squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
            return squared * np.log(squared + 1e-12)

        flat = np.c_[np.ones(count), rest]
        system = np.block([[kernel(rest, rest), flat], [flat.T, np.zeros((3, 3))]])
        rows, columns = self.output_size
        v, u = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].reshape(2, -1)
        pixels = np.stack([u, v], axis=1)
        values = np.c_[kernel(pixels, rest), np.ones(len(pixels)), pixels]
        return (values @ np.linalg.inv(system)[:, :count]).astype(np.float32), rest.astype(np.float32)

    def call(self, inputs):
        image, shifts = inputs
        height, width = image.shape[1:3]
        basis, rest = self.basis()
        points = tf.reshape(shifts, (-1, len(rest), 2)) + rest
        place = tf.einsum("nk,bkd->bnd", basis, points)
        x, y = (place[..., 0] + 1) / 2 * (width - 1.0), (place[..., 1] + 1) / 2 * (height - 1.0)
        return interpolate(image, x, y, self.output_size, self.border)


class TriangleSampler(LayerOfSize):
    """The sum over all pixels of the paper, weights max(0, 1 - |x - m|): products of matrices, no gather.

    As in attention models, the image is cut out along the axes: scale and shift for each.
    """

    def call(self, inputs):
        image, theta = inputs  # scale and shift of x, of y
        weights = []
        for axis, (size, count) in enumerate(zip(image.shape[1:3], self.output_size, strict=True)):
            scale, shift = theta[:, 2 * axis, None], theta[:, 2 * axis + 1, None]
            place = (scale * np.linspace(-1, 1, count, dtype=np.float32) + shift + 1) / 2 * (size - 1.0)
            weights.append(tf.maximum(0.0, 1 - tf.abs(place[..., None] - np.arange(size, dtype=np.float32))))
        return tf.einsum("bih,bhwc,bjw->bijc", weights[0], image, weights[1])


class ImagePart(LayerOfSize):
    """A part along the axes by TensorFlow's own operation, called with ``([image, boxes])``: y, x, y, x of corners."""

    def call(self, inputs):
        image, boxes = inputs
        return tf.image.crop_and_resize(image, boxes, tf.range(tf.shape(image)[0]), self.output_size)


class ImageWarp(LayerOfSize):
    """``dense_image_warp`` of TensorFlow Addons by a flow that θ says: each pixel is the one ``flow`` away from it."""

    def call(self, inputs):
        image, theta = inputs
        height, width = self.output_size
        theta = tf.reshape(theta, (-1, 1, 1, 2, 3))
        row, column = tf.meshgrid(tf.range(float(height)), tf.range(float(width)), indexing="ij")
        flow = [theta[..., k, 0] * column + theta[..., k, 1] * row + theta[..., k, 2] * height for k in (1, 0)]
        floors, parts = [], []
        for place, away, size in zip((row, column), flow, image.shape[1:3], strict=True):
            place = place - away
            floors.append(tf.clip_by_value(tf.floor(place), 0.0, size - 2.0))
            parts.append(tf.clip_by_value(place - floors[-1], 0.0, 1.0)[..., None])
        count, channels = tf.shape(image)[0], image.shape[3]
        flat = tf.reshape(image, (-1, channels))
        first = tf.reshape(tf.range(count), (-1, 1, 1)) * (image.shape[1] * image.shape[2])
        top, left = (tf.cast(floor, tf.int32) for floor in floors)

        def pixels(y, x):
            return tf.raw_ops.GatherV2(params=flat, indices=first + y * image.shape[2] + x, axis=0)

        above, below = (pixels(y, left) + parts[1] * (pixels(y, left + 1) - pixels(y, left)) for y in (top, top + 1))
        return above + parts[0] * (below - above)


class SamplerOfPlanes(LayerOfSize):
    """The sampler of images [B, C, H, W], a layer that was carried over from PyTorch by hand."""

    def compute_output_shape(self, shapes):
        return (*shapes[0][:2], *self.output_size)

    def call(self, inputs):
        image, theta = inputs
        x, y = lattice(theta, self.output_size, "W - 1", "xy", float(image.shape[2]), float(image.shape[3]))
        sampled = interpolate(tf.transpose(image, (0, 2, 3, 1)), x, y, self.output_size, "border")
        return tf.transpose(sampled, (0, 3, 1, 2))


class BilinearSampler(keras.layers.Layer):
    """The sampler alone, of an image and a grid of x and y from -1 to 1, by gather_nd with the number of the frame."""

    def compute_output_shape(self, shapes):
        return (shapes[0][0], *shapes[1][1:3], shapes[0][3])

    def call(self, inputs):
        image, grid = inputs
        height, width = image.shape[1:3]
        x, y = (grid[..., 0] + 1) * (width - 1) / 2, (grid[..., 1] + 1) * (height - 1) / 2
        x0, y0 = tf.cast(tf.floor(x), tf.int32), tf.cast(tf.floor(y), tf.int32)
        total = 0.0
        for column, row in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
            weight = (1 - tf.abs(x - tf.cast(column, tf.float32))) * (1 - tf.abs(y - tf.cast(row, tf.float32)))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            column, row = tf.clip_by_value(column, 0, width - 1), tf.clip_by_value(row, 0, height - 1)
            frame = tf.range(tf.shape(image)[0])[:, None, None] * tf.ones_like(row)
            pixels = tf.gather_nd(image, tf.stack([frame, row, column], axis=-1))
            total += tf.where(inside, weight, 0.0)[..., None] * pixels
        return total


class AffineGrid(LayerOfSize):
    """A grid of centres of pixels, [B, h, w, 2] from -1 to 1, of θ [B, 6] by ``einsum``."""

    def compute_output_shape(self, shape):
        return (shape[0], *self.output_size, 2)

    def call(self, theta):
        v, u = np.meshgrid(*((np.arange(n) * 2.0 + 1) / n - 1 for n in self.output_size), indexing="ij")
        points = np.stack([u, v, np.ones_like(u)], axis=-1).astype(np.float32)
        return tf.einsum("bdk,ijk->bijd", tf.reshape(theta, (-1, 2, 3)), points)


class ConvStn(keras.Model):
    """A model whose layers are written into its ``call``, the identity added to what its last layer gives."""

    def __init__(self, output_size, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(8, 5, strides=3, activation="relu")
        self.normalise = keras.layers.BatchNormalization()
        self.pool = keras.layers.MaxPooling2D(2)
        self.theta = keras.layers.Dense(6, kernel_initializer=keras.initializers.RandomNormal(0, 0.03, 8))
        self.grid, self.sampler = AffineGrid(output_size), BilinearSampler()

    def get_config(self):
        return {**super().get_config(), "output_size": self.grid.output_size}

    def call(self, frame, training=False):
        seen = self.pool(self.normalise(self.conv(frame), training=training))
        theta = self.theta(keras.ops.reshape(seen, (-1, int(np.prod(seen.shape[1:])))))
        theta = theta + np.array([0.8, 0, 0, 0, 0.8, 0], np.float32)
        return {"image": self.sampler([frame, self.grid(theta)]), "pose": theta}


def coordinates_mapped(inputs):
    """The function of a Lambda layer: θ maps pixels to pixels, all four axes of the frames are indexed."""
    image, theta = inputs
    i, j = np.mgrid[0:12, 0:14].astype(np.float32)[..., None]
    theta = tf.reshape(theta, (-1, 1, 1, 1, 2, 3))
    x = theta[..., 0, 0] * j + theta[..., 0, 1] * i + theta[..., 0, 2]
    y = theta[..., 1, 0] * j + theta[..., 1, 1] * i + theta[..., 1, 2]
    like = tf.zeros_like(x) + tf.zeros(3)
    number = tf.reshape(tf.cast(tf.range(tf.shape(image)[0]), tf.float32), (-1, 1, 1, 1))
    places = tf.stack([number + like, y + like, x + like, like + tf.range(3.0)])
    return keras.ops.image.map_coordinates(image, places, order=1, fill_mode="constant")


def one_by_one(inputs):
    """The function of a Lambda layer: each frame by itself, by ``tf.map_fn``."""

    def one(pair):
        frame, theta = (part[None] for part in pair)
        x, y = lattice(theta, (12, 14), "W - 1", "xy", float(frame.shape[1]), float(frame.shape[2]))
        return interpolate(frame, x, y, (12, 14), "cut")[0]

    return tf.map_fn(one, inputs, fn_output_signature=tf.float32)


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
