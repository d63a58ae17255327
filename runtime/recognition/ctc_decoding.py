"""From the class scores of each step to a text: the decodings of connectionist temporal classification (CTC).

A network gives T steps of K classes, one of which, the blank, says "no new character here". An alignment is a class for
each step; its text is what remains when repeated classes are merged and blanks left out. How probable a text is, is the
sum over all its alignments (Graves, Fernández, Gomez, Schmidhuber: Connectionist Temporal Classification, ICML 2006).
Texts are tuples of class numbers here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["best_path", "best_texts", "text_probability"]

Array = npt.NDArray[np.float64]
Text = tuple[int, ...]


def best_path(steps: npt.NDArray[Any], blank: int) -> Text:
    """The text of the most probable alignment: greedy decoding.

    Args:
        steps: [T, K], how probable each class is in each step, or scores that rise with it.
        blank: number of the blank.
    """
    classes = steps.argmax(axis=1)
    begins = np.append(True, classes[1:] != classes[:-1])
    return tuple(classes[begins & (classes != blank)].tolist())


def best_texts(steps: Array, blank: int, width: int) -> list[Text]:
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


def text_probability(steps: Array, blank: int, text: Text) -> float:
    """How probable a text is, over all its alignments: the forward algorithm (Graves et al. 2006, section 4.1).

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
