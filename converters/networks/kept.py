"""The networks of a finished file as the first ones of another, with a turn network behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stn_rectify.converters.file_metadata import flatbuffer_spec
from stn_rectify.converters.kept_file import KeptFile
from stn_rectify.converters.networks.turn import TurnNetwork, turn_of_file
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import KeptReference
from stn_rectify.converters.proof.proof import ProvableNetwork
from stn_rectify.converters.reading.model_files import output_name
from stn_rectify.converters.report.latency import Latency
from stn_rectify.converters.tflite.joining import without_signature
from stn_rectify.converters.tflite.object_tree import read_model
from stn_rectify.runtime.model.metadata import Metadata
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE

_PROOF_FRAMES = 8
_SEED = 0


@dataclass(frozen=True)
class KeptNetwork:
    """A network of the finished file, as the proof sees it.

    Attributes:
        signature: the key of its SignatureDef.
        reference: the bits that it computes in the finished file.
    """

    signature: str
    reference: KeptReference


@dataclass(frozen=True)
class TurnNetworkInto(TurnNetwork):
    """A turn network that goes into a finished file, in place of the one that is there, if any.

    Attributes:
        kept: that file.
    """

    kept: KeptFile

    @cached_property
    def before(self) -> bytes:
        """The networks of the finished file but for its turn network: what it goes behind."""
        return without_signature(self.kept.flatbuffer, TURN_SIGNATURE)

    @property
    def labels(self) -> tuple[str, ...]:
        """The finished file's."""
        return self.kept.labels

    @property
    def provable(self) -> Sequence[ProvableNetwork]:
        """The kept networks, which must compute what they did, and this one."""
        model = read_model(self.before)
        kept = []
        for named in sorted(model.signatureDefs, key=lambda one: int(one.subgraphIndex)):
            (image,) = named.inputs
            shape = [int(n) for n in model.subgraphs[named.subgraphIndex].tensors[image.tensorIndex].shape]
            frames = np.random.default_rng(_SEED).integers(-128, 128, (_PROOF_FRAMES, *shape[1:])).astype(np.int8)
            kept.append(KeptNetwork(named.signatureKey.decode(), KeptReference(frames, self.before)))
        return [*kept, self]

    def metadata(self, flatbuffer: bytes, others: Sequence[object]) -> Metadata:
        """The content of metadata.json of the finished file, with this network in it."""
        description = self.options.description or self.kept.metadata.description
        return msgspec.structs.replace(
            self.kept.metadata,
            name=output_name(self.source),
            description=description,
            turn=self.spec,
            flatbuffer=flatbuffer_spec(flatbuffer),
        )

    def latencies(self, flatbuffer: bytes) -> list[Latency]:
        """None: nothing is known of the other networks in float."""
        return []


def read_turn_into(source: Path, kept: KeptFile, options: ConversionOptions) -> TurnNetworkInto:
    """Reads a turn network for a finished file; ``options.calibration`` are its frames.

    Where these say nothing of threshold and details, those of the turn network that it replaces stay.

    Raises:
        DataError: if its file or frames cannot be read.
        ModelFileError: if it is no classifier of four classes that can be converted, or does not fit the file.
    """
    metadata, replaced = kept.metadata, kept.metadata.turn
    settings: dict[str, Any] = (
        {} if replaced is None else {"threshold": replaced.threshold, "details": replaced.details}
    )
    turn = turn_of_file(source, options.calibration, options, metadata.transform, metadata.input.channels, **settings)
    return TurnNetworkInto(**{own.name: getattr(turn, own.name) for own in fields(turn)}, kept=kept)
