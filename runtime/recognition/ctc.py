"""From the class scores of each step to a text: the decodings of connectionist temporal classification (CTC).

A network gives T steps of K classes, one of which, the blank, says "no new character here". An alignment is a class for
each step; its text is what remains when repeated classes are merged and blanks left out. How probable a text is, is the
sum over all its alignments (Graves, Fernández, Gomez, Schmidhuber: Connectionist Temporal Classification, ICML 2006).
Texts are tuples of class numbers here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.recognition import Recognition

Text = tuple[int, ...]


def best_path(steps: Array, blank: int) -> Text:
    """The text of the most probable alignment: greedy decoding.

    Args:
        steps: [T, K], how probable each class is in each step, or scores that rise with it.
        blank: number of the blank.
    """
    classes = steps.argmax(axis=1)
    begins = np.append(True, classes[1:] != classes[:-1])
    return tuple(classes[begins & (classes != blank)].tolist())


def best_texts(steps: FloatArray, blank: int, width: int) -> list[Text]:
    """The most probable texts, best first, at most ``width``: prefix beam search.

    After each step the ``width`` most probable beginnings of texts are kept, each with the probability of all its
    alignments that end in a blank and of all that do not (Hannun: Sequence Modeling with CTC, Distill 2017).

    Args:
        steps: float64 [T, K], how probable each class is in each step.
        blank: number of the blank.
        width: beginnings that are kept, 1 or more.
    """
    classes = steps.shape[1]
    texts: list[Text] = [()]
    ends_blank, ends_character = np.ones(1), np.zeros(1)
    for step in steps:
        last = np.array([text[-1] if text else blank for text in texts])
        rows = np.arange(len(texts))
        both = ends_blank + ends_character
        longer = both[:, None] * step
        longer[rows, last] = ends_blank * step[last]  # only a blank between them makes two of the same character
        longer[:, blank] = 0
        same_blank, same_character = both * step[blank], ends_character * step[last]
        places = {text: row for row, text in enumerate(texts)}
        for row, text in enumerate(texts):
            parent = places.get(text[:-1]) if text else None
            if parent is not None:  # a kept beginning that another one grows into
                same_character[row] += longer[parent, text[-1]]
                longer[parent, text[-1]] = 0
        scores = np.concatenate([same_blank + same_character, longer.ravel()])
        kept = np.argsort(-scores, kind="stable")[:width]
        kept = kept[scores[kept] > 0]
        if not len(kept):  # a step of zeros says nothing
            continue
        grown = kept - len(texts)
        is_longer = grown >= 0
        place = np.where(is_longer, grown // classes, kept)
        largest = scores[kept[0]]  # by which all are divided: only their order matters, and they would underflow
        ends_character = np.where(is_longer, scores[kept], same_character[place]) / largest
        ends_blank = np.where(is_longer, 0.0, same_blank[place]) / largest
        texts = [
            (*texts[row], int(new % classes)) if longer_one else texts[row]
            for row, new, longer_one in zip(place.tolist(), grown.tolist(), is_longer.tolist(), strict=True)
        ]
    return texts


def text_probability(steps: FloatArray, blank: int, text: Text) -> float:
    """Gives the probability of a text over its alignments by the forward algorithm (Graves et al. 2006, section 4.1).

    Args:
        steps: float64 [T, K], how probable each class is in each step.
        blank: number of the blank.
        text: class numbers without blanks.
    """
    states = np.full(2 * len(text) + 1, blank)  # a blank before, between and after the characters
    states[1::2] = text
    may_skip = np.zeros(len(states), bool)  # the blank between two different characters
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    forward, log_scale = np.zeros(len(states)), 0.0
    forward[0] = 1.0  # before the first step, as if after a blank
    for number, step in enumerate(steps):
        moved = forward.copy()
        moved[1:] += forward[:-1]
        if number:
            moved[2:] += np.where(may_skip[2:], forward[:-2], 0.0)
        forward = moved * step[states]
        largest = forward.max()
        if largest == 0:
            return 0.0
        forward /= largest
        log_scale += np.log(largest)
    return float(np.exp(log_scale) * forward[-2:].sum())


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
        UsageError: if an argument is out of range.

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

    def __call__(self, steps: FloatArray) -> Recognition:
        """Reads the text off the steps.

        Args:
            steps: float64 [T, K], how probable each class is in each step.
        """
        if self._beam_width == 1:
            texts = [best_path(steps, self._blank)]
        else:
            texts = best_texts(steps, self._blank, self._beam_width)
        readings = [(self._written(text), min(1.0, text_probability(steps, self._blank, text))) for text in texts]
        readings.sort(key=lambda entry: -entry[1])  # the beam has lost some of the alignments
        return Recognition(*readings[0], alternatives=tuple(readings))

    def _written(self, text: tuple[int, ...]) -> str:
        return "".join(self._labels[number] for number in text)
