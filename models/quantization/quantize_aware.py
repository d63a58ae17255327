"""`QuantizeAware`: the pose part of an STN, computed with the rounding of its INT8 file."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from stn_rectify.models.network.layer_steps import Step
from stn_rectify.models.quantization.fake_quantization import rounded_activation, rounded_kernel
from stn_rectify.models.quantization.pose_steps import pose_steps
from stn_rectify.models.quantization.rounded_layers import has_known_kernel, linear_part, normalisation
from stn_rectify.models.quantization.rounding_plan import DROPPED, rounding_plan

__all__ = ["QuantizeAware"]

# A range forgets a batch after about this many: long enough to be calm, short enough to follow the weights.
_RANGE_MEMORY = 100
_OBSERVED_AT_ONCE = 64


class QuantizeAware(keras.Model):
    """The layers and weights of an STN, run as TensorFlow's full-integer quantization runs them: frame → [θ, score].

    Kernels are symmetric int8 with a scale for each output channel, activations asymmetric int8 with one scale for each
    tensor that the file has: after convolution, batch normalization and ReLU together, after an addition, and so on.
    Ranges are running means of each batch's least and largest value. Batch normalization keeps its statistics, dropout
    is off. The layer that gives θ is left in float: in the file it is an exact int32 dot product. Training this model
    trains ``stn``, which stays a plain Keras model.

    Args:
        stn: functional Keras model with one `BilinearSampler`.
        input_range: the values that the model takes for pixels of 0 and of 255.
        rounding: False computes in float.

    Raises:
        DataError: if ``stn`` is no STN whose layers can be seen.
    """

    def __init__(
        self, stn: keras.Model, input_range: tuple[float, float] = (0.0, 1.0), *, rounding: bool = True
    ) -> None:
        super().__init__(name="quantize_aware")
        self.pose = pose_steps(stn)
        self.plan = rounding_plan(self.pose.steps, self.pose.outputs, input_range)
        self._rounding = rounding
        self._pose_layers = self.pose.layers  # Keras finds the weights through this list
        ranges = np.zeros((self.plan.ranges, 2), np.float32)
        for number, bounds in self.plan.fixed.items():
            ranges[number] = bounds
        self.ranges = self.add_weight(shape=ranges.shape, initializer="zeros", trainable=False, name="ranges")
        self.ranges.assign(ranges)
        self.built = True

    def observe(self, frames: npt.NDArray[np.float32]) -> None:
        """Sets the ranges to the extremes of frames [N, H, W, C] in float, as the converter's calibration does."""
        extremes = []
        for first in range(0, len(frames), _OBSERVED_AT_ONCE):
            run = _Run(self, rounding=False)
            run(ops.convert_to_tensor(frames[first : first + _OBSERVED_AT_ONCE]))
            extremes.append(ops.convert_to_numpy(run.observed()))
        self.ranges.assign(np.stack([np.min(extremes, axis=0)[:, 0], np.max(extremes, axis=0)[:, 1]], axis=1))

    def call(self, frames: Any, training: bool = False) -> list[Any]:
        """Float frames [B, H, W, C] → [θ, score], or [θ] for a model without a score."""
        run = _Run(self, rounding=self._rounding)
        outputs = run(frames)
        if training:
            self.ranges.assign(self.ranges + (run.observed() - self.ranges) / _RANGE_MEMORY)
        return outputs


class _Run:
    """One pass over the graph."""

    def __init__(self, model: QuantizeAware, *, rounding: bool) -> None:
        self._pose, self._plan, self._ranges, self._rounding = model.pose, model.plan, model.ranges, rounding
        self._kernel: Callable[[Any, tuple[int, ...]], Any] = rounded_kernel if rounding else lambda kernel, _: kernel
        self._extremes: dict[int, list[tuple[Any, Any]]] = {}

    def __call__(self, frames: Any) -> list[Any]:
        values = {0: self._rounded(frames, self._plan.of_input)}
        for k, step in enumerate(self._pose.steps):
            results = self._step(step, values, self._plan.within.get(k))
            for number, result in zip(step.outputs, results, strict=True):
                values[number] = self._rounded(result, self._plan.of_tensor.get(number))
        return [values[number] for number in self._pose.outputs]

    def observed(self) -> Any:
        """Least and largest value of each range, [ranges, 2]; those of a fixed one are its bounds."""
        rows = []
        for number in range(self._plan.ranges):
            if number in self._plan.fixed:
                rows.append(ops.convert_to_tensor(self._plan.fixed[number], "float32"))
            else:
                lows, highs = zip(*self._extremes[number], strict=True)
                rows.append(ops.stack([ops.min(ops.stack(lows)), ops.max(ops.stack(highs))]))
        return ops.stack(rows)

    def _rounded(self, x: Any, number: int | None) -> Any:
        if number is None:
            return x
        if number not in self._plan.fixed:
            values = ops.stop_gradient(x)
            self._extremes.setdefault(number, []).append((ops.min(values), ops.max(values)))
        return rounded_activation(x, self._ranges[number, 0], self._ranges[number, 1]) if self._rounding else x

    def _constant(self, x: Any) -> Any:
        return rounded_activation(x, ops.min(x), ops.max(x)) if self._rounding else x

    def _step(self, step: Step, values: dict[int, Any], within: int | None) -> list[Any]:
        layer = step.layer
        args, kwargs = step.arguments(values.__getitem__)
        if isinstance(layer, DROPPED):
            return [args[0]]
        if isinstance(layer, layers.BatchNormalization):
            factor, offset = normalisation(layer)
            if within is not None:  # on its own its numbers are int8 tensors; otherwise they are folded into a kernel
                factor, offset = self._constant(factor), self._constant(offset)
            return [self._rounded(args[0] * factor, within) + offset]
        if has_known_kernel(layer) and step.outputs[0] != self._pose.theta:
            y = linear_part(layer, args[0], self._kernel, lambda x: self._rounded(x, within))
            separable = isinstance(layer, layers.SeparableConv2D)
            return [layer.activation(y if separable else self._rounded(y, within))]
        if isinstance(layer, keras.Layer) and "training" in signature(layer.call).parameters:
            kwargs["training"] = False
        return list(keras.tree.flatten(layer(*args, **kwargs)))
