"""Takes a Keras STN apart: trunk, head, grid, sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.layers import AffineGrid, BilinearSampler, ProjectiveGrid
from stn_rectify.runtime.errors import ModelFileError

__all__ = ["StnParts", "split_stn"]


@dataclass(frozen=True)
class StnParts:
    """What the converter needs of a Keras STN.

    Attributes:
        trunk: frame → {"features": …, "score": …}; no ``score`` in a model without one.
        pose: frame → θ, in float: what the converted θ is compared with.
        model: frame → rectified image, in float.
        kernel: of the Dense layer that gives θ, float32 [F, 6 or 8].
        bias: float32 [6 or 8].
        transform: ``"affine"`` or ``"projective"``.
        padding: ``"zeros"`` or ``"border"``.
        input_size: height and width of the frame.
        output_size: height and width of the rectified image.
        channels: of the frame.
    """

    trunk: keras.Model = field(repr=False)
    pose: keras.Model = field(repr=False)
    model: keras.Model = field(repr=False)
    kernel: npt.NDArray[np.float32] = field(repr=False)
    bias: npt.NDArray[np.float32] = field(repr=False)
    transform: str
    padding: str
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    channels: int

    @property
    def has_score(self) -> bool:
        """Whether the model says how likely a target is there."""
        return "score" in self.trunk.output


def split_stn(model: keras.Model) -> StnParts:
    """Finds the parts by their layers, whatever the layers are called.

    Raises:
        ModelFileError: the model is not an STN at its input that can be converted; says which layer and why.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ModelFileError("not a built Keras model: build it, or train it, before it is saved")
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or None in model.inputs[0].shape[1:]:
        raise ModelFileError(f"{model.name}: needs one input [batch, height, width, channels] of fixed size")
    samplers = [layer for layer in model.layers if isinstance(layer, BilinearSampler)]
    if len(samplers) != 1:
        raise ModelFileError(f"{model.name}: has {len(samplers)} BilinearSampler layers, exactly one is needed")
    sampler = samplers[0]
    image, grid = sampler.input
    if image is not model.inputs[0]:
        raise ModelFileError(
            f"{model.name}: layer {sampler.name!r} samples {_producer(image).name!r}, not the model's input"
        )
    generator = _producer(grid)
    if not isinstance(generator, AffineGrid | ProjectiveGrid):
        raise ModelFileError(
            f"{model.name}: layer {generator.name!r} ({type(generator).__name__}) makes the grid; "
            "AffineGrid and ProjectiveGrid can be converted"
        )
    height, width, channels = image.shape[1:]
    if generator.input_size != (height, width):
        raise ModelFileError(
            f"{model.name}: grid {generator.name!r} is for {generator.input_size}, the input is {(height, width)}"
        )
    theta = generator.input
    dense = _producer(theta)
    if not isinstance(dense, keras.layers.Dense) or dense.activation is not keras.activations.linear:
        raise ModelFileError(
            f"{model.name}: layer {dense.name!r} gives theta; it must be a Dense layer without activation "
            "(an activation such as sigmoid cannot even reach every pose)"
        )
    trunk_outputs = {"features": dense.input}
    for output in model.outputs:
        if output is theta or output is sampler.output:
            continue
        if tuple(output.shape) != (None, 1) or "score" in trunk_outputs:
            raise ModelFileError(
                f"{model.name}: output of layer {_producer(output).name!r}, shape {tuple(output.shape)}, is neither "
                "the rectified image, theta nor a score of shape [batch, 1]"
            )
        trunk_outputs["score"] = output
    return StnParts(
        trunk=keras.Model(model.inputs[0], trunk_outputs),
        pose=keras.Model(model.inputs[0], theta),
        model=keras.Model(model.inputs[0], sampler.output),
        kernel=np.asarray(dense.kernel),
        bias=np.zeros(dense.units, np.float32) if dense.bias is None else np.asarray(dense.bias),
        transform="affine" if isinstance(generator, AffineGrid) else "projective",
        padding=sampler.padding,
        input_size=(height, width),
        output_size=generator.output_size,
        channels=channels,
    )


def _producer(tensor: Any) -> Any:
    """The layer that a symbolic tensor comes from."""
    return tensor._keras_history.operation
