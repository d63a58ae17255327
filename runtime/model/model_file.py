"""A model file, read and checked before any interpreter sees it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.flatbuffer import CUSTOM_OPERATOR, Graph, Signature, read_flatbuffer
from stn_rectify.runtime.model.graph_check import check_graph
from stn_rectify.runtime.model.labels import parse_labels
from stn_rectify.runtime.model.limits import ModelLimits, checked_limits
from stn_rectify.runtime.model.metadata import (
    ImageSpec,
    Metadata,
    OutputsSpec,
    ScoreSpec,
    ThetaSpec,
    parse_metadata,
)
from stn_rectify.runtime.model.operators import ALLOWED, operator_name
from stn_rectify.runtime.model.tflite_file import TfliteKind, unaltered_flatbuffer

#: The bundled model that is taken when none is named.
DEFAULT_MODEL = "general"

#: The SignatureDef that names inputs and outputs; it stands for the first subgraph.
SIGNATURE = "serving_default"

#: The SignatureDef of the network of a dense file that sees the whole frame once, in files that have one: of the
#: subgraph behind the levels.
WHOLE_SIGNATURE = "whole"

#: The SignatureDef of the network that improves a pose, in files that have one: of the last subgraph, but for the next.
REFINE_SIGNATURE = "refine"

#: The SignatureDef of the network that says which side is up, in files that have one: always of the last subgraph.
TURN_SIGNATURE = "turn"

#: What the SignatureDefs of the second and further levels of a dense network begin with.
LEVEL_SIGNATURE = "dense_"

#: What is said of a model file, and of one that is none.
MODEL_KIND = TfliteKind(
    noun="model",
    suffix=".tflite",
    folder="model file {path} is a folder: name the .tflite file in it",
    wrong_size="model file {path} has {size} bytes: not a model; copy or convert it again",
    other_format=(
        "{path} is not a TensorFlow Lite file (the letters TFL3 are missing at byte 4): give a .tflite file that "
        "stn-convert wrote"
    ),
    archive="metadata archive",
    long_text="{name} in its archive is larger than {limit} bytes",
)
_INTEGERS = {"INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL"}

#: Dtype and shape of a tensor.
Expected = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelFile:
    """A model file whose content has been checked.

    Attributes:
        path: where it was read from.
        size_bytes: the whole file, archive included.
        flatbuffer: the model alone, what an interpreter takes.
        metadata: what metadata.json says.
        labels: the lines of labels.txt; empty if the model recognizes nothing.
        signature: tensor positions of inputs and outputs by name, in the first subgraph.
        refine_signature: the same of the refine network; None in files without one.
        level_signatures: the same of all levels of a dense network, finest first; empty without one.
        turn_signature: the same of the turn network; None in files without one.
        whole_signature: the same of the network of a dense file that sees the whole frame once; None without one.

    Example:
        >>> model = ModelFile.open("general")  # doctest: +SKIP
        >>> model.metadata.kind  # doctest: +SKIP
        'pose-only'
    """

    path: Path
    size_bytes: int
    flatbuffer: bytes = field(repr=False)
    metadata: Metadata = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    signature: Signature = field(repr=False)
    refine_signature: Signature | None = field(default=None, repr=False)
    level_signatures: tuple[Signature, ...] = field(default=(), repr=False)
    turn_signature: Signature | None = field(default=None, repr=False)
    whole_signature: Signature | None = field(default=None, repr=False)

    @property
    def networks(self) -> int:
        """The number of networks in the file: one; of a dense file one that sees the whole frame; one that can refine a
        pose; one that says which side is up.

        Levels of one count once.
        """
        further = (self.whole_signature, self.refine_signature, self.turn_signature)
        return 1 + sum(signature is not None for signature in further)

    @property
    def is_bundled(self) -> bool:
        """Tells whether the file came with this package."""
        return MODEL_KIND.is_bundled(self.path)

    @classmethod
    def open(cls, model: str | PathLike[str] | None = None, *, limits: ModelLimits | None = None) -> ModelFile:
        """Reads and checks a model file.

        Args:
            model: a path; or the bare name of a bundled model such as ``"general"``; None for the default
                one. Where the file's SHA-256 lies beside it (``NAME.tflite.sha256``), the file must have it.
            limits: how much it may unpack to; None for the default ones.

        Raises:
            ModelFileError: if it is missing, truncated, altered, not ours, not all-integer, or uses an operator that
                has no place in a spatial transformer network; if it unpacks to more than the limits allow.
            UsageError: if ``model`` is no path, or ``limits`` are none.
        """
        limits = checked_limits(limits)
        path = MODEL_KIND.locate(DEFAULT_MODEL if model is None else model)
        content = MODEL_KIND.read(path)
        MODEL_KIND.is_as_told(path, content)
        try:
            texts = associated_files(content, limits)
            metadata = parse_metadata(texts["metadata.json"])
            flatbuffer = unaltered_flatbuffer(content, metadata.flatbuffer.bytes, metadata.flatbuffer.sha256)
            graph = read_flatbuffer(flatbuffer)
            check_operators(graph)
            check_all_integer(graph)
            if not MODEL_KIND.is_bundled(path):
                check_graph(graph, limits)
            _check_subgraphs(graph, metadata)
            levels = _check_levels(graph, metadata)
            signature = levels[0] if levels else _check_main(graph, metadata)
            refine_signature, turn_signature = _check_refine(graph, metadata), _check_turn(graph, metadata)
            whole_signature = _check_whole(graph, metadata)
            classes = None if metadata.class_scores is None else metadata.class_scores.size
            labels = _labels(texts["labels.txt"], classes)
        except (DataError, UnicodeDecodeError) as error:
            raise ModelFileError(f"model file {path}: {error}") from error
        networks = (signature, refine_signature, levels, turn_signature, whole_signature)
        return cls(path, len(content), flatbuffer, metadata, labels, *networks)


def bundled_models() -> tuple[str, ...]:
    """The names of the models that come with the package, sorted."""
    return MODEL_KIND.bundled()


def associated_files(content: bytes, limits: ModelLimits) -> dict[str, bytes]:
    """The files of the appended zip archive that we need, metadata.json and labels.txt.

    Raises:
        DataError: if one is missing, or the archive is damaged.
    """
    names = ("metadata.json", "labels.txt")
    try:
        return MODEL_KIND.texts(content, lambda archive: map(archive.getinfo, names), limits)
    except KeyError as error:
        raise DataError(f"{error.args[0]}: stn-convert writes it; convert the Keras model again") from None
    except zipfile.BadZipFile as error:
        raise DataError(
            f"no readable metadata at its end ({error}): it was cut short, so copy it again; or it was not "
            "written by stn-convert, so convert the Keras model with it"
        ) from None


def _labels(text: bytes, classes: int | None) -> tuple[str, ...]:
    """None, or as many as there are classes, where that is known."""
    labels = parse_labels(text)
    if classes is not None and labels and len(labels) != classes:
        raise DataError(f"has {len(labels)} labels for {classes} classes: convert it again")
    return labels


def check_operators(graph: Graph) -> None:
    """Refuses operators that have no place in a model file.

    Raises:
        DataError: if there is one; the message names it.
    """
    for operator in graph.operators:
        if operator.builtin == CUSTOM_OPERATOR or operator.custom:
            raise DataError(
                f"uses the custom operator {operator.custom!r}, which the device's interpreter lacks: "
                "convert the Keras model with stn-convert"
            )
        if operator.builtin not in ALLOWED.values():
            raise DataError(
                f"uses the operator {operator_name(operator.builtin)}, which has no place in an all-integer spatial "
                "transformer network: convert the Keras model with stn-convert, or replace the layer that needs it"
            )


def check_all_integer(graph: Graph) -> None:
    """Refuses tensors that are no integers.

    Raises:
        DataError: if there is one; the message names it.
    """
    for subgraph in graph.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.dtype not in _INTEGERS:
                raise DataError(
                    f"tensor {tensor.name!r} is {tensor.dtype}, not an integer: convert the Keras model with "
                    "stn-convert"
                )


def _check_subgraphs(graph: Graph, metadata: Metadata) -> None:
    wanted = 1 if metadata.dense is None else len(metadata.dense.levels)
    wanted += sum(network is not None for network in (metadata.whole, metadata.refine, metadata.turn))
    if len(graph.subgraphs) != wanted:
        raise DataError(
            f"has {len(graph.subgraphs)} subgraphs, but its metadata tells of {wanted}: convert the model again"
        )


def _check_levels(graph: Graph, metadata: Metadata) -> tuple[Signature, ...]:
    """The signatures of a dense network's levels; none in other files."""
    dense, signatures = metadata.dense, []
    if dense is None:
        return ()
    for number, level in enumerate(dense.levels):
        frame = ImageSpec(level.height, level.width, metadata.input.channels)
        grid = (1, level.height // dense.stride, level.width // dense.stride)
        outputs: dict[str, Expected | None] = {"score": ("INT8", (*grid, 1)), "corners": ("INT8", (*grid, 8))}
        signatures.append(check_signature(graph, level.signature, number, frame, outputs))
    return tuple(signatures)


def _check_main(graph: Graph, metadata: Metadata) -> Signature:
    assert metadata.outputs is not None  # the metadata have been checked: only dense files lack them
    return check_signature(graph, SIGNATURE, 0, metadata.input, _outputs(metadata.outputs))


def _check_whole(graph: Graph, metadata: Metadata) -> Signature | None:
    """The signature of a dense file's network that sees the whole frame, which is there if and only if the metadata
    says so."""
    whole, dense = metadata.whole, metadata.dense
    if whole is None or dense is None:
        return None
    outputs = {"theta": _theta(whole.theta), "score": _score(whole.score)}
    return check_signature(graph, WHOLE_SIGNATURE, len(dense.levels), whole.input, outputs)


def _check_refine(graph: Graph, metadata: Metadata) -> Signature | None:
    """The signature of the network that improves a pose, which is there if and only if the metadata says so."""
    refine = metadata.refine
    if refine is None:
        return None
    outputs = {"theta": _theta(refine.theta), "score": _score(refine.score)}
    place = len(graph.subgraphs) - 1 - (metadata.turn is not None)
    return check_signature(graph, REFINE_SIGNATURE, place, refine.input, outputs)


def _check_turn(graph: Graph, metadata: Metadata) -> Signature | None:
    """The signature of the network that says which side is up, which is there if and only if the metadata says so."""
    turn = metadata.turn
    if turn is None:
        return None
    outputs: dict[str, Expected | None] = {"scores": ("INT8", (1, turn.scores.size))}
    return check_signature(graph, TURN_SIGNATURE, len(graph.subgraphs) - 1, turn.input, outputs)


def _outputs(outputs: OutputsSpec) -> dict[str, Expected | None]:
    scores = outputs.class_scores
    return {
        "theta": _theta(outputs.theta),
        "rectified": None if outputs.rectified is None else ("INT8", _shape(outputs.rectified)),
        "score": _score(outputs.score),
        "class_scores": None if scores is None else ("INT8", (1, scores.size)),
    }


def _theta(spec: ThetaSpec) -> Expected:
    return "INT32", (1, spec.size)


def _score(spec: ScoreSpec | None) -> Expected | None:
    return None if spec is None else ("INT8", (1, 1))


def check_signature(
    graph: Graph,
    key: str,
    subgraph: int,
    frame: ImageSpec,
    outputs: Mapping[str, Expected | None],
    *,
    input_name: str = "frame",
) -> Signature:
    """The signature, after every tensor that it names has been found to be what the metadata says.

    Raises:
        DataError: if one is not, or there is no such signature.
    """
    signature = next((s for s in graph.signatures if s.key == key), None)
    if signature is None or signature.subgraph != subgraph or len(graph.subgraphs) <= subgraph:
        place = {0: "first", 1: "second"}.get(subgraph, f"{subgraph + 1}th")
        raise DataError(f"has no signature {key!r} for its {place} subgraph: convert the Keras model again")
    tensors = graph.subgraphs[subgraph].tensors
    for positions, wanted in (
        (signature.inputs, {input_name: ("INT8", _shape(frame))}),
        (signature.outputs, {name: expected for name, expected in outputs.items() if expected is not None}),
    ):
        for name, (dtype, shape) in wanted.items():
            position = positions.get(name, -1)
            tensor = tensors[position] if 0 <= position < len(tensors) else None
            if tensor is None or (tensor.dtype, tensor.shape) != (dtype, shape):
                actual = f"{tensor.dtype} {list(tensor.shape)}" if tensor else "missing"
                whose = "" if key == SIGNATURE else f" of {key!r}"
                raise DataError(
                    f"its tensor {name!r}{whose} is {actual}, but its metadata promises {dtype} {list(shape)}: "
                    "convert the Keras model again"
                )
    return signature


def _shape(image: ImageSpec) -> tuple[int, ...]:
    return (1, image.height, image.width, image.channels)
