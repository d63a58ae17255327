"""Which axes of a layer's weights are channels, and of which tensor."""

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
        taken: of the input, where it is summed over; None in depthwise kernels, batch normalization and biases.
        given: of the output.
    """

    taken: tuple[int, Channels] | None
    given: tuple[int, Channels]

    @property
    def axes(self) -> list[tuple[int, Channels]]:
        """All there are."""
        return [self.given] if self.taken is None else [self.taken, self.given]


def weight_channels(layer: Any, taken: Channels, given: Channels) -> tuple[WeightChannels, ...]:
    """The channel axes of each of ``layer.weights``.

    Args:
        layer: one that `has_channels`.
        taken: channels of its input.
        given: channels of its output.
    """
    kernels = _RULES[type(layer)](layer, taken, given)
    vectors = [WeightChannels(None, (0, given))] * len(layer.weights)  # biases, and all of batch normalization
    return (*kernels, *vectors[len(kernels) :])


def has_channels(layer: Any, rank: int) -> bool:
    """Whether the channel axes of its weights are known, for an input with so many axes.

    A subclass may compute something else and is not known.
    """
    over_last = not isinstance(layer, layers.BatchNormalization) or layer.axis in (-1, rank - 1)
    return type(layer) in _RULES and getattr(layer, "groups", 1) == 1 and over_last


def makes_channels(layer: Any) -> bool:
    """Whether each output channel is a sum over all input channels, so that the outputs are channels of their own."""
    return type(layer) in _SIZES


def output_count(layer: Any, count: int) -> dict[str, int]:
    """Arguments of a layer like this one with ``count`` output channels."""
    return {_SIZES[type(layer)]: count} if makes_channels(layer) else {}


def _convolution(layer: Any, taken: Channels, given: Channels) -> list[WeightChannels]:
    return [WeightChannels((2, taken), (3, given))]


def _depthwise(layer: Any, taken: Channels, given: Channels) -> list[WeightChannels]:
    return [WeightChannels(None, (2, taken))]


def _separable(layer: Any, taken: Channels, given: Channels) -> list[WeightChannels]:
    between = np.repeat(taken, layer.depth_multiplier)
    return [WeightChannels(None, (2, taken)), WeightChannels((2, between), (3, given))]


def _dense(layer: Any, taken: Channels, given: Channels) -> list[WeightChannels]:
    return [WeightChannels((0, taken), (1, given))]


def _vectors_only(layer: Any, taken: Channels, given: Channels) -> list[WeightChannels]:
    return []


_SIZES: dict[type, str] = {layers.Conv2D: "filters", layers.SeparableConv2D: "filters", layers.Dense: "units"}
_RULES: dict[type, Callable[[Any, Channels, Channels], list[WeightChannels]]] = {
    layers.BatchNormalization: _vectors_only,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
}
