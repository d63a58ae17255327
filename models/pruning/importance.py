"""The importance of channels: by batch normalization's scale, or by the change of the loss without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from stn_rectify.models.pruning.channel_flow import ChannelFlow
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError

#: Of each channel, by its number; infinite for those that must not be removed.
Importance = FloatArray


def scale_importance(flow: ChannelFlow) -> Importance:
    """Size of batch normalization's scale (Liu et al. 2017, arXiv 1708.06519), summed over the layers of a channel.

    Infinite for channels without batch normalization: they stay.

    Raises:
        DataError: if no channel has batch normalization with a scale.
    """
    total = np.zeros(flow.count)
    for call in flow.calls:
        if isinstance(call.layer, layers.BatchNormalization) and call.layer.scale and call.weights:
            scale = np.abs(keras.ops.convert_to_numpy(call.layer.gamma))
            np.add.at(total, call.weights[0].outputs[1], scale)
    if not total.any():
        raise DataError("it has no batch normalization to rank channels by: give --importance taylor")
    return np.where(total > 0, total, np.inf)


def taylor_importance(
    flow: ChannelFlow, pose: keras.Model, loss: dict[str, Any], batches: Iterable[tuple[Any, Any, Any]]
) -> Importance:
    """Estimates the change of the loss without each channel, to first order (Molchanov et al. 2019, arXiv 1906.10771).

    Without a channel, the layers that sum over it see zeros. As a factor z on what one of them sees goes from 1 to 0,
    the loss changes by −∂L/∂z = −Σ weight · gradient over the weights with which this layer reads the channel. The
    squares of this are added for all layers that read it, so that they cannot cancel, and averaged over the batches.

    Args:
        flow: the channels of the model.
        pose: frames → θ and score, of the model's layers; is compiled anew. Its weights do not change.
        loss: the arguments of `keras.Model.compile` that name the loss.
        batches: frames, the outputs that are right for them, and the weights of the samples; batches are best small.

    Returns:
        The importance of each channel, above 0.
    """
    recorder = GradientRecorder()
    trainable = [(layer, layer.trainable) for layer in pose.layers]
    for layer, _ in trainable:  # batch normalization computes with the statistics it has
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    total, count = np.zeros(flow.count), 0
    try:
        pose.compile(optimizer=recorder, **loss)
        for frames, targets, weights in batches:
            pose.train_on_batch(frames, targets, sample_weight=weights)
            total += _squared_changes(flow, recorder.gradients())
            count += 1
    finally:
        for layer, was in trainable:
            layer.trainable = was
    return total / count + np.finfo(np.float64).tiny  # a channel that does nothing still saves its work


def _squared_changes(flow: ChannelFlow, gradients: dict[int, npt.NDArray[np.float32]]) -> Importance:
    """Gives Σ (∂L/∂z)² of each channel."""
    total = np.zeros(flow.count)
    for call in flow.calls:
        for weight, channels in zip(call.layer.weights, call.weights, strict=False):
            # Once for a layer that is called twice; not for one that the loss does not look at.
            gradient = gradients.pop(id(weight), None) if channels.inputs is not None else None
            if channels.inputs is not None and gradient is not None:
                axis, numbers = channels.inputs
                product = keras.ops.convert_to_numpy(weight) * gradient
                others = tuple(k for k in range(product.ndim) if k != axis)
                change = np.zeros(flow.count)
                np.add.at(change, numbers, product.sum(axis=others, dtype=np.float64))
                total += change**2
    return total


class GradientRecorder(keras.optimizers.Optimizer):
    """An optimizer that changes nothing and keeps the last gradients; so they can be had with any Keras backend."""

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0, name="gradient_recorder")
        self._gradients: list[Any] = []
        self._numbers: dict[int, int] = {}

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._gradients = [self.add_variable_from_reference(v, name="gradient") for v in variables]
        self._numbers = {id(v): k for k, v in enumerate(variables)}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.assign(self._gradients[self._get_variable_index(variable)], gradient)

    def gradients(self) -> dict[int, npt.NDArray[np.float32]]:
        """The last gradients of the loss in the trainable variables, by the `id` of the variable."""
        return {k: np.asarray(keras.ops.convert_to_numpy(self._gradients[n])) for k, n in self._numbers.items()}
