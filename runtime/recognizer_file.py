"""A recognizer's file: any TensorFlow Lite classifier of one image, read and checked before an interpreter sees it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.flatbuffer import CUSTOM_OPERATOR, Tensor, read_flatbuffer
from stn_rectify.runtime.operators import ALLOWED, operator_name

__all__ = ["RECOGNIZER_FORMAT", "RECOGNIZER_SUFFIX", "RecognizerFile", "bundled_recognizers"]

#: The value of ``format`` in the metadata.json of the files that stn-convert makes of ``NAME.recognizer.keras``.
RECOGNIZER_FORMAT = "stn-rectify-recognizer/1"
RECOGNIZER_SUFFIX = ".recognizer.tflite"

_BUNDLED = Path(__file__).parent / "data"
_MAX_BYTES = 256 << 20
_MAX_ASSOCIATED_BYTES = 1 << 20
_DTYPES = ("INT8", "UINT8", "FLOAT32")
_ACTIVATIONS = ("softmax", "sigmoid", "logits")
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class RecognizerFile:
    """A classifier whose content has been checked: an image [1, h, w, 1 or 3] in, class scores [1, K] out.

    Attributes:
        path: where it was read from.
        size_bytes: the whole file, archive included.
        flatbuffer: the model alone.
        name: from its metadata, else the file's.
        labels: one for each class; empty if the file has none.
        image: the input tensor.
        scores: the output tensor.
        value_range: what pixel values 0 and 255 are to the network.
        activation: what the scores are; None: not known.
    """

    path: Path
    size_bytes: int
    flatbuffer: bytes = field(repr=False)
    name: str
    labels: tuple[str, ...] = field(repr=False)
    image: Tensor
    scores: Tensor
    value_range: tuple[float, float]
    activation: str | None

    @property
    def is_integer(self) -> bool:
        """Whether it takes and gives integers."""
        return self.image.dtype != "FLOAT32" != self.scores.dtype

    @classmethod
    def open(cls, recognizer: str | PathLike[str]) -> RecognizerFile:
        """Reads and checks a file.

        Args:
            recognizer: a path; or the bare name of a bundled recognizer such as ``"digits"``. Labels are the lines of
                ``labels.txt``, or of the only text file, in the zip archive at its end (the convention of TFLite
                Metadata).

        Raises:
            ModelFileError: it is missing, damaged, no classifier of one image, or has operators that have no place
                in one.
        """
        path = _locate(recognizer)
        content = _read(path)
        try:
            texts = _associated_texts(content)
            metadata = _metadata(texts.get("metadata.json"))
            flatbuffer = _flatbuffer(content, metadata)
            image, scores = _ends(flatbuffer)
            labels = _labels(texts, scores.shape[-1])
            low, high = metadata["value_range"]
        except (DataError, UnicodeDecodeError) as error:
            raise ModelFileError(f"recognizer file {path}: {error}") from error
        name = metadata.get("name") or path.name.removesuffix(".tflite").removesuffix(".recognizer")
        activation = metadata.get("activation")
        return cls(path, len(content), flatbuffer, name, labels, image, scores, (low, high), activation)


def bundled_recognizers() -> tuple[str, ...]:
    """The names of the recognizers that come with the package, sorted."""
    return tuple(sorted(path.name.removesuffix(RECOGNIZER_SUFFIX) for path in _BUNDLED.glob(f"*{RECOGNIZER_SUFFIX}")))


def _locate(recognizer: str | PathLike[str]) -> Path:
    path = Path(recognizer)
    if isinstance(recognizer, str) and recognizer and path.name == recognizer and not path.suffix:
        path = _BUNDLED / f"{recognizer}{RECOGNIZER_SUFFIX}"
        if not os.path.isfile(path):
            names = ", ".join(bundled_recognizers()) or "none"
            raise ModelFileError(
                f"no bundled recognizer {recognizer!r} (bundled: {names}): give one of these names, or a path such as "
                f"./{recognizer}.tflite"
            )
    return path


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        content = path.read_bytes() if 8 <= size <= _MAX_BYTES else b""
    except FileNotFoundError:
        raise ModelFileError(f"recognizer file {path} does not exist: check the path") from None
    except OSError as error:
        raise ModelFileError(f"cannot read the recognizer file {path}: {error.strerror}") from error
    if content[4:8] != b"TFL3":
        raise ModelFileError(f"{path} is not a TensorFlow Lite file: give the .tflite file of a classifier")
    return content


def _associated_texts(content: bytes) -> dict[str, bytes]:
    """metadata.json and text files of the archive at the end; a file may do without."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            wanted = [e for e in archive.infolist() if e.filename.endswith((".txt", ".json"))]
            if any(entry.file_size > _MAX_ASSOCIATED_BYTES for entry in wanted):
                raise DataError(f"a text in its archive is larger than {_MAX_ASSOCIATED_BYTES} bytes")
            return {entry.filename: archive.read(entry) for entry in wanted}
    except zipfile.BadZipFile as error:
        if b"PK\x03\x04" in content[-_MAX_ASSOCIATED_BYTES:] and b"labels" in content[-_MAX_ASSOCIATED_BYTES:]:
            raise DataError(f"its archive of labels is damaged ({error}): copy the file again") from None
        return {}
    except _DAMAGED as error:
        raise DataError(f"its archive of labels is damaged ({error}): copy the file again") from None


def _metadata(text: bytes | None) -> dict[str, Any]:
    """What our own files say; the defaults for others: pixel values from 0 to 1."""
    if text is None:
        return {"value_range": (0.0, 1.0)}
    try:
        values = json.loads(text)
        if values.get("format") != RECOGNIZER_FORMAT:
            return {"value_range": (0.0, 1.0)} | _refuse_ours(values)
        low, high = (float(v) for v in values["input"]["value_range"])
        found = {
            "name": str(values["name"]),
            "value_range": (low, high),
            "activation": values["class_scores"]["activation"],
            "bytes": int(values["flatbuffer"]["bytes"]),
            "sha256": str(values["flatbuffer"]["sha256"]),
        }
        if found["activation"] not in _ACTIVATIONS or not -1e9 < low < high < 1e9:
            raise ValueError("a value is out of range")
        return found
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"its metadata.json is damaged ({error}): convert the Keras model again") from None


def _refuse_ours(values: dict[str, Any]) -> dict[str, Any]:
    if str(values.get("format", "")).startswith("stn-rectify/"):
        raise DataError("it is the file of a spatial transformer: give it as the model, not as the recognizer")
    return {}


def _flatbuffer(content: bytes, metadata: dict[str, Any]) -> bytes:
    if "sha256" not in metadata:
        return content
    flatbuffer = content[: metadata["bytes"]]
    if hashlib.sha256(flatbuffer).hexdigest() != metadata["sha256"]:
        raise DataError("its content does not match the SHA-256 in its metadata, it was altered: copy it again")
    return flatbuffer


def _ends(flatbuffer: bytes) -> tuple[Tensor, Tensor]:
    """Input and output, after all operators have been found to be allowed."""
    graph = read_flatbuffer(flatbuffer)
    for operator in graph.operators:
        if operator.builtin == CUSTOM_OPERATOR or operator.custom or operator.builtin not in ALLOWED.values():
            what = repr(operator.custom) if operator.custom else operator_name(operator.builtin)
            raise DataError(f"uses the operator {what}, which has no place in a classifier: convert it without")
    first = graph.subgraphs[0] if graph.subgraphs else None
    if first is None or len(first.inputs) != 1 or len(first.outputs) != 1:
        raise DataError("it has not one input and one output: give a classifier of one image")
    image, scores = first.tensors[first.inputs[0]], first.tensors[first.outputs[0]]
    if image.dtype not in _DTYPES or scores.dtype not in _DTYPES:
        raise DataError(f"takes {image.dtype} and gives {scores.dtype}: {', '.join(_DTYPES)} can be used")
    if len(image.shape) != 4 or image.shape[0] != 1 or image.shape[3] not in (1, 3) or min(image.shape) < 1:
        raise DataError(f"its input is {list(image.shape)}: expected one image [1, height, width, 1 or 3]")
    if len(scores.shape) != 2 or scores.shape[0] != 1 or scores.shape[1] < 2:
        raise DataError(f"its output is {list(scores.shape)}: expected class scores [1, classes]")
    return image, scores


def _labels(texts: dict[str, bytes], classes: int) -> tuple[str, ...]:
    candidates = [name for name in texts if name.endswith(".txt")]
    if "labels.txt" in texts:
        candidates = ["labels.txt"]
    if len(candidates) != 1:
        return ()
    labels = tuple(texts[candidates[0]].decode("utf-8").splitlines())
    if labels and len(labels) != classes:
        raise DataError(f"has {len(labels)} labels for {classes} classes: convert it again")
    return labels
