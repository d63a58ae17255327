"""The answer of a recognizer, and what a recognizer is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import UsageError, shown
from stn_rectify.runtime.results import Rectification


@dataclass(frozen=True, eq=False)
class Recognition:
    """The content of an image, as a recognizer reads it.

    Attributes:
        label: of the most probable class, its number if the classes have no labels; or the text that was read, which
            is empty where a sequence recognizer sees no character. None: the image shows nothing the recognizer knows.
        score: how sure the recognizer is, 0 to 1, of nothing as of a label; None if it does not say.
        class_scores: float64 [K], how probable each class is; None of texts, and where the recognizer says no more
            than a label.
        labels: of the classes, K of them, or none.
        alternatives: texts and how probable they are, most probable first: those a sequence recognizer has considered.
        read: what the recognizer itself said, where `LabelRules` have made another label of it.
    """

    label: str | None
    score: float | None
    class_scores: FloatArray | None = field(default=None, repr=False)
    labels: Sequence[str] = field(default=(), repr=False)
    alternatives: tuple[tuple[str, float], ...] = field(default=(), repr=False)
    read: str | None = None

    def top(self, k: int) -> tuple[tuple[str, float | None], ...]:
        """The ``k`` most probable labels or texts with their scores, most probable first; fewer if there are fewer.

        The class of images that show nothing known stands among them as ``<nothing>``.

        Example:
            >>> Recognition("b", 0.7, np.array([0.2, 0.7, 0.1]), ("a", "b", "c")).top(2)
            (('b', 0.7), ('a', 0.2))
        """
        if self.class_scores is None:
            known = () if self.label is None else ((self.label, self.score),)
            return (self.alternatives or known)[:k]
        best = np.argsort(-self.class_scores, kind="stable")[:k].tolist()
        return tuple((self.labels[i] if self.labels else str(i), float(self.class_scores[i])) for i in best)


#: What a Python callable may say of an image: as it is, a text alone (which has no score), a text and its score from 0
#: to 1 or None, or None where it cannot read anything.
Recognized: TypeAlias = Recognition | str | tuple[str, float | None] | None

#: The size that a recognizer wants its images to have: width and height, pixels, of which one may be 0 and follows from
#: the target's aspect; or a function that gives both for the target's own width and height in the frame, pixels.
ImageSize: TypeAlias = tuple[int, int] | Callable[[tuple[int, int]], tuple[int, int]]


class ImageRecognizer(Protocol):
    """Reads rectified images: a `Recognizer`, or an object of your own.

    An object may have an attribute ``image_size``, an `ImageSize`: then its images are taken out of the frame at that
    size, whatever the size of `Rectification.image`. Without one, or with None, it gets that image.
    """

    def recognize(self, image: Image, /) -> Recognized:
        """Says what an upright image shows, BGR uint8 [h, w, 3] or grey [h, w]."""


def as_recognition(answer: Recognized) -> Recognition | None:
    """Brings the answer of a recognizer into one form.

    Raises:
        UsageError: if it is nothing that a recognizer may say.
    """
    if answer is None or isinstance(answer, Recognition):
        return answer
    if isinstance(answer, str):
        return Recognition(answer, None)
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str):
        text, score = answer
        if score is None:
            return Recognition(text, None)
        if _is_number(score) and 0 <= score <= 1:
            return Recognition(text, float(score))
    raise UsageError(
        f"the recognizer said {shown(answer)}: it may return a Recognition, a str, (str, score from 0 to 1) or None"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)


def labelled(result: Rectification, recognition: Recognition | None, top_k: int = 0) -> Rectification:
    """The result with the answer of a recognizer: label, scores, and the ``top_k`` best labels.

    If ``recognition`` is None, nothing was read, and the result has no label; nor has it one where the text is empty.
    """
    if recognition is None:
        return replace(result, label=None, label_score=None, class_scores=None, top_labels=(), read=None)
    return replace(
        result,
        label=recognition.label or None,
        label_score=recognition.score,
        class_scores=recognition.class_scores,
        top_labels=recognition.top(top_k),
        read=recognition.read,
    )
