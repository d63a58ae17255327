"""A network on its way from Keras into a file: the interface of every kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import Reference
from stn_rectify.converters.proof.proof import ProvableNetwork
from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.report.latency import Latency, measure_latencies
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.runtime.model.metadata import Metadata, NetworkMetadata, RecognizerMetadata
from stn_rectify.runtime.model.model_file import SIGNATURE, ModelFile
from stn_rectify.runtime.model.network_file import NetworkFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

#: So many calibration frames are run for the proof.
PROOF_FRAMES = 50


@dataclass(frozen=True)
class Network(ABC):
    """One network of a model file, read; it becomes integers when one of its parts in integers is asked for first.

    Attributes:
        kind: what it is for, as its .keras file says it.
        source: the .keras file or SavedModel.
        options: how to convert it.
        calibration: frames as it sees them, which it is quantized with.
        validation: frames to compare INT8 and float on.
    """

    kind: ClassVar[str]

    source: Path
    options: ConversionOptions = field(repr=False)
    calibration: FrameSet = field(repr=False)
    validation: FrameSet = field(repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The lines of the file's labels.txt, if it is the first network."""
        return self.options.labels

    @property
    def signature(self) -> str:
        """The key of its SignatureDef in the file: that of the first network, but for further ones."""
        return SIGNATURE

    @property
    def before(self) -> bytes | None:
        """Finished networks that it goes behind, as a flatbuffer; None for the first network of a file."""
        return None

    @property
    @abstractmethod
    def flatbuffer(self) -> bytes:
        """The network in integers: a model of one subgraph and one SignatureDef. Made once; takes seconds.

        Raises:
            ModelFileError: if a part of it cannot become integers; the message says which and why.
        """

    @property
    @abstractmethod
    def reference(self) -> Reference:
        """The bits that the network in the file should compute of its first `PROOF_FRAMES` calibration frames."""

    @property
    def provable(self) -> Sequence[ProvableNetwork]:
        """What the proof looks at: the network itself, or each of its subgraphs, in their order."""
        return [self]

    @abstractmethod
    def quantized(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Frames [N, H, W, C] as the file takes them on a device."""

    def metadata(self, flatbuffer: bytes, others: Sequence[Network]) -> Metadata | RecognizerMetadata | NetworkMetadata:
        """The content of metadata.json of a file whose first network it is.

        Args:
            flatbuffer: all networks of the file.
            others: the networks behind it.
        """
        raise TypeError(f"a {self.kind} network is never the first one of a file")

    @abstractmethod
    def open(self, file: Path) -> ModelFile | RecognizerFile | NetworkFile:
        """Reads a file back whose first network it is, as the runtime does.

        Raises:
            ModelFileError: if the runtime would refuse the file.
        """

    @abstractmethod
    def report(self, file: Path | None) -> NetworkReport:
        """Gives its part of the report.

        Args:
            file: a file that passed its proof, to measure the network on; None: there is none.

        Raises:
            ModelFileError: if the interpreter refuses the file or dies of it.
        """

    @abstractmethod
    def float_outputs(self, image: Any) -> dict[str, Any]:
        """The float network, a function of TensorFlow tensors [B, H, W, C]; its outputs by the file's names."""

    def latencies(self, flatbuffer: bytes) -> list[Latency]:
        """Times a file whose first network it is beside its float32 twin, in each installed interpreter."""
        frames = self.validation.frames[:1]
        return measure_latencies(flatbuffer, self.float_outputs, frames, self.quantized(frames))
