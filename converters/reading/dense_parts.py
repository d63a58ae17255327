"""Reads a dense localization network: its layers, as a function of frames of any size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from stn_rectify.converters.reading.keras_trace import KerasTrace
from stn_rectify.converters.reading.layer_check import check_layers
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.models.network.dense import CORNER_UNIT_PX
from stn_rectify.runtime.errors import ModelFileError

_CORNERS = 8


@dataclass(frozen=True)
class DenseParts:
    """A dense localization network, read.

    Attributes:
        input_size: height and width of the frame that it was saved for.
        channels: of the frame.
        stride: pixels of the frame for each cell, along both sides.
        unit: pixels of the frame that one unit of the corners is.
    """

    input_size: tuple[int, int]
    channels: int
    stride: int
    unit: float
    _trace: KerasTrace = field(repr=False)
    _logits: Any = field(repr=False)
    _corners: Any = field(repr=False)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the frame that it was saved for."""
        return (*self.input_size, self.channels)

    def at(self, size: tuple[int, int]) -> TensorFunction:
        """The float network for frames of a height and width.

        Returns:
            A function of TensorFlow tensors [B, H, W, C] to ``score`` [B, h, w, 1], 0 to 1, and ``corners``
            [B, h, w, 8].

        Raises:
            ModelFileError: if a layer is bound to the size that it was saved for; the message names it.
        """
        frame = keras.Input((*size, self.channels), name="frame")
        made: dict[int, Any] = {id(self._trace.frame): frame}
        for step in self._trace.steps:
            args, kwargs = keras.tree.map_structure(lambda t, made=made: made.get(id(t), t), step.arguments)
            try:
                results = keras.tree.flatten(_of_any_size(step.operation)(*args, **kwargs))
            except ValueError:  # whatever the layer says of it
                raise ModelFileError(
                    f"{step.description} is bound to frames of {self.input_size[1]}x{self.input_size[0]} pixels: a "
                    "dense network must be fully convolutional"
                ) from None
            made |= {id(old): new for old, new in zip(step.outputs, results, strict=True)}
        logits, corners = made[id(self._logits)], made[id(self._corners)]
        cells = (size[0] // self.stride, size[1] // self.stride)
        if tuple(logits.shape[1:3]) != cells or tuple(corners.shape[1:3]) != cells:
            raise ModelFileError(
                f"a frame of {size[1]}x{size[0]} pixels gives {list(logits.shape[1:])} scores, not {cells}: a dense "
                "network must be fully convolutional"
            )
        model = keras.Model(frame, [logits, corners])

        def run(image: Any) -> dict[str, Any]:
            score, where = model(image, training=False)
            return {"score": keras.ops.sigmoid(score), "corners": where}

        return run


def _of_any_size(operation: Any) -> Any:
    """A layer, or another that computes the same.

    An enlarging layer of Keras becomes reshapes and repetitions, which hold sizes.
    """
    if not isinstance(operation, keras.layers.UpSampling2D) or operation.interpolation != "nearest":
        return operation
    factor, wide = operation.size
    if factor != wide:
        return operation
    return keras.layers.Lambda(lambda maps: tf.nn.depth_to_space(tf.concat([maps] * factor**2, axis=-1), factor))


def read_dense_model(model: keras.Model) -> DenseParts:
    """Takes a dense network apart.

    Args:
        model: one image of fixed size in; scores [batch, rows, columns, 1], logits, and corners
            [batch, rows, columns, 8] out, as `stn_rectify.models.network.dense.dense_localization` gives them.

    Raises:
        ModelFileError: if it is no such network, or a layer has no integer form; the message says which and why.
    """
    trace = KerasTrace(model)
    height, width, channels = (int(n) for n in trace.frame.shape[1:])
    shapes = [tuple(output.shape[1:]) for output in trace.outputs]
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes) or sorted(s[2] for s in shapes)[1:] != [_CORNERS]:
        given = " and ".join(str(list(shape)) for shape in shapes)
        raise ModelFileError(
            f"{model.name}: gives {given}, but a dense network gives a score [rows, columns, 1] and corners "
            f"[rows, columns, {_CORNERS}] for each frame"
        )
    logits, corners = sorted(trace.outputs, key=lambda output: int(output.shape[3]))
    if logits.shape[3] != 1:
        raise ModelFileError(
            f"{model.name}: gives {logits.shape[3]} scores for each cell, but a model file has one: save the network "
            "with the score of what it shall find"
        )
    rows, columns = (int(n) for n in logits.shape[1:3])
    stride = height // max(rows, 1)
    if tuple(corners.shape[1:3]) != (rows, columns) or (rows * stride, columns * stride) != (height, width):
        raise ModelFileError(
            f"{model.name}: a frame of {width}x{height} pixels gives {columns}x{rows} scores and "
            f"{corners.shape[2]}x{corners.shape[1]} corners, which are not the cells of one grid"
        )
    check_layers(model.name, trace.steps)
    return DenseParts((height, width), channels, stride, CORNER_UNIT_PX, trace, logits, corners)
