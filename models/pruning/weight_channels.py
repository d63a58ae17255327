"""The axes of a layer's weights that are channels of its input or of its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import layers

__all__ = ["Channels", "WeightChannels", "has_channels", "makes_channels", "output_count", "weight_channels"]

#: For each element along a tensor's last axis the number of its channel.
Channels = npt.NDArray[np.intp]


@dataclass(frozen=True)
class WeightChannels:
    """The channel axes of one weight: the number of the axis, and the channels along it.

    Attributes:
        inputs: the axis of input channels, which is summed over; None in depthwise kernels, batch normalization and
            biases.
        outputs: the axis of output channels.
    """

    inputs: tuple[int, Channels] | None
    outputs: tuple[int, Channels]

    @property
    def axes(self) -> list[tuple[int, Channels]]:
        """The axes that there are, that of the input first."""
        return [self.outputs] if self.inputs is None else [self.inputs, self.outputs]


def weight_channels(layer: Any, inputs: Channels, outputs: Channels) -> tuple[WeightChannels, ...]:
    """The channel axes of each of ``layer.weights``.

    Args:
        layer: a layer that `has_channels`.
        inputs: channels of its input.
        outputs: channels of its output.
    """
    kernels = _RULES[type(layer)](layer, inputs, outputs)
    vectors = [WeightChannels(None, (0, outputs))] * len(layer.weights)  # biases, and all of batch normalization
    return (*kernels, *vectors[len(kernels) :])


def has_channels(layer: Any, rank: int) -> bool:
    """Tells whether the channel axes of a layer's weights are known, for an input with ``rank`` axes.

    A subclass may compute something else and is not known.
    """
    over_last = not isinstance(layer, layers.BatchNormalization) or layer.axis in (-1, rank - 1)
    return type(layer) in _RULES and getattr(layer, "groups", 1) == 1 and over_last


def makes_channels(layer: Any) -> bool:
    """Tells whether each output channel is a sum over all input channels, and so a channel of its own."""
    return type(layer) in _SIZES


def output_count(layer: Any, count: int) -> dict[str, int]:
    """Arguments of a layer like this one with ``count`` output channels."""
    return {_SIZES[type(layer)]: count} if makes_channels(layer) else {}


def _convolution(layer: Any, inputs: Channels, outputs: Channels) -> list[WeightChannels]:
    return [WeightChannels((2, inputs), (3, outputs))]


def _depthwise(layer: Any, inputs: Channels, outputs: Channels) -> list[WeightChannels]:
    return [WeightChannels(None, (2, inputs))]


def _separable(layer: Any, inputs: Channels, outputs: Channels) -> list[WeightChannels]:
    between = np.repeat(inputs, layer.depth_multiplier)
    return [WeightChannels(None, (2, inputs)), WeightChannels((2, between), (3, outputs))]


def _dense(layer: Any, inputs: Channels, outputs: Channels) -> list[WeightChannels]:
    return [WeightChannels((0, inputs), (1, outputs))]


def _vectors_only(layer: Any, inputs: Channels, outputs: Channels) -> list[WeightChannels]:
    return []


_SIZES: dict[type, str] = {layers.Conv2D: "filters", layers.SeparableConv2D: "filters", layers.Dense: "units"}
_RULES: dict[type, Callable[[Any, Channels, Channels], list[WeightChannels]]] = {
    layers.BatchNormalization: _vectors_only,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
}
