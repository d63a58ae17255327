"""Lightweight localization networks: depthwise-separable, no wider than a Pi can run beside a camera."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.runtime.geometry import identity_theta

__all__ = ["LOCALIZATIONS", "localization_features", "reduced_copy"]

#: How the last feature map becomes a vector.
LOCALIZATIONS = ("profiles", "flatten", "pooled")

# Output channels and stride of each depthwise-separable block after the stem, at width 1.
_BLOCKS = ((16, 1), (24, 2), (32, 1), (48, 1), (48, 1), (64, 2), (64, 1), (64, 1), (64, 1))
_STEM_CHANNELS = 16


def _channels(count: int, width: float) -> int:
    """Channels scaled by ``width``, a multiple of 8: what SIMD kernels fill."""
    return max(8, int(count * width / 8 + 0.5) * 8)


def _normalised(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=0.98, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _separable_block(x: Any, channels: int, stride: int, name: str) -> Any:
    """Depthwise 3×3, pointwise 1×1, and a residual connection where the shapes allow one."""
    y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
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


def localization_features(image: Any, *, localization: str, width: float, features: int) -> Any:
    """The body of the localization network: image [B, H, W, C] → features [B, ``features``], in [0, 6].

    Args:
        image: Keras tensor; 64×64 is what the body was designed for (8×8 at its end).
        localization: one of `LOCALIZATIONS`; see `stn_rectify.models.lightweight_stn`.
        width: factor on the channels.
        features: length of the vector that θ is a linear function of.
    """
    x = layers.Conv2D(_channels(_STEM_CHANNELS, width), 3, strides=2, padding="same", use_bias=False, name="stem")(
        image
    )
    x = _normalised(x, "stem")
    for number, (channels, stride) in enumerate(_BLOCKS, start=1):
        x = _separable_block(x, _channels(channels, width), stride, f"block{number}")
    if localization == "pooled":
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    else:
        if localization == "flatten":
            x = _separable_block(x, x.shape[-1], 2, "block10")
        x = layers.Conv2D(_channels(32, width), 1, use_bias=False, name="squeeze")(x)
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


def identity_bias(transform: str) -> keras.initializers.Initializer:
    """θ of the identity, as the initial bias of the last Dense layer."""
    return _Identity(identity_theta(transform).tolist())


@keras.saving.register_keras_serializable(package="stn_rectify", name="Identity")
class _Identity(keras.initializers.Initializer):
    def __init__(self, theta: list[float]) -> None:
        self.theta = [float(t) for t in theta]

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(self.theta, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"theta": self.theta}
