"""The flow of channels through a graph: those that can only be removed together, and those that must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.network.layer_steps import Step, flat_steps
from stn_rectify.models.pruning.channel_rules import given_channels
from stn_rectify.models.pruning.weight_channels import Channels, WeightChannels, has_channels, weight_channels
from stn_rectify.models.quantization.pose_steps import pose_steps

__all__ = ["FIXED", "ChannelFlow", "LayerCall", "channel_flow"]

#: The number of all channels that must stay: those of the frame, of θ, of anything without a rule.
FIXED = 0


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer with weights.

    Attributes:
        layer: the Keras layer.
        positions: number of places in its output at which each kernel is computed.
        weights: the channel axes of each weight; empty where all of them must stay.
    """

    layer: Any
    positions: int
    weights: tuple[WeightChannels, ...]

    def macs(self, kept: npt.NDArray[np.bool_]) -> int:
        """Multiply-accumulates with only those channels kept, bool [channels]."""
        total = 0
        for k, weight in enumerate(self.layer.weights):
            shape = [int(n) for n in weight.shape]
            if len(shape) > 1:  # a kernel; biases and normalization are folded away
                for axis, numbers in self.weights[k].axes if self.weights else ():
                    shape[axis] = int(kept[numbers].sum())
                total += self.positions * prod(shape)
        return total


@dataclass(frozen=True)
class ChannelFlow:
    """The channels of a model by number; those that can only be removed together have the same number.

    Attributes:
        steps: all calls of the model, in the order they run.
        outputs: numbers of the model's output tensors.
        count: number of channel numbers; `FIXED` is one of them.
        calls: the calls of the localization network that have weights, in the order they run.
        input_size: height and width of the tensor that the first of them takes.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    count: int
    calls: tuple[LayerCall, ...]
    input_size: tuple[int, int]

    def macs(self, kept: npt.NDArray[np.bool_]) -> int:
        """Multiply-accumulates of the localization network, θ and score included, with only those channels kept."""
        return sum(call.macs(kept) for call in self.calls)


def channel_flow(model: keras.Model) -> ChannelFlow:
    """Follows the channels of an STN from the frame to θ and score.

    Raises:
        DataError: if the model is no Spatial Transformer Network.
    """
    steps, outputs = flat_steps(model)
    localization = {step.outputs for step in pose_steps(model).steps}
    walk = _Walk(model.inputs)
    for step in steps:
        walk.follow(step, in_localization=step.outputs in localization)
    for tensor in outputs:
        walk.fix(walk.channels[tensor])
    numbers = walk.numbers()
    weighted = [c for c in walk.calls if c.step.outputs in localization and getattr(c.step.layer, "weights", None)]
    calls = tuple(_layer_call(call, numbers) for call in weighted)
    first = weighted[0].input_shape
    height, width = first[1:3] if len(first) == 4 else model.inputs[0].shape[1:3]
    return ChannelFlow(tuple(steps), tuple(outputs), int(numbers.max()) + 1, calls, (int(height), int(width)))


@dataclass(frozen=True)
class _Call:
    """A step with the shapes and channels of its tensors."""

    step: Step
    input_shape: Any
    output_shape: Any
    inputs: Sequence[Channels]
    outputs: Sequence[Channels]


def _layer_call(call: _Call, numbers: Channels) -> LayerCall:
    layer = call.step.layer
    can_be_cut = has_channels(layer, len(call.input_shape))
    return LayerCall(
        layer,
        positions=prod(call.output_shape[1:-1]),
        weights=weight_channels(layer, numbers[call.inputs[0]], numbers[call.outputs[0]]) if can_be_cut else (),
    )


class _Walk:
    """Gives every channel a number of its own, and joins those that can only be removed together."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._parents = [FIXED]
        self._tensors: dict[int, Any] = dict(enumerate(inputs))
        self.channels = {number: _fixed(tensor) for number, tensor in self._tensors.items()}
        self.calls: list[_Call] = []
        self._first: dict[int, _Call] = {}

    def follow(self, step: Step, *, in_localization: bool) -> None:
        """Numbers the channels of a step's outputs; without a rule, or outside the localization network, they stay."""
        args, kwargs = step.arguments(self._tensors.__getitem__)
        made = keras.tree.flatten(step.layer.compute_output_spec(*args, **kwargs))
        self._tensors |= dict(zip(step.outputs, made, strict=True))
        inputs = [self.channels[number] for number in step.inputs]
        shapes = [tuple(self._tensors[number].shape) for number in step.inputs]
        outputs = given_channels(step, inputs, shapes, self) if in_localization else None
        if outputs is None:
            for channels in inputs:
                self.fix(channels)
        call = _Call(
            step, shapes[0], made[0].shape, inputs, [_fixed(t) for t in made] if outputs is None else [outputs]
        )
        first = self._first.setdefault(id(step.layer), call)  # a layer that is called again has the same weights
        for a, b in zip((*first.inputs, *first.outputs), (*call.inputs, *call.outputs), strict=True):
            self.join(a, b)
        self.calls.append(call)
        self.channels |= dict(zip(step.outputs, call.outputs, strict=True))

    def new(self, count: int) -> Channels:
        """Gives numbers to so many new channels."""
        numbers = np.arange(len(self._parents), len(self._parents) + count)
        self._parents += numbers.tolist()
        return numbers

    def join(self, a: Channels, b: Channels) -> None:
        """Makes each of ``a`` the same channel as that of ``b``; if their counts differ, all must stay."""
        if len(a) != len(b):
            self.fix(a)
            self.fix(b)
            return
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            low, high = sorted((self._root(x), self._root(y)))
            self._parents[high] = low  # so FIXED remains the root of what must stay

    def fix(self, channels: Channels) -> None:
        """Marks channels that must stay."""
        for number in channels.tolist():
            self._parents[self._root(number)] = FIXED

    def numbers(self) -> Channels:
        """Gives old number → new number, from 0 on, the same for all that were joined."""
        roots = [self._root(number) for number in range(len(self._parents))]
        return np.unique(roots, return_inverse=True)[1].reshape(-1)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _fixed(tensor: Any) -> Channels:
    return np.full(int(tensor.shape[-1]) if len(tensor.shape) > 1 else 1, FIXED)
