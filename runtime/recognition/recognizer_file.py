"""A recognizer's file: a TensorFlow Lite classifier or reader of one image, checked before an interpreter sees it.

`SequenceLayout` says where in a reader's output the steps, the classes and the blank are; `score_activation` what the
numbers of someone else's network mean: probabilities, or logits.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from msgspec import UNSET

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.model.flatbuffer import CUSTOM_OPERATOR, Subgraph, Tensor, read_flatbuffer
from stn_rectify.runtime.model.graph_check import check_graph
from stn_rectify.runtime.model.labels import NOTHING, parse_labels
from stn_rectify.runtime.model.limits import ModelLimits, checked_limits
from stn_rectify.runtime.model.metadata import RecognizerMetadata, parse_recognizer_metadata
from stn_rectify.runtime.model.operators import ALLOWED_IN_RECOGNIZERS, operator_name
from stn_rectify.runtime.model.tflite_file import MAX_TEXT_BYTES, TfliteKind, unaltered_flatbuffer

#: The line of an alphabet that says which class is the blank.
BLANK = "<blank>"


def sequence_sides(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The two sides of a sequence recognizer's output; None if it is of another shape.

    Args:
        shape: of the output: [1, T, K], [1, K, T], or one of these with a further axis of 1.
    """
    sides = [side for side in shape[1:] if side != 1]
    if len(shape) not in (3, 4) or shape[0] != 1 or len(sides) != 2 or min(sides) < 2:
        return None
    return sides[0], sides[1]


@dataclass(frozen=True)
class SequenceLayout:
    """The output of a network that reads a text step by step.

    Attributes:
        steps: the number of steps.
        classes: the number of classes, the blank among them.
        classes_first: whether the output is [K, T], as LPRNet's, and not [T, K].
        blank: number of the class that stands for no character.
    """

    steps: int
    classes: int
    classes_first: bool
    blank: int

    @classmethod
    def of(cls, sides: tuple[int, int], alphabet: Sequence[str]) -> tuple[SequenceLayout, tuple[str, ...]]:
        """The layout that an alphabet tells, and a label for each class, empty for the blank.

        The classes are on the side that is as long as the alphabet, or one longer for a blank that it leaves out; on
        the second side where both fit. The blank is the class whose label is ``<blank>``, else the last one.

        Args:
            sides: of `sequence_sides`.
            alphabet: the labels there are.

        Raises:
            DataError: if the alphabet fits neither side.
        """
        count = len(alphabet)
        fitting = (count,) if BLANK in alphabet else (count, count + 1)
        if not count or not any(side in fitting for side in sides):
            first, second = sides
            raise DataError(
                f"{count or 'no'} labels for an output of {first} by {second}: a sequence recognizer needs one for "
                f"each class, {BLANK!r} for the blank, or one less where the blank is the last class (--labels)"
            )
        classes_first = sides[1] not in fitting
        steps, classes = sides[::-1] if classes_first else sides
        blank = alphabet.index(BLANK) if BLANK in alphabet else classes - 1
        labels = [*alphabet, ""][:classes]
        labels[blank] = ""
        return cls(steps, classes, classes_first, blank), tuple(labels)

    def rows(self, scores: FloatArray) -> FloatArray:
        """The output as float64 [T, K]."""
        shape = (self.classes, self.steps) if self.classes_first else (self.steps, self.classes)
        rows = scores.reshape(shape)
        return rows.T if self.classes_first else rows


#: How the files are called that stn-convert makes of ``NAME.recognizer.keras``.
RECOGNIZER_SUFFIX = ".recognizer.tflite"

_NO_TFLITE = "{path} is not a TensorFlow Lite file: give the .tflite file of a classifier"
#: What is said of a recognizer file, and of one that is none.
RECOGNIZER_KIND = TfliteKind(
    noun="recognizer",
    suffix=RECOGNIZER_SUFFIX,
    folder="cannot read the recognizer file {path}: Is a directory",
    wrong_size=_NO_TFLITE,
    other_format=_NO_TFLITE,
    archive="archive of labels",
    long_text="a text in its archive is larger than {limit} bytes",
)
_OPERATORS = frozenset(ALLOWED_IN_RECOGNIZERS.values())
_DTYPES = ("INT8", "UINT8", "FLOAT32")


@dataclass(frozen=True)
class RecognizerFile:
    """A recognizer whose content has been checked: an image [1, h, w, 1 or 3] in, class scores out.

    They are [1, K] of a classifier, [1, T, K] or [1, K, T] of a sequence recognizer that reads a text in T steps (CTC).

    Attributes:
        path: where it was read from.
        size_bytes: the whole file, archive included.
        flatbuffer: the model alone.
        name: from its metadata, else the file's.
        labels: one for each class; empty if a classifier has none. That of a sequence's blank is empty.
        image: the input tensor.
        scores: the output tensor.
        sequence: the places of steps and classes in the output; None of a classifier.
        value_range: the values that the network takes for pixel values 0 and 255; None if they are not known.
        activation: the kind of the scores, as `class_probabilities` takes it: from its metadata, else as
            `score_activation` reads it off the graph; None if that does not tell.
        margin: what an image shows beyond each edge of the target, as a share of the target's side, as the network was
            trained: from its metadata, else 0.
        is_bgr: whether its three channels are blue, green and red: from its metadata.
        is_verified: whether a SHA-256 told that the file is what it was: in its metadata, beside it, or given.
    """

    path: Path
    size_bytes: int
    flatbuffer: bytes = field(repr=False)
    name: str
    labels: tuple[str, ...] = field(repr=False)
    image: Tensor
    scores: Tensor
    sequence: SequenceLayout | None
    value_range: tuple[float, float] | None
    activation: str | None
    margin: float = 0.0
    is_verified: bool = True
    is_bgr: bool = False

    @property
    def is_integer(self) -> bool:
        """Tells whether the recognizer takes and gives integers."""
        return self.image.dtype != "FLOAT32" != self.scores.dtype

    @property
    def is_bundled(self) -> bool:
        """Tells whether the file came with this package."""
        return RECOGNIZER_KIND.is_bundled(self.path)

    @property
    def classes(self) -> int:
        """The number of classes that it tells apart, the blank of a sequence among them."""
        return self.scores.shape[-1] if self.sequence is None else self.sequence.classes

    @classmethod
    def open(
        cls,
        recognizer: str | PathLike[str],
        labels: Sequence[str] | None = None,
        *,
        sha256: str | None = None,
        limits: ModelLimits | None = None,
    ) -> RecognizerFile:
        """Reads and checks a file.

        Args:
            recognizer: a path; or the bare name of a bundled recognizer such as ``"digits"``. Labels are the lines of
                ``labels.txt``, or of the only text file, in the zip archive at its end (the convention of TFLite
                Metadata).
            labels: in place of the file's; the class for nothing known, if it is the last one, needs none.
            sha256: that the whole file must have, 64 hexadecimal digits. None for the one beside the file
                (``NAME.tflite.sha256``), if there is one.
            limits: how much the file may unpack to; None for the default ones.

        Raises:
            ModelFileError: if the file is missing, damaged or no recognizer of one image, if it has operators that have
                no place in one, if there are more or fewer labels than classes, or if it unpacks to more than the
                limits allow.
            UsageError: if an argument is of the wrong type.
        """
        limits = checked_limits(limits)
        path = RECOGNIZER_KIND.locate(recognizer)
        content = RECOGNIZER_KIND.read(path)
        is_verified = RECOGNIZER_KIND.is_as_told(path, content, sha256)
        try:
            texts = _associated_texts(content, limits)
            metadata = parse_recognizer_metadata(texts["metadata.json"]) if "metadata.json" in texts else None
            flatbuffer = _flatbuffer(content, metadata)
            network = _network(flatbuffer, limits)
            image, scores = network.tensors[network.inputs[0]], network.tensors[network.outputs[0]]
            own = _file_labels(texts)
            given = own if labels is None else tuple(labels)
            if own[-1:] == (NOTHING,) and len(given) == len(own) - 1:
                given += (NOTHING,)  # other labels are those of what it knows
            names, sequence = _classes(given, scores)
        except (DataError, UnicodeDecodeError) as error:
            raise ModelFileError(f"recognizer file {path}: {error}") from error
        name, value_range = path.name.removesuffix(".tflite").removesuffix(".recognizer"), None
        margin = 0.0
        if metadata is None:
            activation = score_activation(network, is_sequence=sequence is not None)
        else:
            name, value_range = metadata.name or name, metadata.input.value_range
            activation = metadata.class_scores.activation
            margin = 0.0 if metadata.margin is UNSET else metadata.margin
        is_verified |= metadata is not None
        is_bgr = metadata is not None and metadata.input.colour == "BGR"
        numbers = (image, scores, sequence, value_range, activation, margin)
        return cls(path, len(content), flatbuffer, name, names, *numbers, is_verified, is_bgr)


def _associated_texts(content: bytes, limits: ModelLimits) -> dict[str, bytes]:
    """metadata.json and the labels of the archive at the end; a file may do without."""
    try:
        return RECOGNIZER_KIND.texts(content, _wanted_texts, limits)
    except zipfile.BadZipFile as error:
        end = content[-MAX_TEXT_BYTES:]
        if b"PK\x03\x04" in end and b"labels" in end:
            raise RECOGNIZER_KIND.damaged(error) from None
        return {}


def _wanted_texts(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """metadata.json, and labels.txt or the only file of that suffix."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    texts = [name for name in entries if name.endswith(".txt")]
    labels = ["labels.txt"] if "labels.txt" in entries else texts if len(texts) == 1 else []
    return [entries[name] for name in ("metadata.json", *labels) if name in entries]


def _flatbuffer(content: bytes, metadata: RecognizerMetadata | None) -> bytes:
    if metadata is None:
        return content
    return unaltered_flatbuffer(content, metadata.flatbuffer.bytes, metadata.flatbuffer.sha256)


def _network(flatbuffer: bytes, limits: ModelLimits) -> Subgraph:
    """The graph, after operators, input and output have been found to be those of a recognizer."""
    graph = read_flatbuffer(flatbuffer)
    for operator in graph.operators:
        if operator.builtin == CUSTOM_OPERATOR or operator.custom or operator.builtin not in _OPERATORS:
            name = repr(operator.custom) if operator.custom else operator_name(operator.builtin)
            raise DataError(f"uses the operator {name}, which has no place in a recognizer: convert it without")
    check_graph(graph, limits)
    first = graph.subgraphs[0] if graph.subgraphs else None
    if first is None or len(first.inputs) != 1 or len(first.outputs) != 1:
        raise DataError("it has not one input and one output: give a recognizer of one image")
    image, scores = first.tensors[first.inputs[0]], first.tensors[first.outputs[0]]
    if image.dtype not in _DTYPES or scores.dtype not in _DTYPES:
        raise DataError(f"takes {image.dtype} and gives {scores.dtype}: {', '.join(_DTYPES)} can be used")
    if len(image.shape) != 4 or image.shape[0] != 1 or image.shape[3] not in (1, 3) or min(image.shape) < 1:
        raise DataError(f"its input is {list(image.shape)}: expected one image [1, height, width, 1 or 3]")
    is_classifier = len(scores.shape) == 2 and scores.shape[0] == 1 and scores.shape[1] > 1
    if not is_classifier and sequence_sides(scores.shape) is None:
        raise DataError(
            f"its output is {list(scores.shape)}: expected class scores [1, classes], or for a text "
            "[1, steps, classes] or [1, classes, steps]"
        )
    return first


def _file_labels(texts: dict[str, bytes]) -> tuple[str, ...]:
    return next((parse_labels(text) for name, text in texts.items() if name.endswith(".txt")), ())


def _classes(labels: tuple[str, ...], scores: Tensor) -> tuple[tuple[str, ...], SequenceLayout | None]:
    """A label for each class, if there are any, and where classes and steps are in the scores of a sequence."""
    sides = sequence_sides(scores.shape)
    if sides is not None:
        sequence, labels = SequenceLayout.of(sides, labels)
        return labels, sequence
    if labels and len(labels) != scores.shape[1]:
        raise DataError(f"{len(labels)} labels for {scores.shape[1]} classes: give one for each (--labels)")
    return labels, None


# The meaning of an operator's results. Softmax of logarithms of probabilities gives these back.
_ACTIVATIONS = {
    "CONV_2D": "logits",
    "FULLY_CONNECTED": "logits",
    "LOGISTIC": "sigmoid",
    "LOG_SOFTMAX": "logits",
    "RELU_0_TO_1": "softmax",
    "SOFTMAX": "softmax",
}
# Operators that hand on the same numbers in another shape or dtype.
_HAND_ON = ("DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE", "TRANSPOSE")
_LEVELS = {"INT8": (-128, 127), "UINT8": (0, 255)}


def score_activation(network: Subgraph, *, is_sequence: bool) -> str | None:
    """Reads off a network's graph whether its output is probabilities or logits.

    The last operator that computes something decides, or the quantization of its result, if that leaves only values
    from 0 to 1: they are probabilities.

    Args:
        network: a graph with one output.
        is_sequence: whether the network reads a text. Then probabilities have to add up to 1 in each step, and those of
            a sigmoid are treated like a softmax's, which are divided by their sum.

    Returns:
        ``"softmax"``, ``"sigmoid"`` or ``"logits"``, as `class_probabilities` takes them; None if the graph does not
        tell, as that of a float network which ends in a mean of probabilities.
    """
    operator, tensor = _computed(network)
    activation = _ACTIVATIONS.get(operator)
    if activation != "sigmoid" and operator != "LOG_SOFTMAX" and _lies_from_0_to_1(network.tensors[tensor]):
        activation = "softmax"
    return "softmax" if is_sequence and activation == "sigmoid" else activation


def _computed(network: Subgraph) -> tuple[str, int]:
    """The last operator but for those that only hand on numbers, and its result's position; no name if none is left."""
    tensor = network.outputs[0]
    for operator in reversed(network.operators):
        if tensor in operator.outputs:
            name = operator_name(operator.code.builtin)
            if name not in _HAND_ON or not operator.inputs:
                return name, tensor
            tensor = operator.inputs[0]
    return "", tensor


def _lies_from_0_to_1(tensor: Tensor) -> bool:
    """Tells whether all levels stand for values from 0 to 1, with half a level of slack, as scales are rounded."""
    if tensor.dtype not in _LEVELS or tensor.scale <= 0:
        return False
    low, high = ((level - tensor.zero_point) * tensor.scale for level in _LEVELS[tensor.dtype])
    return low == 0 and high <= 1 + tensor.scale / 2
