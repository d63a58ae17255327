"""The turn network: a small classifier that says by how many quarters a rectified target must be turned clockwise.

One network looks at the picture in all four orientations and says how upright each is. So a picture turned by a
quarter gives the same probabilities one class further, exactly, and what is learned of one side is known of all.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from stn_rectify.models.network.localization import scaled_channels

#: The classes: 0, 1, 2, 3 quarters clockwise.
TURNS = 4
#: Details of each size of a target that a network is shown beside the whole, at most; it is trained on both.
TURN_DETAILS = 3

# At width 1, channels of the first convolution at half the input's size; channels of the blocks at a fourth, an eighth
# and a sixteenth of it, and how many blocks of these there are; channels of which each place is weighed by itself.
_STEM, _STAGES, _PLACED = 16, ((32, 1), (64, 1), (128, 2)), 16
#: Pixels of the input for each cell of the last map.
_REDUCTION = 16


@keras.saving.register_keras_serializable(package="stn_rectify")
class QuarterTurns(layers.Layer):
    """Puts pictures turned by 0, 1, 2 and 3 quarters clockwise one after another into the batch."""

    def call(self, x: Any) -> Any:
        """From [B, S, S, C] to [4 · B, S, S, C], all pictures of the same turn together."""
        backwards = np.arange(x.shape[1])[::-1].copy()
        across = ops.transpose(x, (0, 2, 1, 3))
        half = ops.take(ops.take(x, backwards, axis=1), backwards, axis=2)
        turned = [x, ops.take(across, backwards, axis=2), half, ops.take(across, backwards, axis=1)]
        return ops.concatenate(turned, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See `call`."""
        batch, *rest = input_shape
        return (None if batch is None else TURNS * batch, *rest)


@keras.saving.register_keras_serializable(package="stn_rectify")
class SquaresOfFour(layers.Layer):
    """Puts the four pixels of each square into the channels.

    A convolution of 4×4 pixels at stride 2 is then one of 2×2 squares at stride 1. On Arm a convolution's channels are
    taken in eights: of one channel seven eighths of the work would be for nothing.
    """

    def call(self, x: Any) -> Any:
        """From [B, 2 · H, 2 · W, C] to [B, H, W, 4 · C], the channels of the upper left pixel first, row by row."""
        _, height, width, channels = x.shape
        rows = ops.reshape(x, (-1, 2, width // 2, 2 * channels))
        return ops.reshape(ops.transpose(rows, (0, 2, 1, 3)), (-1, height // 2, width // 2, 4 * channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See `call`."""
        batch, height, width, channels = input_shape
        assert height is not None
        assert width is not None
        assert channels is not None
        return (batch, height // 2, width // 2, 4 * channels)


@keras.saving.register_keras_serializable(package="stn_rectify")
class TurnsApart(layers.Layer):
    """Gives each picture the scores of its four turns."""

    def call(self, x: Any) -> Any:
        """From [4 · B, 1], as `QuarterTurns` orders them, to [B, 4]."""
        return ops.transpose(ops.reshape(x, (TURNS, -1)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See `call`."""
        return (None if input_shape[0] is None else input_shape[0] // TURNS, TURNS)


def turn_network(
    input_shape: tuple[int, int, int] = (96, 96, 1), *, width: float = 1.0, name: str = "turn"
) -> keras.Model:
    """Builds a turn network.

    Depthwise-separable blocks at a fourth of the input's size see strokes, those at an eighth and a sixteenth letters
    and how they lie. How upright a picture is, is weighed by what there is anywhere, and by where it is.

    Args:
        input_shape: height and width of the rectified target, the same multiple of 16, and channels, pixel values in
            [0, 1].
        width: factor on the channels.
        name: the model's name.

    Returns:
        A Keras model of the probabilities [B, 4] of 0, 1, 2 and 3 quarters clockwise that make the target upright.

    Raises:
        ValueError: if the sides differ, or are no multiple of 16.
    """
    side = input_shape[0]
    if side != input_shape[1] or side % _REDUCTION:
        raise ValueError(f"input_shape is {input_shape}: both sides must be the same multiple of {_REDUCTION}")
    image: Any = keras.Input(input_shape, name="frame")
    x = QuarterTurns(name="turns")(layers.ZeroPadding2D(name="around")(image))
    x = SquaresOfFour(name="squares")(x)
    x = layers.Conv2D(scaled_channels(_STEM, width), 2, use_bias=False, kernel_initializer="he_normal", name="stem")(x)
    x = _normalised(x, "stem")
    for number, (channels, blocks) in enumerate(_STAGES):
        x = _block(x, scaled_channels(channels, width), 4, 2, f"stage{number}")
        for block in range(blocks):
            x = _block(x, scaled_channels(channels, width), 3, 1, f"stage{number}_{block}")
    placed = layers.Conv2D(_PLACED, 1, activation="relu", kernel_initializer="he_normal", name="placed")(x)
    anywhere = layers.GlobalAveragePooling2D(name="anywhere")(x)
    features = layers.Concatenate(name="features")([layers.Flatten(name="flat")(placed), anywhere])
    score = layers.Dense(1, kernel_initializer="zeros", use_bias=False, name="uprightness")(features)
    return keras.Model(image, layers.Softmax(name="turn")(TurnsApart(name="apart")(score)), name=name)


def _block(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    """Depthwise, pointwise 1×1, and a residual connection where the shapes allow one."""
    y = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_depthwise"
    )(x)
    y = _normalised(y, f"{name}_depthwise")
    y = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise")(y)
    y = _normalised(y, f"{name}_pointwise")
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape[1:] == y.shape[1:] else y


def _normalised(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=0.98, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
