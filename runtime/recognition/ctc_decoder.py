"""Reads a text off a sequence recognizer's output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.ctc_decoding import best_path, best_texts, text_probability
from stn_rectify.runtime.recognition.recognition import Recognition

__all__ = ["CtcDecoder"]


class CtcDecoder:
    """Turns the steps of a CTC network into a text.

    The score of a text is its probability, over all alignments that give it, however it was found; so those of
    all texts there could be add up to 1.

    Args:
        labels: of the classes, each usually one character; that of the blank is left out of texts.
        blank: number of the blank.
        beam_width: 1 for greedy decoding, the text of the most probable alignment; more for the most probable text that
            a beam search of this width finds.

    Raises:
        UsageError: an argument is out of range.

    Example:
        >>> steps = np.array([[0.6, 0.4], [0.6, 0.4]])  # "a", blank
        >>> CtcDecoder(("a", ""), blank=1, beam_width=2)(steps).top(2)
        (('a', 0.84), ('', 0.16))
    """

    def __init__(self, labels: Sequence[str], blank: int, beam_width: int = 1) -> None:
        if beam_width < 1:
            raise UsageError(f"beam_width is {beam_width}: must be 1 (greedy) or more")
        if not 0 <= blank < len(labels):
            raise UsageError(f"the blank is class {blank} of {len(labels)}: must be one of them")
        self._labels, self._blank, self._beam_width = tuple(labels), blank, beam_width

    def __call__(self, steps: npt.NDArray[np.float64]) -> Recognition:
        """What is written there.

        Args:
            steps: float64 [T, K], how probable each class is in each step.
        """
        if self._beam_width == 1:
            texts = [best_path(steps, self._blank)]
        else:
            texts = best_texts(steps, self._blank, self._beam_width)
        found = [(self._written(text), min(1.0, text_probability(steps, self._blank, text))) for text in texts]
        found.sort(key=lambda entry: -entry[1])  # the beam has lost some of the alignments
        return Recognition(*found[0], alternatives=tuple(found))

    def _written(self, text: tuple[int, ...]) -> str:
        return "".join(self._labels[number] for number in text)
