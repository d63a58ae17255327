"""Networks with samplers anywhere in them: of feature maps, behind each other, beside each other, before a text."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from stn_rectify.models import AffineGrid, BilinearSampler, ProjectiveGrid
from stn_rectify.runtime.geometry import identity_theta
from tests.converters.foreign_models import layers as foreign

SHAPE, SIZE = (28, 32, 3), (12, 14)


def theta_of(image, seed, bias=(0.8, 0.05, 0.02, -0.04, 0.7, -0.03), spread=1.0):
    """A small localization network of any image or feature map; θ moves with what it shows."""
    seen = layers.Conv2D(6, 5, strides=3, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed))(
        image
    )
    seen = layers.Flatten()(seen)
    kernel = keras.initializers.RandomNormal(0, spread * 0.5 / np.sqrt(seen.shape[-1]), seed)
    bias = keras.initializers.Constant(np.array(bias, float))
    return layers.Dense(len(np.array(bias.value)), kernel_initializer=kernel, bias_initializer=bias)(seen)


def ours(image, theta, size=SIZE, padding="zeros", transform=AffineGrid):
    """Grid and sampler of stn_rectify."""
    return BilinearSampler(padding)([image, transform(tuple(image.shape[1:3]), size)(theta)])


def classes(features, count=4):
    """A classifier whose scores differ from image to image."""
    seen = layers.Conv2D(6, 3, activation="relu", kernel_initializer=keras.initializers.HeNormal(11))(features)
    seen = layers.Flatten()(seen)
    decided = keras.initializers.RandomNormal(0, 4 / np.sqrt(seen.shape[-1]), 12)
    return layers.Dense(count, activation="softmax", kernel_initializer=decided)(seen)


def trunk(frame, channels=10):
    """The first layers of a network, before its sampler."""
    seen = layers.Conv2D(channels, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(5))(frame)
    seen = layers.BatchNormalization()(seen)
    return layers.MaxPooling2D(2)(layers.ReLU()(seen))


def of_feature_maps(frame):
    """The sampler stands in the middle of a network."""
    features = trunk(frame)
    return classes(ours(features, theta_of(features, 1), (9, 10)))


def of_their_feature_maps(frame):
    """The same with a layer of another making, whose coordinates are corners aligned and whose border is cut."""
    features = trunk(frame)
    return classes(foreign.BilinearInterpolation((9, 10))([features, theta_of(features, 1)]))


def of_signed_feature_maps(frame):
    """What it reads has negative values, too; θ is made of the frame itself; the nearest value lies outside."""
    features = layers.Conv2D(7, 3, strides=2, padding="same", kernel_initializer=keras.initializers.HeNormal(6))(frame)
    return classes(ours(features, theta_of(frame, 2), (9, 10), "border"))


def in_series(frame):
    """The second reads what the first gives, and is posed by it."""
    first = ours(frame, theta_of(frame, 1, spread=0.6), (20, 24))
    return classes(ours(first, theta_of(first, 2, spread=0.6)))


def in_parallel(frame):
    """Two of one frame, their images side by side."""
    images = [ours(frame, theta_of(frame, seed), SIZE, padding) for seed, padding in ((1, "zeros"), (2, "border"))]
    return classes(layers.Concatenate()(images))


def of_one_layer(frame):
    """Two of one frame, the twelve numbers of both given by one layer."""
    bias = [0.6, 0.0, 0.2, 0.0, 0.6, -0.2, 0.7, 0.05, -0.1, -0.04, 0.5, 0.2]
    thetas = theta_of(frame, 3, bias)
    images = [foreign.BilinearInterpolation(SIZE, "W", "border")([frame, t]) for t in (thetas[:, :6], thetas[:, 6:])]
    return classes(layers.Concatenate()(images))


def before_a_text(frame):
    """Class scores in each step: CTC behind the sampler."""
    upright = ours(frame, theta_of(frame, 1, identity_theta("projective"), 0.3), (8, 32), transform=ProjectiveGrid)
    seen = layers.Conv2D(12, (8, 4), strides=(8, 4), activation="relu", kernel_initializer="he_normal")(upright)
    scores = layers.Dense(5, kernel_initializer=keras.initializers.RandomNormal(0, 3, 13))(
        layers.Reshape((8, 12))(seen)
    )
    return layers.Softmax()(scores)


def beside_the_frame(frame):
    """What follows sees the frame, and θ, besides the sampler's image."""
    theta = theta_of(frame, 1)
    seen = layers.Flatten()(layers.Conv2D(4, 3, strides=2, kernel_initializer="he_normal")(ours(frame, theta)))
    whole = layers.Flatten()(layers.AveragePooling2D(4)(frame)) - 0.5
    decided = keras.initializers.RandomNormal(0, 0.2, 12)
    numbers = ops.concatenate([0.3 * seen, whole, theta - np.float32([0.8, 0, 0, 0, 0.7, 0])], axis=1)
    return layers.Dense(4, activation="softmax", kernel_initializer=decided)(numbers)


def image_behind(frame):
    """An image is made of the sampled features."""
    features = trunk(frame)
    sampled = ours(features, theta_of(features, 1), (14, 16))
    calm = keras.initializers.RandomNormal(0, 0.12, 14)
    coloured = layers.Conv2D(3, 3, padding="same", activation="sigmoid", kernel_initializer=calm)(sampled)
    return layers.UpSampling2D(2)(coloured)


def attention_of_features(frame):
    """No gather: the features are cut out by products of matrices."""
    features = trunk(frame)
    return classes(foreign.TriangleSampler((9, 10))([features, theta_of(features, 1, [0.7, 0.1, 0.6, -0.05])]))


def attention_of_frame_and_features(frame):
    """The same, and another of the frame itself."""
    features, bias = trunk(frame), [0.7, 0.1, 0.6, -0.05]
    images = [foreign.TriangleSampler((9, 10))([seen, theta_of(seen, 1, bias)]) for seen in (frame, features)]
    return classes(layers.Concatenate()(images))


def of_a_flow(frame):
    """Each pixel has a place of its own."""
    places = layers.Conv2D(2, 3, padding="same")(frame)
    return classes(BilinearSampler()([frame, 4.0 * places]))


def with_another_input(frame):
    """A model of two inputs: what is known besides the frame goes into θ."""
    known = keras.Input((2,))
    theta = theta_of(frame, 1) + layers.Dense(6)(known)
    return keras.Model([frame, known], classes(ours(frame, theta)))


def image_and_scores(frame):
    """Two outputs: a heat map made of the sampled features, and class scores."""
    features = trunk(frame)
    sampled = ours(features, theta_of(features, 1), (9, 10))
    return [layers.Conv2D(2, 1, kernel_initializer="he_normal")(sampled), classes(sampled)]


def made(build, shape=SHAPE):
    """A model with weights that are the same each time."""
    keras.utils.set_random_seed(1)
    frame = keras.Input(shape)
    return keras.Model(frame, build(frame), name=build.__name__)
