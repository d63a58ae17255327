"""A model file, read and checked before any interpreter sees it."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.flatbuffer import CUSTOM_OPERATOR, Graph, Signature, read_flatbuffer
from stn_rectify.runtime.metadata import ImageSpec, InputSpec, Metadata, ScoreSpec, ThetaSpec, parse_metadata
from stn_rectify.runtime.operators import ALLOWED, operator_name

__all__ = ["DEFAULT_MODEL", "REFINE_SIGNATURE", "SIGNATURE", "ModelFile", "bundled_models"]

#: The bundled model that is taken when none is named.
DEFAULT_MODEL = "general"

#: The SignatureDef that names inputs and outputs; it stands for the first subgraph.
SIGNATURE = "serving_default"

#: The SignatureDef of the second subgraph, the network that improves a pose, in files that have one.
REFINE_SIGNATURE = "refine"

_BUNDLED = Path(__file__).parent / "data"
_MAX_BYTES = 256 << 20
_MAX_ASSOCIATED_BYTES = 1 << 20
_INTEGERS = {"INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL"}


_Expected = tuple[str, tuple[int, ...]]  # dtype and shape of a tensor


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
        refine_signature: the same of the second subgraph; None in files of one network.

    Example:
        >>> model = ModelFile.open("general")  # doctest: +SKIP
        >>> model.metadata.kind  # doctest: +SKIP
        'in-graph'
    """

    path: Path
    size_bytes: int
    flatbuffer: bytes = field(repr=False)
    metadata: Metadata = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    signature: Signature = field(repr=False)
    refine_signature: Signature | None = field(default=None, repr=False)

    @property
    def networks(self) -> int:
        """How many networks the file holds: 2 if it can refine a pose, else 1."""
        return 1 if self.refine_signature is None else 2

    @classmethod
    def open(cls, model: str | PathLike[str] | None = None) -> ModelFile:
        """Reads and checks a model file.

        Args:
            model: a path; or the bare name of a bundled model such as ``"general"``; None for the default
                one.

        Raises:
            ModelFileError: it is missing, truncated, altered, not ours, not all-integer, or uses an operator that
                has no place in a spatial transformer network.
        """
        path = _locate(DEFAULT_MODEL if model is None else model)
        content = _read(path)
        try:
            texts = _associated_files(content)
            metadata = parse_metadata(texts["metadata.json"])
            flatbuffer = _flatbuffer(content, metadata)
            graph = read_flatbuffer(flatbuffer)
            _check_operators(graph)
            _check_all_integer(graph)
            signature = _check_signature(graph, SIGNATURE, 0, metadata.input, _outputs(metadata))
            refine_signature = _check_refine(graph, metadata)
            labels = tuple(texts["labels.txt"].decode("utf-8").splitlines())
            if metadata.class_scores is not None and labels and len(labels) != metadata.class_scores.size:
                raise DataError(f"has {len(labels)} labels for {metadata.class_scores.size} classes: convert it again")
        except (DataError, UnicodeDecodeError) as error:
            raise ModelFileError(f"model file {path}: {error}") from error
        return cls(path, len(content), flatbuffer, metadata, labels, signature, refine_signature)


def bundled_models() -> tuple[str, ...]:
    """The names of the models that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _BUNDLED.glob("*.tflite") if "." not in path.stem))


def _locate(model: str | PathLike[str]) -> Path:
    path = Path(model)
    if isinstance(model, str) and model and path.name == model and not path.suffix:
        path = _BUNDLED / f"{model}.tflite"
        if not os.path.isfile(path):
            names = ", ".join(bundled_models()) or "none"
            raise ModelFileError(
                f"no bundled model {model!r} (bundled: {names}): give one of these names, or a path such as "
                f"./{model}.tflite"
            )
    return path


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"model file {path} is a folder: name the .tflite file in it")
        if not 8 <= size <= _MAX_BYTES:
            raise ModelFileError(f"model file {path} has {size} bytes: not a model; copy or convert it again")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"model file {path} does not exist: check the path") from None
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    if content[4:8] != b"TFL3":
        raise ModelFileError(
            f"{path} is not a TensorFlow Lite file (the letters TFL3 are missing at byte 4): give a .tflite "
            "file that stn-convert wrote"
        )
    return content


def _associated_files(content: bytes) -> dict[str, bytes]:
    """The files of the appended zip archive that we need."""
    texts = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in ("metadata.json", "labels.txt"):
                if archive.getinfo(name).file_size > _MAX_ASSOCIATED_BYTES:
                    raise DataError(f"{name} in its archive is larger than {_MAX_ASSOCIATED_BYTES} bytes")
                texts[name] = archive.read(name)
    except KeyError as error:
        raise DataError(f"{error.args[0]}: stn-convert writes it; convert the Keras model again") from None
    except zipfile.BadZipFile as error:
        raise DataError(
            f"no readable metadata at its end ({error}): it was cut short, so copy it again; or it was not "
            "written by stn-convert, so convert the Keras model with it"
        ) from None
    except (zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"its metadata archive is damaged ({error}): copy the file again") from None
    return texts


def _flatbuffer(content: bytes, metadata: Metadata) -> bytes:
    """The model without the archive, exactly as it was written."""
    flatbuffer = content[: metadata.flatbuffer_bytes]
    if hashlib.sha256(flatbuffer).hexdigest() != metadata.flatbuffer_sha256:
        raise DataError("its content does not match the SHA-256 in its metadata, it was altered: copy it again")
    return flatbuffer


def _check_operators(graph: Graph) -> None:
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


def _check_all_integer(graph: Graph) -> None:
    for subgraph in graph.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.dtype not in _INTEGERS:
                raise DataError(
                    f"tensor {tensor.name!r} is {tensor.dtype}, not an integer: convert the Keras model with "
                    "stn-convert"
                )


def _check_refine(graph: Graph, metadata: Metadata) -> Signature | None:
    """The signature of the second network, which is there if and only if the metadata says so."""
    refine = metadata.refine
    subgraphs = 1 if refine is None else 2
    if len(graph.subgraphs) != subgraphs:
        raise DataError(
            f"has {len(graph.subgraphs)} subgraphs, but its metadata tells of {subgraphs}: convert the model again"
        )
    if refine is None:
        return None
    outputs = {"theta": _theta(refine.theta), "score": _score(refine.score)}
    return _check_signature(graph, REFINE_SIGNATURE, 1, refine.input, outputs)


def _outputs(metadata: Metadata) -> dict[str, _Expected | None]:
    scores = metadata.class_scores
    return {
        "theta": _theta(metadata.theta),
        "rectified": None if metadata.rectified is None else ("INT8", _shape(metadata.rectified)),
        "score": _score(metadata.score),
        "class_scores": None if scores is None else ("INT8", (1, scores.size)),
    }


def _theta(spec: ThetaSpec) -> _Expected:
    return "INT32", (1, spec.size)


def _score(spec: ScoreSpec | None) -> _Expected | None:
    return None if spec is None else ("INT8", (1, 1))


def _check_signature(
    graph: Graph, key: str, subgraph: int, frame: InputSpec, outputs: Mapping[str, _Expected | None]
) -> Signature:
    """The signature, after every tensor that it names has been found to be what the metadata says."""
    signature = next((s for s in graph.signatures if s.key == key), None)
    if signature is None or signature.subgraph != subgraph or len(graph.subgraphs) <= subgraph:
        which = ("first", "second")[subgraph]
        raise DataError(f"has no signature {key!r} for its {which} subgraph: convert the Keras model again")
    tensors = graph.subgraphs[subgraph].tensors
    for positions, wanted in (
        (signature.inputs, {"frame": ("INT8", _shape(frame))}),
        (signature.outputs, {name: expected for name, expected in outputs.items() if expected is not None}),
    ):
        for name, (dtype, shape) in wanted.items():
            position = positions.get(name, -1)
            found = tensors[position] if 0 <= position < len(tensors) else None
            if found is None or (found.dtype, found.shape) != (dtype, shape):
                what = f"{found.dtype} {list(found.shape)}" if found else "missing"
                whose = "" if key == SIGNATURE else f" of {key!r}"
                raise DataError(
                    f"its tensor {name!r}{whose} is {what}, but its metadata promises {dtype} {list(shape)}: "
                    "convert the Keras model again"
                )
    return signature


def _shape(image: ImageSpec) -> tuple[int, ...]:
    return (1, image.height, image.width, image.channels)
