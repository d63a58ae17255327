"""Small Keras networks for the tests of pruning and fine-tuning."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn

SIZE = (32, 32, 1)


def ours(**arguments):
    return lightweight_stn(SIZE, **{"width": 0.5, "features": 24, **arguments})


def of_layers(trunk, after=None):
    """An affine STN on layers of a user's own; ``after`` is a recognizer on the rectified image."""
    frame = keras.Input((16, 16, 3), name="frame")
    theta = layers.Dense(6, name="theta")(trunk(frame))
    rectified = BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])
    return keras.Model(frame, {"theta": theta, "image": after(rectified) if after else rectified})


def convolution(x, channels, size=3, **arguments):
    x = layers.Conv2D(channels, size, padding="same", use_bias=False, **arguments)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def branches(x):
    """Concatenation, both parts added to a third; pooling; a hidden Dense layer."""
    x = layers.MaxPooling2D(2)(convolution(layers.Rescaling(2.0)(x), 24))
    both = layers.Concatenate()([convolution(x, 16), convolution(x, 16, 1)])
    x = layers.Add()([both, convolution(x, 32)])
    return layers.Dense(24, activation="relu")(layers.Flatten()(layers.AveragePooling2D(4)(x)))


def excitation(x):
    """Channels scaled by a gate; depthwise with a multiplier; separable; biases."""
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 16))(gate)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(convolution(x, 24))
    return layers.GlobalMaxPooling2D()(layers.SeparableConv2D(24, 3, depth_multiplier=2, activation="relu")(x))


def nested(x):
    inner = [
        keras.Input((16, 16, 3)),
        layers.Conv2D(16, 3, name="c"),
        layers.ReLU(),
        layers.Conv2D(24, 3),
        layers.ReLU(),
    ]
    x = keras.Sequential(inner)(x)
    return layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu", name="c")(x))


def repeated(x):
    """One layer called three times: what it reads and gives are the same channels."""
    again = layers.Conv2D(24, 3, padding="same", activation="relu")
    x = layers.Conv2D(24, 3, activation="relu")(x)
    return layers.Flatten()(layers.MaxPooling2D(4)(again(again(again(x)))))


def dense(x):
    return layers.Dense(24, activation="relu")(layers.Dense(32, activation="relu")(layers.Flatten()(x)))


def recognizer(x):
    return layers.Dense(10)(layers.Flatten()(layers.Conv2D(16, 3)(x)))


NETWORKS = {
    "profiles": lambda: ours(transform="projective"),
    "flatten": lambda: ours(localization="flatten"),
    "pooled, smaller copy": lambda: ours(localization="pooled", localization_shape=(16, 16)),
    "fused": lambda: ours(body="fused", transform="projective", initial_scale=0.7),
    "tps, without score": lambda: ours(transform="tps", score=False),
    "branches": lambda: of_layers(branches),
    "excitation": lambda: of_layers(excitation),
    "nested": lambda: of_layers(nested),
    "dense": lambda: of_layers(dense),
    "repeated, recognizer": lambda: of_layers(repeated, recognizer),
}


def stirred(model):
    """The model with numbers everywhere, as after training."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if len(shape) > 1:
            weight.assign(rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape))
        elif weight.name == "moving_variance":
            weight.assign(rng.uniform(0.2, 3, shape))
        elif shape not in {(6,), (8,), (32,)} or "theta" not in weight.path:  # θ stays near the identity
            weight.assign(rng.normal(0.3, 0.3, shape))
    return model


def drifted_stn():
    """A user's trunk, one channel of which is 64 times as large as it need be: float does not mind, INT8 does."""
    keras.utils.set_random_seed(1)
    frame = keras.Input((32, 32, 1), name="frame")
    he = {"kernel_initializer": "he_normal"}
    x = frame
    for channels in (8, 12, 16):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu", **he)(x)
    x = layers.Flatten()(layers.Conv2D(8, 1, name="drifted", **he)(x))
    vector = layers.Dense(16, activation="relu", name="after", **he)(x)
    start = keras.initializers.Constant([0.8, 0, 0, 0, 0.8, 0])
    theta = layers.Dense(6, kernel_initializer=keras.initializers.RandomNormal(stddev=0.3), bias_initializer=start)
    score = layers.Dense(1, activation="sigmoid")(vector)
    grid = AffineGrid((32, 32), (32, 32))(theta(vector))
    stn = keras.Model(frame, [BilinearSampler()([frame, grid]), theta.output, score])
    drifted, after = stn.get_layer("drifted"), stn.get_layer("after")
    factor = np.array([64, 1, 1, 1, 1, 1, 1, 1], np.float32)
    drifted.kernel.assign(drifted.kernel * factor)
    after.kernel.assign(after.kernel / np.tile(factor, 16)[:, None])
    return stn
