"""How well a reader reads plates whose texts are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.recognition.ctc import best_path
from stn_rectify.runtime.recognition.label_rules import edit_distance


@dataclass(frozen=True)
class TextAccuracy:
    """How well a reader does; ``str()`` is a line.

    Attributes:
        name: of the plates.
        count: of the plates.
        right: share whose text is right from the first to the last character.
        edits: characters to put in, leave out or exchange, as a share of those that are there.
    """

    name: str
    count: int
    right: float
    edits: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.count} plates, {100 * self.right:.1f} % read without a mistake, "
            f"{100 * self.edits:.1f} % of the characters wrong"
        )


def text_accuracy(
    name: str, scores: npt.NDArray[np.float32] | FloatArray, texts: npt.NDArray[np.uint8]
) -> TextAccuracy:
    """Counts how often a reader is right, with the most probable class of each step.

    Args:
        name: of the plates.
        scores: [N, T, classes], what it gives; class 0 is the blank.
        texts: [N, L], the classes of each plate's characters, then zeros.
    """
    read = [best_path(steps, blank=0) for steps in scores]
    known = [tuple(character for character in text if character) for text in texts.tolist()]
    wrong = sum(edit_distance(r, k, max(len(r), len(k))) for r, k in zip(read, known, strict=True))
    right = float(np.mean([r == k for r, k in zip(read, known, strict=True)]))
    return TextAccuracy(name, len(known), right, wrong / max(1, sum(map(len, known))))
