"""The dense localization network: at every cell of a coarse grid a score and the corners of the target around it."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.models.network.localization import convolution, scaled_channels, separable_block

#: Pixels of the input for each cell of the output, along both sides.
STRIDE = 8

#: The corners that the network gives are so many pixels of the input a unit, from the middle of their cell.
CORNER_UNIT_PX = 32.0

#: What a score is of, in the order of the channels: a target of any kind; a number plate.
SCORES = ("any", "plate")

# At width 1, channels of the stem's stages at strides 2, 4 and 8, of the body at stride 16, and of the head at 8.
_STEM, _BODY, _HEAD = (16, 24, 32), 96, 64
_BODY_BLOCKS, _HEAD_BLOCKS = 4, 2
#: The logit that the scores start from: most cells show nothing.
_RARE = -4.0


def dense_localization(
    input_shape: tuple[int, int, int] = (240, 320, 3),
    *,
    scores: int = len(SCORES),
    width: float = 1.0,
    name: str = "dense",
) -> keras.Model:
    """Builds a fully convolutional localization network: the same weights for frames of any size.

    Plain convolutions down to an eighth of the size; a body at a sixteenth, whose 5×5 depthwise kernels see most of
    the frame; its map, enlarged, is added to that at an eighth, where the heads look.

    Args:
        input_shape: height and width, multiples of 16, and channels of the frame, pixel values in [0, 1].
        scores: how many scores each cell gets, see `SCORES`.
        width: factor on the channels.
        name: the model's name.

    Returns:
        A Keras model with the outputs ``[scores, corners]``: [B, H / 8, W / 8, scores], logits; and
        [B, H / 8, W / 8, 8], x and y of the corners TL, TR, BR, BL in units of `CORNER_UNIT_PX` from the middle of the
        cell, which lies at pixel ``8 · column + 3.5``.

    Raises:
        ValueError: if a side is no multiple of 16.
    """
    if input_shape[0] % (2 * STRIDE) or input_shape[1] % (2 * STRIDE):
        raise ValueError(f"input_shape is {input_shape}: height and width must be multiples of {2 * STRIDE}")
    image: Any = keras.Input(input_shape, name="frame")
    x = image
    for number, channels in enumerate(_STEM):
        x = convolution(x, scaled_channels(channels, width), 2, f"stem{number or ''}")
    fine = convolution(x, x.shape[-1], 1, f"stem{len(_STEM)}")
    x = convolution(fine, scaled_channels(_BODY, width), 2, "body")
    for number in range(_BODY_BLOCKS):
        x = separable_block(x, x.shape[-1], 1, 5, f"block{number}")
    x = layers.Conv2D(fine.shape[-1], 1, use_bias=False, name="merge")(x)
    x = layers.UpSampling2D(2, name="enlarged")(layers.BatchNormalization(momentum=0.98, name="merge_bn")(x))
    x = layers.ReLU(6.0, name="merged_relu")(layers.Add(name="merged")([fine, x]))
    for number in range(_HEAD_BLOCKS):
        x = separable_block(x, scaled_channels(_HEAD, width), 1, 3, f"head{number}")
    rare = keras.initializers.Constant(_RARE)
    logits = layers.Conv2D(scores, 1, bias_initializer=rare, name="scores")(x)
    corners = layers.Conv2D(8, 1, name="corners")(x)
    return keras.Model(image, [logits, corners], name=name)


def any_size(model: keras.Model) -> keras.Model:
    """A copy of a dense network that takes frames of any size, with weights of its own."""
    config = model.get_config()
    _, _, _, channels = model.input_shape
    first = next(layer for layer in config["layers"] if layer["class_name"] == "InputLayer")
    first["config"]["batch_shape"] = (None, None, None, channels)
    copy = keras.Model.from_config(config)
    copy.set_weights(model.get_weights())
    return copy
