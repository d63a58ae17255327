"""The answers of a recognizer in float and in INT8 compared, behind a sampler or in a file of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime.arrays import Array, IntArray
from stn_rectify.runtime.recognition.ctc import best_path
from stn_rectify.runtime.recognition.recognizer_file import SequenceLayout


@dataclass(frozen=True)
class ClassAgreement:
    """The agreement of a recognizer's answers in float and in INT8.

    Attributes:
        top1_agreement: share of frames for which both name the same class, or read the same text.
        labelled: frames whose class is known.
        accuracy_float: share of them that the float model names rightly; None if none is known.
        accuracy_int8: the same for the file.
        accuracy_of_one_class: the share that the commonest class has of them: right so often is who says it always.
        answers: how many different classes or texts the float model gives.
    """

    top1_agreement: float
    labelled: int
    accuracy_float: float | None
    accuracy_int8: float | None
    accuracy_of_one_class: float | None = None
    answers: int = 0


@dataclass(frozen=True)
class NothingShares:
    """What the file says of held-out images of both kinds, in INT8.

    Attributes:
        known: how many images of its classes.
        lost: share of them that it takes for nothing known.
        unknown: how many images of none of its classes.
        rejected: share of them that it takes for nothing known.
    """

    known: int
    lost: float
    unknown: int
    rejected: float


@dataclass(frozen=True)
class RecognizerComparison:
    """INT8 against float, of a recognizer in a file of its own.

    Attributes:
        frames: how many were compared.
        class_scores: the classes or texts.
        nothing: what it says of images that show nothing it knows; None if it has no class for them.
    """

    frames: int
    class_scores: ClassAgreement
    nothing: NothingShares | None = None

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report."""
        return asdict(self)


def class_agreement(of_float: Array, of_file: Array, labels: IntArray | None) -> ClassAgreement:
    """Compares class scores [N, K]; ``labels`` int64 [N], -1 where the class is not known."""
    named_float, named_int8 = (scores.argmax(axis=1) for scores in (of_float, of_file))
    labels = np.full(len(named_int8), -1) if labels is None else labels
    labelled = labels >= 0
    right = [float((named == labels)[labelled].sum() / max(1, labelled.sum())) for named in (named_float, named_int8)]
    counts = np.unique(labels[labelled], return_counts=True)[1]
    known = len(counts) > 0
    return ClassAgreement(
        top1_agreement=float((named_float == named_int8).mean()),
        labelled=int(labelled.sum()),
        accuracy_float=right[0] if known else None,
        accuracy_int8=right[1] if known else None,
        accuracy_of_one_class=float(counts.max() / counts.sum()) if known else None,
        answers=len(np.unique(named_float)),
    )


def text_agreement(of_float: Array, of_file: Array, sequence: SequenceLayout) -> ClassAgreement:
    """Compares class scores [N, T, K] of a network that reads texts: the text of the most probable alignment."""
    texts, texts_of_file = ([tuple(best_path(s, sequence.blank)) for s in scores] for scores in (of_float, of_file))
    same = [a == b for a, b in zip(texts, texts_of_file, strict=True)]
    return ClassAgreement(float(np.mean(same)), 0, None, None, answers=len(set(texts)))


def nothing_shares(flatbuffer: bytes, known: npt.NDArray[np.int8], unknown: npt.NDArray[np.int8]) -> NothingShares:
    """Runs a recognizer whose last class stands for nothing known over held-out images int8 [N, H, W, C] of both kinds.

    Raises:
        ModelFileError: if the interpreter refuses the file or dies of it.
    """
    with IsolatedInterpreter() as interpreter:
        interpreter.load(flatbuffer)
        scores = [_scores(interpreter, images) for images in (known, unknown)]
    lost, rejected = (float((s.argmax(axis=1) == s.shape[1] - 1).mean()) for s in scores)
    return NothingShares(len(known), lost, len(unknown), rejected)


def compare_recognizer(
    flatbuffer: bytes,
    images: npt.NDArray[np.int8],
    of_float: npt.NDArray[np.float32],
    labels: IntArray | None,
    sequence: SequenceLayout | None,
) -> RecognizerComparison:
    """Runs a recognizer's file over images whose float class scores are known.

    Args:
        flatbuffer: of the file, read back.
        images: int8 [N, H, W, C], as the file takes them.
        of_float: the float model's class scores of them, [N, K], or [N, T, K] of a text.
        labels: the true classes [N], -1 where not known; None if none is. Of texts they are not looked at.
        sequence: where the blank is, of a recognizer that reads texts; None of a classifier.

    Raises:
        ModelFileError: if the interpreter refuses the file or dies of it.
    """
    with IsolatedInterpreter() as interpreter:
        interpreter.load(flatbuffer)
        of_file = _scores(interpreter, images)
    if sequence is None:
        return RecognizerComparison(len(images), class_agreement(of_float, of_file, labels))
    return RecognizerComparison(len(images), text_agreement(of_float, of_file, sequence))


def _scores(interpreter: IsolatedInterpreter, images: npt.NDArray[np.int8]) -> Array:
    return np.concatenate([interpreter.run({"image": image[None]})["class_scores"] for image in images])
