"""The bits that a network with samplers anywhere in it should compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.head import IntegerHead
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.bits import Reference, with_extra_outputs
from stn_rectify.converters.proof.reference import reference_head, reference_sampler
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime.arrays import Array


@dataclass(frozen=True)
class SamplerBits:
    """The integers of one sampler, and the names of its tensors in the file.

    Attributes:
        number: from 1 on.
        plan: of the sampler.
        head: of its θ.
        read_as: the input of the network between the samplers that its image is; None where none is.
        table: the levels that its image is read through, int64 [256] from -128 on; None where they stay as they are.
        source: what it reads.
        features: what θ is made from.
        coefficients: of its grid.
        theta: Q20.
        sampled: its image.
    """

    number: int
    plan: SamplerPlan
    head: IntegerHead = field(repr=False)
    read_as: str | None
    table: npt.NDArray[np.int64] | None = field(repr=False)
    source: str
    features: str
    coefficients: str
    theta: str
    sampled: str

    def differences(self, tensors: dict[str, Array]) -> list[str]:
        """The tensors of one run that the integer reference makes otherwise of what they are made from."""
        coefficients, theta = reference_head(tensors[self.features], self.head)
        image = reference_sampler(tensors[self.source][0], coefficients, self.plan)
        expected: dict[str, Array] = {
            self.coefficients: coefficients,
            self.theta: theta[None],
            self.sampled: image[None],
        }
        words = {self.coefficients: "coefficients", self.theta: "theta", self.sampled: "image"}
        return [
            f"{words[name]} of sampler {self.number}"
            for name, value in expected.items()
            if not np.array_equal(tensors[name], value)
        ]

    def read(self, tensors: dict[str, Array]) -> Array:
        """Its image of one run as the rest of the network should read it."""
        image = tensors[self.sampled]
        return image if self.table is None else self.table[image.astype(np.int64) + 128].astype(np.int8)


@dataclass(frozen=True)
class CompositeReference(Reference):
    """The bits of the integer reference for each sampler, and of the network that TensorFlow quantized between them.

    Attributes:
        remainder: that network, a flatbuffer; its inputs are the frame and the samplers' images.
        samplers: of each sampler.
        places: outputs of ``remainder`` by name, and what they are called in the file.
    """

    remainder: bytes = field(repr=False)
    samplers: tuple[SamplerBits, ...]
    places: dict[str, str]
    noun: ClassVar[str] = "the integer reference, and the network that TensorFlow quantized between the samplers"

    def differences(self, flatbuffer: bytes, signature: str, interpreter: IsolatedInterpreter) -> list[str]:
        """Compares every sampler with the reference, and all else with what the quantized network makes alone."""
        images = [frame[None] for frame in self.frames]
        interpreter.load(flatbuffer)
        plain = [interpreter.run({"image": image}, signature) for image in images]
        inner = {n for s in self.samplers for n in (s.source, s.features, s.coefficients, s.theta, s.sampled)}
        hidden = sorted({*inner, *self.places.values()} - {*plain[0], "image"})
        interpreter.load(with_extra_outputs(flatbuffer, hidden, signature))
        runs = [interpreter.run({"image": image}, signature) for image in images]
        interpreter.load(self.remainder)
        differing = []
        for number, (image, outputs, tensors) in enumerate(zip(images, plain, runs, strict=True)):
            if any(not np.array_equal(outputs[name], tensors[name]) for name in outputs):
                differing.append(f"frame {number} with and without inner outputs")
            tensors = {**tensors, "image": image}
            differing += [f"{words}, frame {number}" for s in self.samplers for words in s.differences(tensors)]
            given = {s.read_as: s.read(tensors) for s in self.samplers if s.read_as is not None}
            alone = interpreter.run({"image": image, **given})
            differing += [
                f"{name} of frame {number}"
                for name, place in self.places.items()
                if name in alone and not np.array_equal(tensors[place], alone[name])
            ]
        return differing
