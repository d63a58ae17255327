"""The rounding of an INT8 file: the tensors of a graph that exist in it, and those of them that share a scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import activations, layers

from stn_rectify.models.network.layer_steps import Step
from stn_rectify.models.quantization.rounded_layers import has_known_kernel, is_fused_activation, is_linear

__all__ = ["DROPPED", "RoundingPlan", "rounding_plan"]

#: Layers that do nothing at inference.
DROPPED = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.SpatialDropout2D,
)
# The values of the input, and zeros, in another order: its scale, and nothing to round.
_COPYING = (
    *DROPPED,
    layers.Concatenate,
    layers.Cropping2D,
    layers.Flatten,
    layers.MaxPooling2D,
    layers.Permute,
    layers.Reshape,
    layers.ZeroPadding2D,
)
# New values, but the operator keeps the scale of its input.
_SAME_SCALE = (*_COPYING, layers.AveragePooling2D, layers.Resizing, layers.UpSampling2D)
_ARITHMETIC = (layers.Add, layers.Subtract, layers.Multiply)
# Operators with an output scale that does not depend on what they see.
_FIXED = {
    activations.sigmoid: (0.0, 255 / 256),
    activations.softmax: (0.0, 255 / 256),
    activations.tanh: (-1.0, 127 / 128),
}


@dataclass(frozen=True)
class RoundingPlan:
    """The tensors that are rounded, and the ranges of their values.

    Attributes:
        ranges: number of ranges; a range belongs to all tensors that share a scale.
        of_tensor: tensor → its range, for tensors that are rounded after the step that makes them.
        of_input: number of the range of the model's input.
        within: step → range of the tensor inside it (separable convolution, activation that is not fused).
        fixed: range → its bounds, where they are known beforehand.
        unknown: layers with weights that stay in float, each by name and class.
    """

    ranges: int
    of_tensor: dict[int, int]
    of_input: int
    within: dict[int, int]
    fixed: dict[int, tuple[float, float]]
    unknown: tuple[str, ...]


def rounding_plan(steps: Sequence[Step], outputs: Sequence[int], input_range: tuple[float, float]) -> RoundingPlan:
    """Plans the rounding of a graph whose input is tensor 0.

    Args:
        steps: the steps in the order they run.
        outputs: numbers of the tensors that are not rounded because nothing follows them.
        input_range: bounds of the input's values.
    """
    uses = Counter(number for step in steps for number in step.inputs)
    makers = {number: step for step in steps for number in step.outputs}
    inside = {  # makes its input's tensor, which the file does not have
        step.inputs[0]
        for step in steps
        if len(step.inputs) == 1
        and uses[step.inputs[0]] == 1
        and step.inputs[0] not in outputs
        and step.inputs[0] in makers
        and _is_fused(makers[step.inputs[0]].layer, step.layer)
    }
    share = _shared_scales(steps)
    sharing = Counter(share.values())
    numbers: dict[int, int] = {}

    def range_of(tensor: int) -> int:
        return numbers.setdefault(share[tensor], len(numbers))

    of_input = range_of(0)
    fixed = {of_input: input_range}
    of_tensor: dict[int, int] = {}
    for step in steps:
        if isinstance(step.layer, _COPYING):
            continue
        for tensor in step.outputs:
            if tensor not in inside and tensor not in outputs:
                of_tensor[tensor] = range_of(tensor)
                bounds = _FIXED.get(getattr(step.layer, "activation", None))
                if bounds and sharing[share[tensor]] == 1:
                    fixed[of_tensor[tensor]] = bounds
    within: dict[int, int] = {}
    for k, step in enumerate(steps):
        if _has_inner_tensor(step, inside):
            within[k] = len(numbers) + len(within)
    return RoundingPlan(
        ranges=len(numbers) + len(within),
        of_tensor=of_tensor,
        of_input=of_input,
        within=within,
        fixed=fixed,
        unknown=tuple(dict.fromkeys(_described(s.layer) for s in steps if _is_unknown(s.layer))),
    )


def _is_fused(layer: Any, follower: Any) -> bool:
    """Tells whether the file computes a layer and the one that follows it in one operator."""
    if isinstance(follower, layers.BatchNormalization):
        return is_linear(layer)
    plain = isinstance(follower, layers.ReLU) and not follower.negative_slope and not follower.threshold
    plain = plain and follower.max_value in (None, 6)
    relu = isinstance(follower, layers.Activation) and is_fused_activation(follower.activation)
    return (plain or relu) and (is_linear(layer) or isinstance(layer, (layers.BatchNormalization, *_ARITHMETIC)))


def _has_inner_tensor(step: Step, inside: set[int]) -> bool:
    layer = step.layer
    if isinstance(layer, layers.BatchNormalization):
        return step.inputs[0] not in inside  # on its own: a multiplication, then an addition
    if not has_known_kernel(layer):
        return False
    return isinstance(layer, layers.SeparableConv2D) or not is_fused_activation(layer.activation)


def _shared_scales(steps: Sequence[Step]) -> dict[int, int]:
    """Gives tensor → the tensor that stands for all with the same scale."""
    parent = {n: n for step in steps for n in (*step.inputs, *step.outputs)}

    def root(n: int) -> int:
        while parent[n] != n:
            n = parent[n]
        return n

    for step in steps:
        if isinstance(step.layer, _SAME_SCALE):
            for number in step.inputs:
                parent[root(max(number, step.outputs[0]))] = root(min(number, step.outputs[0]))
    return {n: root(n) for n in parent}


def _is_unknown(layer: Any) -> bool:
    if has_known_kernel(layer) or isinstance(layer, layers.BatchNormalization):
        return False
    return bool(getattr(layer, "trainable_weights", []))


def _described(layer: Any) -> str:
    return f"{layer.name} ({type(layer).__name__})"
