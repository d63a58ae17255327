"""The part of an STN that is quantized with TensorFlow's rules: the steps that lead to θ and to the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from stn_rectify.models.network.layer_steps import Step, flat_steps, steps_to
from stn_rectify.models.network.layers import BilinearSampler
from stn_rectify.runtime.errors import DataError

__all__ = ["PoseSteps", "pose_steps"]


@dataclass(frozen=True)
class PoseSteps:
    """The steps that lead from the frame, tensor 0, to the pose.

    Attributes:
        steps: the steps in the order they run.
        theta: number of the tensor θ.
        score: number of the tensor with the score; None without one.
    """

    steps: tuple[Step, ...]
    theta: int
    score: int | None

    @property
    def outputs(self) -> list[int]:
        """θ, and the score if there is one."""
        return [self.theta] if self.score is None else [self.theta, self.score]

    @property
    def layers(self) -> list[keras.Layer]:
        """The layers, each once."""
        by_id = {id(s.layer): s.layer for s in self.steps if isinstance(s.layer, keras.Layer)}
        return list(by_id.values())


def pose_steps(model: keras.Model) -> PoseSteps:
    """Finds the pose by the layers, whatever they are called; a recognizer after the sampler is left out.

    Raises:
        DataError: if it is no functional Keras model of one image with one `BilinearSampler` and a Dense layer for θ.
    """
    if not isinstance(model, keras.Function | keras.Sequential):
        raise DataError("its layers cannot be seen: it must be built with keras.Model(inputs, outputs)")
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or None in model.inputs[0].shape[1:]:
        raise DataError("its input must be one image of a fixed size, [batch, height, width, channels]")
    steps, outputs = flat_steps(model)
    makers = {number: step for step in steps for number in step.outputs}
    samplers = [step for step in steps if isinstance(step.layer, BilinearSampler)]
    if len(samplers) != 1:
        raise DataError(f"no Spatial Transformer Network: it has {len(samplers)} BilinearSampler layers, not one")
    generator = makers.get(samplers[0].inputs[1])
    head: Any = makers.get(generator.inputs[0]) if generator and generator.inputs else None
    if head is None or not isinstance(head.layer, keras.layers.Dense):
        raise DataError("no Spatial Transformer Network: a Dense layer must give theta, a grid layer the grid")
    theta = head.outputs[0]
    shapes = {number: tuple(tensor.shape) for number, tensor in zip(outputs, model.outputs, strict=True)}
    scores = [
        number
        for number, shape in shapes.items()
        if shape[1:] == (1,) and number != theta and samplers[0] not in steps_to(steps, [number])
    ]
    score = scores[0] if scores else None
    needed = steps_to(steps, [theta] if score is None else [theta, score])
    return PoseSteps(tuple(needed), theta, score)
