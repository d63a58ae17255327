"""How well a reader reads plates whose texts are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray


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
    read = [_collapsed(steps) for steps in scores.argmax(axis=2).tolist()]
    known = [[character for character in text if character] for text in texts.tolist()]
    wrong = sum(_edits(r, k) for r, k in zip(read, known, strict=True))
    right = float(np.mean([r == k for r, k in zip(read, known, strict=True)]))
    return TextAccuracy(name, len(known), right, wrong / max(1, sum(map(len, known))))


def _collapsed(steps: list[int]) -> list[int]:
    """The classes of a text from those of its steps: repeated ones once, no blanks."""
    return [step for before, step in zip([0, *steps], steps, strict=False) if step not in (0, before)]


def _edits(read: list[int], known: list[int]) -> int:
    """The least number of edits that makes one text of the other (Levenshtein)."""
    row = list(range(len(known) + 1))
    for place, character in enumerate(read, 1):
        above, row[0] = row[0], place
        for k, wanted in enumerate(known, 1):
            above, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, above + (character != wanted))
    return row[-1]
