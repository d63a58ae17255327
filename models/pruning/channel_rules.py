"""The rules of what layers do with channels: pass them on, join them, or make new ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from keras import layers

from stn_rectify.models.network.layer_steps import Step
from stn_rectify.models.pruning.weight_channels import Channels, has_channels, makes_channels
from stn_rectify.models.quantization.rounding_plan import DROPPED

# Each channel of the output comes from the same channel of the input, and from no other.
_PASSING = (
    *DROPPED,
    layers.Activation,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.Cropping2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.Resizing,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)
# Channels of the same place meet.
_MEETING = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract)
# Operations of keras.ops, whose classes have no public name.
_PASSING_OPERATIONS = ("HardSigmoid", "HardSilu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Silu", "Tanh")
_MEETING_OPERATIONS = ("Add", "Maximum", "Minimum", "Multiply", "Subtract")
# Activations that look at each value alone.
_ELEMENTWISE = (
    "elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "relu", "relu6", "selu", "sigmoid", "silu",
    "softplus", "softsign", "tanh",
)  # fmt: skip


class Numbering(Protocol):
    """The place where channels get their numbers."""

    def new(self, count: int) -> Channels:
        """Makes ``count`` channels that are joined to no others."""

    def join(self, a: Channels, b: Channels) -> None:
        """Makes each of ``a`` the same channel as that of ``b``, if there are as many."""


def output_channels(
    step: Step, inputs: Sequence[Channels], shapes: Sequence[tuple[int, ...]], numbering: Numbering
) -> Channels | None:
    """Gives the channels of a step's output; None if there is no rule for the step.

    Args:
        step: a call with one output.
        inputs: channels of each of its inputs.
        shapes: of its inputs, with the batch axis.
        numbering: gives numbers to new channels, and joins old ones.
    """
    layer = step.layer
    if len(step.outputs) != 1 or not inputs or not _acts_on_each_channel(layer):
        return None
    if makes_channels(layer):
        return numbering.new(int(layer.weights[-1].shape[-1])) if _is_known(layer, shapes[0]) else None
    if isinstance(layer, layers.DepthwiseConv2D):
        return np.repeat(inputs[0], layer.depth_multiplier) if _is_known(layer, shapes[0]) else None
    if type(layer) in _PASSING or _is_operation(layer, _PASSING_OPERATIONS):
        return inputs[0] if _is_known(layer, shapes[0]) and len(inputs) == 1 else None
    if type(layer) is layers.Flatten:
        return np.tile(inputs[0], prod(shapes[0][1:-1]))
    if type(layer) is layers.Concatenate and layer.axis in (-1, len(shapes[0]) - 1):
        return np.concatenate(inputs)
    if (type(layer) in _MEETING or _is_operation(layer, _MEETING_OPERATIONS)) and len(inputs) > 1:
        for other in inputs[1:]:
            numbering.join(inputs[0], other)
        return inputs[0] if len({len(channels) for channels in inputs}) == 1 else None
    return None


def _acts_on_each_channel(layer: Any) -> bool:
    """Tells whether the layer looks at each channel alone, in the last axis; a softmax over the channels does not."""
    activation = getattr(layer, "activation", None)
    known = activation is None or getattr(activation, "__name__", "") in _ELEMENTWISE
    return known and getattr(layer, "data_format", "channels_last") in ("channels_last", None)


def _is_known(layer: Any, shape: tuple[int, ...]) -> bool:
    """Tells whether the layer's weights, if it has any, can be cut."""
    return not getattr(layer, "weights", None) or has_channels(layer, len(shape))


def _is_operation(layer: Any, names: Sequence[str]) -> bool:
    return type(layer).__name__ in names and type(layer).__module__.startswith("keras.src.ops.")
