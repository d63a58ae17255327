"""Lightweight localization networks: depthwise-separable, no wider than a Pi can run beside a camera."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.runtime.geometry import identity_theta

#: The ways in which the last feature map becomes a vector.
LOCALIZATIONS = ("profiles", "flatten", "pooled")

#: The layers up to the last feature map, an eighth of the image's size.
BODIES = ("separable", "fused")

# At width 1. Convolutions 3×3 by channels and stride, each with batch normalization and ReLU6; then depthwise-separable
# blocks by channels, stride and the side of the depthwise kernel.
_CONVOLUTIONS = {
    "separable": ((16, 2),),
    # Where maps are large and channels few, plain convolutions cost a CPU less time than separable ones of a third of
    # the multiplications (as EfficientNetV2's fused blocks, arXiv 2104.00298).
    "fused": ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1)),
}
_BLOCKS = {
    "separable": (
        (16, 1, 3), (24, 2, 3), (32, 1, 3), (48, 1, 3), (48, 1, 3), (64, 2, 3), (64, 1, 3), (64, 1, 3), (64, 1, 3),
    ),
    "fused": ((96, 1, 5), (96, 1, 5), (96, 1, 5)),
}  # fmt: skip
# Channels that the profiles are taken of.
_SQUEEZED = {"separable": 32, "fused": 48}


def scaled_channels(count: int, width: float) -> int:
    """Channels scaled by ``width``, a multiple of 8: what SIMD kernels fill."""
    return max(8, int(count * width / 8 + 0.5) * 8)


def _normalised(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=0.98, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def convolution(x: Any, channels: int, stride: int, name: str) -> Any:
    """A plain 3×3 convolution, and a residual connection where the shapes allow one."""
    y = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
    y = _normalised(y, name)
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


def separable_block(x: Any, channels: int, stride: int, kernel: int, name: str) -> Any:
    """Depthwise, pointwise 1×1, and a residual connection where the shapes allow one."""
    y = layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    y = _normalised(y, f"{name}_depthwise")
    y = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_pointwise")(y)
    y = _normalised(y, f"{name}_pointwise")
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


def _profile(x: Any, kernel: tuple[int, int], name: str) -> Any:
    """A weighted mean over one axis, at first the plain mean.

    A convolution and not a pooling layer: quantized pooling keeps the scale of its input, whose range is several times
    that of the means, and so costs them two bits.
    """
    mean = keras.initializers.Constant(1 / (kernel[0] * kernel[1]))
    return layers.DepthwiseConv2D(kernel, use_bias=False, depthwise_initializer=mean, name=name)(x)


def reduced_copy(image: Any, shape: tuple[int, int]) -> Any:
    """A smaller copy [B, *shape, C] of an image, without aliasing: whole pixels averaged, the rest interpolated."""
    height, width = image.shape[1:3]
    factors = (max(1, height // shape[0]), max(1, width // shape[1]))
    x = image
    if factors != (1, 1):
        x = layers.AveragePooling2D(factors, name="reduce_average")(x)
    if tuple(x.shape[1:3]) != tuple(shape):
        x = layers.Resizing(*shape, interpolation="bilinear", name="reduce_resize")(x)
    return x


def localization_features(image: Any, *, body: str, localization: str, width: float, features: int) -> Any:
    """The body of the localization network: image [B, H, W, C] → features [B, ``features``], in [0, 6].

    Args:
        image: Keras tensor; 64×64 is what the body was designed for (8×8 at its end).
        body: one of `BODIES`; see `stn_rectify.models.lightweight_stn`.
        localization: one of `LOCALIZATIONS`; see `stn_rectify.models.lightweight_stn`.
        width: factor on the channels.
        features: length of the vector that θ is a linear function of.
    """
    x = image
    for number, (channels, stride) in enumerate(_CONVOLUTIONS[body]):
        x = convolution(x, scaled_channels(channels, width), stride, f"stem{number or ''}")
    for number, (channels, stride, kernel) in enumerate(_BLOCKS[body], start=1):
        x = separable_block(x, scaled_channels(channels, width), stride, kernel, f"block{number}")
    if localization == "pooled":
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        if localization == "flatten":
            x = separable_block(x, x.shape[-1], 2, 3, "block10")
        x = layers.Conv2D(scaled_channels(_SQUEEZED[body], width), 1, use_bias=False, name="squeeze")(x)
        x = _normalised(x, "squeeze")
        if localization == "flatten":
            x = layers.Flatten(name="flatten")(x)
        else:
            rows, columns = x.shape[1:3]
            across = _profile(x, (1, columns), "row_profile")
            down = _profile(x, (rows, 1), "column_profile")
            flat = [layers.Flatten(name=f"{n}_flat")(p) for n, p in (("row", across), ("column", down))]
            x = layers.Concatenate(name="profiles")(flat)
    x = layers.Dense(features, name="features")(x)
    return layers.ReLU(6.0, name="features_relu")(x)


def identity_bias(transform: str, scale: float = 1.0) -> keras.initializers.Initializer:
    """θ of the identity, or of the middle part of the image, as the initial bias of the last Dense layer."""
    return _Identity((scale * identity_theta(transform)).tolist())


@keras.saving.register_keras_serializable(package="stn_rectify", name="Identity")
class _Identity(keras.initializers.Initializer):
    def __init__(self, theta: list[float]) -> None:
        self.theta = [float(t) for t in theta]

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(self.theta, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"theta": self.theta}
