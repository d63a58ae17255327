"""The bits that the networks of a file should compute, and the places where a run of the file does otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.head import IntegerHead
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.reference import reference_head, reference_sampler
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.object_tree import read_model, schema, write_model
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.model.model_file import SIGNATURE

#: Tensors that the proof looks into besides the outputs; the converter names them so.
FEATURES, COEFFICIENTS = "features", "coefficients"


@dataclass(frozen=True)
class Reference(ABC):
    """The bits that one network of a file should compute.

    Attributes:
        frames: int8 [N, H, W, C], to run the file on.
        noun: what the file is compared with, as a check says it.
    """

    frames: npt.NDArray[np.int8] = field(repr=False)
    noun: ClassVar[str]

    @abstractmethod
    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Names the places where the network with this signature does otherwise, a phrase each; empty if nowhere.

        Raises:
            ModelFileError: if the interpreter refuses the file or dies of it.
        """


@dataclass(frozen=True)
class StnReference(Reference):
    """The bits that a Spatial Transformer should compute, by the integer reference.

    Attributes:
        head: the integers that its head should compute with.
        plan: of its sampler; None for a network without one.
        recognizer: the quantized network that follows the sampler, alone; None if none does.
    """

    head: IntegerHead = field(repr=False)
    plan: SamplerPlan | None = None
    recognizer: bytes | None = field(default=None, repr=False)
    noun: ClassVar[str] = "the integer reference"

    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Compares with what the reference makes of the trunk's features.

        And, behind the sampler, with what the recognizer alone makes of the rectified image.
        """
        interpreter.load(flatbuffer)
        plain = [interpreter.run({"frame": frame[None]}, signature) for frame in self.frames]
        inner = [FEATURES] if self.plan is None else [FEATURES, COEFFICIENTS]
        interpreter.load(with_extra_outputs(flatbuffer, inner, signature))
        differing = []
        for number, (frame, outputs) in enumerate(zip(self.frames, plain, strict=True)):
            tensors = interpreter.run({"frame": frame[None]}, signature)
            coefficients, theta = reference_head(tensors[FEATURES], self.head)
            expected: dict[str, Array] = {"theta": theta[None]}
            if self.plan is not None:
                expected[COEFFICIENTS] = coefficients
                expected["rectified"] = reference_sampler(frame, coefficients, self.plan)[None]
            for name, value in expected.items():
                if not np.array_equal(tensors[name], value):
                    differing.append(f"{name} of frame {number}")
            if any(not np.array_equal(outputs[name], tensors[name]) for name in outputs):
                differing.append(f"frame {number} with and without inner outputs")
        if self.recognizer is not None:
            images = [outputs["rectified"] for outputs in plain]
            differing += _class_differences(self.recognizer, images, plain, interpreter)
        return differing


@dataclass(frozen=True)
class RecognizerReference(Reference):
    """The bits that a recognizer in a file of its own should compute: those of the one that TensorFlow quantized.

    Attributes:
        recognizer: that one, as a flatbuffer.
    """

    recognizer: bytes = field(repr=False)
    noun: ClassVar[str] = "the quantized recognizer"

    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Compares the class scores of every image."""
        images = [frame[None] for frame in self.frames]
        interpreter.load(flatbuffer)
        of_file = [interpreter.run({"image": image}, signature) for image in images]
        return _class_differences(self.recognizer, images, of_file, interpreter)


@dataclass(frozen=True)
class QuantizedReference(Reference):
    """The bits of the network that TensorFlow quantized.

    Attributes:
        quantized: that one, as a flatbuffer, at the size of the frames.
    """

    quantized: bytes = field(repr=False)
    noun: ClassVar[str] = "the network that TensorFlow quantized"
    outputs: ClassVar[tuple[str, ...]]

    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Compares the outputs of every frame."""
        images = [frame[None] for frame in self.frames]
        interpreter.load(flatbuffer)
        of_file = [interpreter.run({"frame": image}, signature) for image in images]
        interpreter.load(self.quantized)
        alone = [interpreter.run({"image": image}) for image in images]
        return [
            f"{name} of frame {k}"
            for k, (a, b) in enumerate(zip(of_file, alone, strict=True))
            for name in self.outputs
            if not np.array_equal(a[name], b[name])
        ]


class TurnReference(QuantizedReference):
    """The bits that a turn network should compute."""

    outputs = ("scores",)


class DenseReference(QuantizedReference):
    """The bits that a level of a dense network should compute."""

    outputs = ("score", "corners")


@dataclass(frozen=True)
class KeptReference(Reference):
    """The bits that a network of a finished file computes there.

    Attributes:
        finished: that file's flatbuffer.
    """

    finished: bytes = field(repr=False)
    noun: ClassVar[str] = "the file that it was"

    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Compares the outputs of every frame."""
        outputs = []
        for file in (flatbuffer, self.finished):
            interpreter.load(file)
            outputs.append([interpreter.run({"frame": frame[None]}, signature) for frame in self.frames])
        return [
            f"{name} of frame {k}"
            for k, (new, old) in enumerate(zip(*outputs, strict=True))
            for name in old
            if not np.array_equal(new[name], old[name])
        ]


def _class_differences(
    recognizer: bytes, images: list[Array], of_file: list[dict[str, Array]], interpreter: IsolatedInterpreter
) -> list[str]:
    """Names the frames whose class scores in the file are not those of the recognizer alone, a phrase each."""
    interpreter.load(recognizer)
    alone = [interpreter.run({"image": image})["class_scores"] for image in images]
    pairs = enumerate(zip(of_file, alone, strict=True))
    return [f"class_scores of frame {k}" for k, (a, b) in pairs if not np.array_equal(a["class_scores"], b)]


def with_extra_outputs(flatbuffer: bytes, names: list[str], signature: str = SIGNATURE) -> bytes:
    """The same file with more of a network's tensors as its outputs."""
    model = read_model(flatbuffer)
    ends = next(s for s in model.signatureDefs if s.signatureKey.decode() == signature)
    graph = model.subgraphs[ends.subgraphIndex]
    places = {t.name.decode(): k for k, t in enumerate(graph.tensors)}
    for name in names:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, places[name]
        ends.outputs.append(entry)
        graph.outputs = [*graph.outputs, places[name]]
    return write_model(model)
