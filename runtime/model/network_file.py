"""The file of a whole network with samplers inside, checked: an app runs it, stn-rectify does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.flatbuffer import Graph, read_flatbuffer
from stn_rectify.runtime.model.graph_check import check_graph
from stn_rectify.runtime.model.limits import ModelLimits, checked_limits
from stn_rectify.runtime.model.metadata import NetworkMetadata, parse_network_metadata
from stn_rectify.runtime.model.model_file import (
    MODEL_KIND,
    SIGNATURE,
    associated_files,
    check_all_integer,
    check_operators,
    check_signature,
)
from stn_rectify.runtime.model.tflite_file import unaltered_flatbuffer


@dataclass(frozen=True)
class NetworkFile:
    """A network from one image to any outputs, all-integer.

    Attributes:
        path: where it was read from.
        size_bytes: the whole file, archive included.
        flatbuffer: the network alone, what an interpreter takes.
        metadata: what metadata.json says.
    """

    path: Path
    size_bytes: int
    flatbuffer: bytes = field(repr=False)
    metadata: NetworkMetadata = field(repr=False)

    @classmethod
    def open(cls, file: str | PathLike[str], *, limits: ModelLimits | None = None) -> NetworkFile:
        """Reads and checks a file.

        Args:
            file: a path.
            limits: how much it may unpack to; None for the default ones.

        Raises:
            ModelFileError: if it is missing, damaged, altered, not all-integer, of another kind, or its tensors are not
                those that its metadata promises.
            UsageError: if an argument is of the wrong type.
        """
        limits = checked_limits(limits)
        path = MODEL_KIND.locate(file)
        content = MODEL_KIND.read(path)
        MODEL_KIND.is_as_told(path, content)
        try:
            metadata = parse_network_metadata(associated_files(content, limits)["metadata.json"])
            flatbuffer = unaltered_flatbuffer(content, metadata.flatbuffer.bytes, metadata.flatbuffer.sha256)
            graph = read_flatbuffer(flatbuffer)
            check_operators(graph)
            check_all_integer(graph)
            check_graph(graph, limits)
            _check_ends(graph, metadata)
        except (DataError, UnicodeDecodeError) as error:
            raise ModelFileError(f"network file {path}: {error}") from error
        return cls(path, len(content), flatbuffer, metadata)


def _check_ends(graph: Graph, metadata: NetworkMetadata) -> None:
    """Refuses a file whose signature does not name what its metadata promises."""
    if len(graph.subgraphs) != 1:
        raise DataError(f"has {len(graph.subgraphs)} subgraphs instead of one: convert the Keras model again")
    outputs = {output.name: ("INT8", (1, *output.shape)) for output in metadata.outputs}
    check_signature(graph, SIGNATURE, 0, metadata.input, outputs, input_name="image")
