"""A classifier on its way into a file: all that the turn network and a recognizer of its own have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.assembly import class_activation, quantize_frames
from stn_rectify.converters.file_metadata import colour_name
from stn_rectify.converters.networks.network import Network
from stn_rectify.converters.tflite.builder import Quantization
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.model.metadata import InputSpec

_BATCH = 64


@dataclass(frozen=True)
class ClassifierAssembly:
    """A quantized classifier.

    Attributes:
        alone: as TensorFlow's quantizer wrote it.
        flatbuffer: the same with our names of input and output.
        image: quantization of the input.
        scores: quantization of the output.
    """

    alone: bytes = field(repr=False)
    flatbuffer: bytes = field(repr=False)
    image: Quantization
    scores: Quantization


@dataclass(frozen=True)
class ClassifierNetwork(Network):
    """A network from one image to scores, without a spatial transformer, which TensorFlow's quantizer makes integers.

    Attributes:
        model: one image [batch, H, W, C] in; scores out.
        label: what messages call it.
        image_name: of the input in the file.
        scores_name: of the output in the file.
    """

    model: keras.Model = field(repr=False)
    label: ClassVar[str]
    image_name: ClassVar[str]
    scores_name: ClassVar[str]

    @cached_property
    def assembly(self) -> ClassifierAssembly:
        """The network in integers; takes seconds.

        Raises:
            ModelFileError: if it cannot become integers.
        """
        alone = quantize(self.float_outputs, self.quantizer_frames, self.options.value_range, self.label)
        graph = FlatbufferGraph(alone)
        signature = graph.model.signatureDefs[0]
        image = graph.tensor(signature.inputs[0].tensorIndex)
        ends = {end.name.decode(): end.tensorIndex for end in signature.outputs}  # operands of additions among them
        scores = graph.tensor(ends[self.scores_name])
        if image.quantization is None or scores.quantization is None:
            raise ModelFileError("TensorFlow left the image or the scores without a quantization")
        flatbuffer = graph.finish({self.image_name: image}, {self.scores_name: scores})
        return ClassifierAssembly(alone, flatbuffer, image.quantization, scores.quantization)

    @property
    def quantizer_frames(self) -> npt.NDArray[np.float32]:
        """Images [N, H, W, C] that tell the quantizer the range of each tensor."""
        return self.calibration.frames

    @property
    def flatbuffer(self) -> bytes:
        """The quantized network."""
        return self.assembly.flatbuffer

    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Images [N, H, W, C] as the file takes them on a device."""
        return quantize_frames(frames, self.options.value_range, self.assembly.image)

    @cached_property
    def float_scores(self) -> npt.NDArray[np.float32]:
        """Scores of the float model for the calibration images, [N, …]."""
        return np.asarray(self.model.predict(self.calibration.frames, batch_size=_BATCH, verbose=0))

    @property
    def activation(self) -> str:
        """The kind of scores: ``"softmax"``, ``"sigmoid"`` or ``"logits"``."""
        return class_activation(self.float_scores)

    @property
    def input_spec(self) -> InputSpec:
        """The content of metadata.json under ``input``."""
        height, width, channels = self.model.input_shape[1:]
        image = self.assembly.image
        value_range = self.options.value_range
        return InputSpec(height, width, channels, colour_name(channels), value_range, image.scale, image.zero_point)

    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The model itself."""
        return {self.scores_name: self.model(image, training=False)}
