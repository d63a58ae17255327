"""Where in a sequence recognizer's output the steps, the classes and the blank are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import DataError

__all__ = ["BLANK", "SequenceLayout", "sequence_sides"]

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
        steps: how many.
        classes: how many, the blank among them.
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
            DataError: it fits neither side.
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

    def rows(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The output as float64 [T, K]."""
        shape = (self.classes, self.steps) if self.classes_first else (self.steps, self.classes)
        rows = scores.reshape(shape)
        return rows.T if self.classes_first else rows
