"""The reader: a small convolutional network that reads a rectified plate of one or two rows (CTC, after LPRNet).

LPRNet (Zherzdev and Gruzdev 2018, arXiv 1806.10447) reads one row: its map is as wide as the steps of the text. Here
the last map is read twice, by two sets of filters as high as the map: the steps of the first stand before those of the
second. A plate of two rows is told by both; of one row all characters are in the first, and the second stays blank.
Which it is, and so which filters answer, is learnt of the texts alone.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.models.network.localization import scaled_channels

#: Pixels of the image's width for each step of a row, and of its height for each row of the last map.
STEP_PX, _ROW_PX = 4, 4
# At width 1: channels of the maps at a half and a quarter of the image's size, and of the steps; residual
# convolutions at a quarter, and of the steps.
_CHANNELS, _STEP_CHANNELS = (16, 32, 48), 80
_BLOCKS, _STEP_BLOCKS = 1, 3
_REACH = 9  # steps that one convolution along the text sees


def reader_network(
    input_shape: tuple[int, int, int], classes: int, *, width: float = 1.0, name: str = "reader"
) -> keras.Model:
    """Builds an untrained reader.

    Args:
        input_shape: height and width of the rectified image, multiples of 8, and channels; pixel values in [0, 1].
        classes: characters and the blank.
        width: factor on the channels.
        name: the model's name.

    Returns:
        A Keras model of logits [B, T, classes]; T is half the image's width: a quarter for each of two rows.

    Raises:
        ValueError: if height or width are no multiples of 8.
    """
    height, across, _ = input_shape
    if height % 8 or across % 8:
        raise ValueError(f"input_shape is {input_shape}: height and width must be multiples of 8")
    half, fine, coarse = (scaled_channels(channels, width) for channels in _CHANNELS)
    along = scaled_channels(_STEP_CHANNELS, width)
    image: Any = keras.Input(input_shape, name="image")
    x = _convolution(image, half, (3, 3), "stem", strides=(2, 2))
    x = _convolution(x, fine, (3, 3), "fine", strides=(2, 1))
    x = _convolution(x, coarse, (3, 3), "coarse", strides=(1, 2))
    for number in range(_BLOCKS):
        y = _convolution(x, coarse, (3, 3), f"coarse{number}")
        x = layers.Add(name=f"coarse{number}_add")([x, y])
    rows = [_convolution(x, along, (height // _ROW_PX, 1), row, padding="valid") for row in ("first_row", "second_row")]
    x = layers.Concatenate(axis=2, name="rows")(rows)
    for number in range(_STEP_BLOCKS):
        y = layers.DepthwiseConv2D((1, _REACH), padding="same", use_bias=False, name=f"steps{number}_depthwise")(x)
        y = layers.BatchNormalization(momentum=0.98, name=f"steps{number}_depthwise_bn")(y)
        y = _convolution(y, along, (1, 1), f"steps{number}")
        x = layers.Add(name=f"steps{number}_add")([x, y])
    x = layers.Conv2D(classes, 1, name="characters")(x)
    return keras.Model(image, layers.Reshape((across // 2, classes), name="logits")(x), name=name)


def _convolution(
    x: Any, channels: int, size: tuple[int, int], name: str, *, strides: tuple[int, int] = (1, 1), padding: str = "same"
) -> Any:
    x = layers.Conv2D(channels, size, strides=strides, padding=padding, use_bias=False, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(momentum=0.98, name=f"{name}_bn")(x))
