"""A Keras model run on symbolic tensors, its nested models opened: which layer made what from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from stn_rectify.converters.reading.input_shape import check_inputs
from stn_rectify.models.network.layer_steps import Step, flat_steps
from stn_rectify.runtime.errors import ModelFileError

# What changes nothing when a model runs: a tensor before it and after it is the same to us.
_TRANSPARENT = (
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.RandomBrightness,
    keras.layers.RandomContrast,
    keras.layers.RandomFlip,
    keras.layers.RandomRotation,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.SpatialDropout2D,
)


@dataclass(frozen=True, eq=False)
class TracedCall:
    """One layer (or operation of ``keras.ops``) as it was called."""

    operation: Any
    arguments: Any = field(repr=False)
    inputs: list[Any] = field(repr=False)
    outputs: list[Any] = field(repr=False)

    @property
    def description(self) -> str:
        """Name and kind, for a message."""
        return _description(self.operation)


class KerasTrace:
    """All layers of a model in the order they run.

    Attributes:
        frame: the model's input; its batch size is fixed if the model's is 1.
        steps: the layers as called; layers that change nothing in inference are left out.
        outputs: the model's outputs.

    The model's layers compute in float32 afterwards, whatever they were trained in.

    Raises:
        ModelFileError: if the model is not one whose layers can be seen, has not one image as its input, or has weights
            that are no numbers.
    """

    def __init__(self, model: keras.Model) -> None:
        if not isinstance(model, keras.Model) or not model.built:
            raise ModelFileError("not a built Keras model: build it, or train it, before it is saved")
        if not isinstance(model, keras.Function | keras.Sequential):
            raise ModelFileError(
                f"{model.name}: its layers are hidden in the call() of class {type(model).__name__}; build it with "
                "keras.Input and keras.Model(inputs, outputs)"
            )
        check_inputs(model.name, {tensor.name: tensor.shape for tensor in model.inputs})
        prepare_layers(model)
        batch, *shape = model.inputs[0].shape
        # A model made for one frame may have that baked into a reshape.
        self.frame: Any = keras.Input(batch_shape=(1 if batch == 1 else None, *shape), name="frame")
        self.steps: list[TracedCall] = []
        self._makers: dict[int, TracedCall] = {}
        calls, outputs = flat_steps(model)
        tensors = {0: self.frame}
        for call in calls:
            inputs = [tensors[number] for number in call.inputs]
            results = inputs if _changes_nothing(call.layer, inputs) else self._call(call, inputs, tensors)
            tensors |= dict(zip(call.outputs, results, strict=True))
        self.outputs: list[Any] = [tensors[number] for number in outputs]

    def _call(self, call: Step, inputs: list[Any], tensors: dict[int, Any]) -> list[Any]:
        args, kwargs = call.arguments(tensors.__getitem__)
        step = TracedCall(call.layer, (args, kwargs), inputs, keras.tree.flatten(call.layer(*args, **kwargs)))
        self.steps.append(step)
        self._makers |= {id(tensor): step for tensor in step.outputs}
        return step.outputs

    def maker(self, tensor: Any) -> TracedCall:
        """The layer that made a tensor; for the frame, the input layer."""
        if id(tensor) in self._makers:
            return self._makers[id(tensor)]
        return TracedCall(tensor._keras_history.operation, (), [], [tensor])

    def depends(self, tensor: Any, on: Any) -> bool:
        """Tells whether ``on`` is ``tensor`` or one of those it was made from."""
        return any(t is on for t in self._ancestors([tensor], []))

    def steps_between(self, first: Sequence[Any], last: Sequence[Any]) -> list[TracedCall]:
        """The layers that make ``last``, back to ``first``."""
        step_ids = {id(self.maker(t)) for t in self._ancestors(last, first) if not any(t is f for f in first)}
        return [step for step in self.steps if id(step) in step_ids]

    def bypass(self, tensor: Any, gate: Any) -> str | None:
        """Describes a source of ``tensor`` that did not go through ``gate``; None if all of it did."""
        reached = self._ancestors([tensor], [gate])
        sources = (t for t in reached if t is not gate and id(t) not in self._makers)
        return next((self.maker(t).description for t in sources), None)

    def _ancestors(self, tensors: Sequence[Any], ends: Sequence[Any]) -> list[Any]:
        """The tensors themselves and all they were made from, no further than ``ends``."""
        reached: dict[int, Any] = {}
        waiting = list(tensors)
        while waiting:
            tensor = waiting.pop()
            if id(tensor) in reached:
                continue
            reached[id(tensor)] = tensor
            if id(tensor) in self._makers and not any(tensor is end for end in ends):
                waiting += self._makers[id(tensor)].inputs
        return list(reached.values())


def _description(operation: Any) -> str:
    return f"layer {operation.name!r} ({type(operation).__name__})"


def _changes_nothing(operation: Any, inputs: list[Any]) -> bool:
    if isinstance(operation, _TRANSPARENT):
        return True
    if isinstance(operation, keras.layers.Activation):
        return bool(operation.activation is keras.activations.linear)
    if isinstance(operation, keras.layers.Reshape | keras.layers.Flatten):
        return bool(operation.compute_output_shape(inputs[0].shape) == inputs[0].shape)
    # What mixed precision ends with; all is float32 here.
    return type(operation).__name__ == "Cast" and operation.dtype == inputs[0].dtype


def prepare_layers(model: keras.Model) -> None:
    """Refuses layers whose weights are no numbers; makes all others compute in float32, as their weights are."""
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.Model):
            continue
        if layer.quantization_mode is not None:
            raise ModelFileError(
                f"{model.name}: {_description(layer)} was quantized by Keras ({layer.quantization_mode}); give the "
                "model as it was before quantize()"
            )
        for variable in layer.weights:
            if "float" in variable.dtype and not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise ModelFileError(
                    f"{model.name}: the weights of {_description(layer)} are not finite: the training diverged; "
                    "train it again"
                )
        if layer.compute_dtype != "float32":
            layer.dtype_policy = "float32"
