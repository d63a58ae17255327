"""How channels run through a graph: which of them can only be removed together, and which must stay."""

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
        positions: at how many places of its output each kernel is computed.
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
        count: of channel numbers; `FIXED` is one of them.
        calls: those of the localization network with weights, in the order they run.
        seen: height and width of what the first of them looks at.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    count: int
    calls: tuple[LayerCall, ...]
    seen: tuple[int, int]

    def macs(self, kept: npt.NDArray[np.bool_]) -> int:
        """Multiply-accumulates of the localization network, θ and score included, with only those channels kept."""
        return sum(call.macs(kept) for call in self.calls)


def channel_flow(model: keras.Model) -> ChannelFlow:
    """Follows the channels of an STN from the frame to θ and score.

    Raises:
        DataError: no Spatial Transformer Network.
    """
    steps, outputs = flat_steps(model)
    localization = {step.outputs for step in pose_steps(model).steps}
    walk = _Walk(model.inputs)
    for step in steps:
        walk.follow(step, known=step.outputs in localization)
    for tensor in outputs:
        walk.fix(walk.channels[tensor])
    numbers = walk.numbers()
    weighted = [c for c in walk.calls if c.step.outputs in localization and getattr(c.step.layer, "weights", None)]
    calls = tuple(_layer_call(call, numbers) for call in weighted)
    first = weighted[0].taken_shape
    height, width = first[1:3] if len(first) == 4 else model.inputs[0].shape[1:3]
    return ChannelFlow(tuple(steps), tuple(outputs), int(numbers.max()) + 1, calls, (int(height), int(width)))


@dataclass(frozen=True)
class _Call:
    """A step with the shapes and channels of its tensors."""

    step: Step
    taken_shape: Any
    given_shape: Any
    taken: Sequence[Channels]
    given: Sequence[Channels]


def _layer_call(call: _Call, numbers: Channels) -> LayerCall:
    layer = call.step.layer
    known = has_channels(layer, len(call.taken_shape))
    return LayerCall(
        layer,
        positions=prod(call.given_shape[1:-1]),
        weights=weight_channels(layer, numbers[call.taken[0]], numbers[call.given[0]]) if known else (),
    )


class _Walk:
    """Gives every channel a number of its own, and joins those that can only be removed together."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._parents = [FIXED]
        self._tensors: dict[int, Any] = dict(enumerate(inputs))
        self.channels = {number: _fixed(tensor) for number, tensor in self._tensors.items()}
        self.calls: list[_Call] = []
        self._first: dict[int, _Call] = {}

    def follow(self, step: Step, *, known: bool) -> None:
        """The channels of a step's outputs. Without a rule, or not ``known``, all that it touches must stay."""
        args, kwargs = step.arguments(self._tensors.__getitem__)
        made = keras.tree.flatten(step.layer.compute_output_spec(*args, **kwargs))
        self._tensors |= dict(zip(step.outputs, made, strict=True))
        taken = [self.channels[number] for number in step.inputs]
        shapes = [tuple(self._tensors[number].shape) for number in step.inputs]
        given = given_channels(step, taken, shapes, self) if known else None
        if given is None:
            for channels in taken:
                self.fix(channels)
        call = _Call(step, shapes[0], made[0].shape, taken, [_fixed(t) for t in made] if given is None else [given])
        first = self._first.setdefault(id(step.layer), call)  # a layer that is called again has the same weights
        for a, b in zip((*first.taken, *first.given), (*call.taken, *call.given), strict=True):
            self.join(a, b)
        self.calls.append(call)
        self.channels |= dict(zip(step.outputs, call.given, strict=True))

    def new(self, count: int) -> Channels:
        """So many channels of their own."""
        numbers = np.arange(len(self._parents), len(self._parents) + count)
        self._parents += numbers.tolist()
        return numbers

    def join(self, a: Channels, b: Channels) -> None:
        """Each of ``a`` is the same as that of ``b`` from now on; of different counts, all must stay."""
        if len(a) != len(b):
            self.fix(a)
            self.fix(b)
            return
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            low, high = sorted((self._root(x), self._root(y)))
            self._parents[high] = low  # so FIXED remains the root of what must stay

    def fix(self, channels: Channels) -> None:
        """These must stay."""
        for number in channels.tolist():
            self._parents[self._root(number)] = FIXED

    def numbers(self) -> Channels:
        """Old number → new number, from 0 on, the same for all that were joined."""
        roots = [self._root(number) for number in range(len(self._parents))]
        return np.unique(roots, return_inverse=True)[1].reshape(-1)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _fixed(tensor: Any) -> Channels:
    return np.full(int(tensor.shape[-1]) if len(tensor.shape) > 1 else 1, FIXED)
