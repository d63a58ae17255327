"""A smaller Keras model of the same layers: channels cut out of every weight that has them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.pruning.channel_flow import ChannelFlow, LayerCall
from stn_rectify.models.pruning.weight_channels import output_count
from stn_rectify.runtime.arrays import Array


def without_channels(model: keras.Model, flow: ChannelFlow, kept: npt.NDArray[np.bool_]) -> keras.Model:
    """Makes a new, flat, functional model of the channels that are kept; nested models are opened.

    Layers, their names and the model's inputs and outputs are the same. It gives what ``model`` gives when all that
    reads a removed channel reads zeros.

    Args:
        model: the model that ``flow`` was made of.
        flow: the channels of the model.
        kept: bool [channels]: False for those that are removed.
    """
    calls = {id(call.layer): call for call in flow.calls}
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name) for t in model.inputs]
    tensors: dict[int, Any] = dict(enumerate(inputs))
    made: dict[int, Any] = {}
    names: set[str] = set()
    for step in flow.steps:
        layer = step.layer
        if id(layer) not in made:
            made[id(layer)] = _copy(layer, calls.get(id(layer)), kept, names)
        args, kwargs = step.arguments(tensors.__getitem__)
        tensors |= dict(zip(step.outputs, keras.tree.flatten(made[id(layer)](*args, **kwargs)), strict=True))
        if getattr(layer, "weights", None):
            made[id(layer)].set_weights(_cut(layer, calls.get(id(layer)), kept))
    outputs = [tensors[number] for number in flow.outputs]
    structure = keras.tree.pack_sequence_as(model.output, outputs)
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, structure, name=model.name)


def _copy(layer: Any, call: LayerCall | None, kept: npt.NDArray[np.bool_], names: set[str]) -> Any:
    """An unbuilt layer or operation like this one, with as many outputs as are kept of it."""
    config = layer.get_config()
    if not isinstance(layer, keras.Layer):
        return type(layer).from_config(config)
    if call is not None and call.weights:
        config |= output_count(layer, int(kept[call.weights[-1].outputs[1]].sum()))
    name, again = layer.name, 1
    while name in names:  # models that were nested in each other may use a name twice
        again += 1
        name = f"{layer.name}_{again}"
    names.add(name)
    return type(layer).from_config({**config, "name": name})


def _cut(layer: Any, call: LayerCall | None, kept: npt.NDArray[np.bool_]) -> list[Array]:
    """The layer's weights with only the channels that are kept."""
    weights: list[Array] = layer.get_weights()
    for k, channels in enumerate(call.weights if call is not None else ()):
        for axis, numbers in channels.axes:
            weights[k] = np.compress(kept[numbers], weights[k], axis=axis)
    return weights
