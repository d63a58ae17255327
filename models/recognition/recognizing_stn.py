"""A Spatial Transformer with a recognizer behind it, for small images: it learns from labels alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.models.network.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.models.network.localization import identity_bias, reduced_copy
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE

__all__ = ["RECOGNIZER", "recognizer_network", "recognizing_stn", "without_recognizer"]

#: Name of the recognizer, a model in the model.
RECOGNIZER = "recognizer"

_GRIDS = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}

# Channels, side of the kernel, stride and pooling of each convolution. Plain ones: a training on a CPU spends most of
# its time in depthwise convolutions, and these images are small.
_LOCALIZATION = ((16, 5, 2, 1), (24, 3, 2, 1), (32, 3, 1, 2), (16, 3, 1, 1))
_RECOGNIZER = ((16, 5, 1, 2), (32, 3, 1, 2), (64, 3, 1, 1), (96, 3, 1, 2))
_LEAST_SIDE = 8  # three poolings
_FEATURES = 32
_DROPOUT = 0.25


def recognizing_stn(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    transform: str = "affine",
    output_shape: tuple[int, int] = (28, 28),
    localization_shape: tuple[int, int] | None = None,
    padding: str = "zeros",
    width: float = 1.0,
) -> keras.Model:
    """Builds localization network → θ → grid → sampler → recognizer; θ starts at the identity.

    Args:
        input_shape: height, width and channels of the frame, pixel values in [0, 1].
        classes: the number of classes that the recognizer tells apart.
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        output_shape: height and width of the rectified image, which the recognizer sees.
        localization_shape: height and width of the smaller copy that the localization network sees; the whole
            frame when None. It was made for 42×42.
        padding: the values outside the frame: ``"zeros"`` or ``"border"``.
        width: factor on the recognizer's channels.

    Returns:
        A Keras model with the outputs ``[rectified, theta, class scores]``: [B, h, w, C] in the input's range, [B, 6],
        [B, 8] or [B, 32], and [B, classes], which add up to 1. Its layer `RECOGNIZER` is a model of its own.

    Raises:
        DataError: if a side is less than 8 pixels, of which pooling would leave nothing.
    """
    if min(*input_shape[:2], *output_shape, *(localization_shape or output_shape)) < _LEAST_SIDE:
        raise DataError(
            f"frames, reduced copies and rectified images need {_LEAST_SIDE}x{_LEAST_SIDE} pixels: give more"
        )
    image: Any = keras.Input(input_shape, name="frame")
    reduced = image if localization_shape is None else reduced_copy(image, localization_shape)
    x = _convolutions(reduced, _LOCALIZATION, 1.0, "localization")
    x = layers.Dense(_FEATURES, name="features")(layers.Flatten(name="flatten")(x))
    x = layers.ReLU(6.0, name="features_relu")(x)
    start = identity_bias(transform)
    theta = layers.Dense(THETA_SIZE[transform], kernel_initializer="zeros", bias_initializer=start, name="theta")(x)
    grid = _GRIDS[transform](input_shape[:2], output_shape, name="grid")(theta)
    rectified = BilinearSampler(padding, name="rectified")([image, grid])
    recognizer = recognizer_network((*output_shape, input_shape[2]), classes, width=width)
    return keras.Model(image, [rectified, theta, recognizer(rectified)], name="recognizing_stn")


def recognizer_network(input_shape: tuple[int, int, int], classes: int, *, width: float = 1.0) -> keras.Model:
    """A small convolutional recognizer: image [B, h, w, C] in [0, 1] → probabilities [B, classes]."""
    image: Any = keras.Input(input_shape, name="image")
    x = _convolutions(image, _RECOGNIZER, width, "recognizer")
    x = layers.Dropout(_DROPOUT, name="recognizer_dropout")(layers.Flatten(name="recognizer_flatten")(x))
    scores = layers.Dense(classes, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="class_scores")(scores), name=RECOGNIZER)


def without_recognizer(model: keras.Model) -> keras.Model:
    """The Spatial Transformer alone: frame → rectified image, θ. The weights are shared."""
    return keras.Model(model.input, [model.get_layer(name).output for name in ("rectified", "theta")], name="stn")


def _convolutions(x: Any, plan: tuple[tuple[int, int, int, int], ...], width: float, name: str) -> Any:
    for number, (channels, kernel, stride, pool) in enumerate(plan, start=1):
        place = f"{name}_{number}"
        count = max(1, round(channels * width))
        x = layers.Conv2D(count, kernel, strides=stride, padding="same", use_bias=False, name=place)(x)
        x = layers.ReLU(name=f"{place}_relu")(layers.BatchNormalization(momentum=0.9, name=f"{place}_bn")(x))
        if pool > 1:
            x = layers.MaxPooling2D(pool, name=f"{place}_pool")(x)
    return x
