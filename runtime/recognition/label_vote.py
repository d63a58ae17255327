"""One label from several recognitions of the same target."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.recognition import Recognition

__all__ = ["LabelVote"]


class LabelVote:
    """The majority of the last recognitions. For another target call `reset`.

    The label that most of them gave wins; of labels that as many gave, the one with the higher scores in sum, then the
    newer one. Its score is the sum of the scores that it was given over the number of recognitions, so each that said
    otherwise lowers it.

    Args:
        size: how many recognitions vote, 1 or more.

    Raises:
        UsageError: ``size`` is out of range.

    Example:
        >>> vote = LabelVote(3)
        >>> for label, score in (("B", 0.9), ("8", 0.6), ("B", 0.6)):
        ...     found = vote.add(Recognition(label, score))
        >>> found.label, round(found.score, 2)
        ('B', 0.5)
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise UsageError(f"size is {size}: must be 1 or more")
        self._votes: deque[tuple[str, float]] = deque(maxlen=size)

    def add(self, found: Recognition) -> Recognition:
        """Takes a recognition, and gives it back with the label and the score of the vote."""
        self._votes.append((found.label, found.score))
        counts = Counter(label for label, _ in self._votes)
        sums = {label: sum(score for other, score in self._votes if other == label) for label in counts}
        newest_first = dict.fromkeys(label for label, _ in reversed(self._votes))
        label = max(newest_first, key=lambda label: (counts[label], sums[label]))  # the first of equals
        return replace(found, label=label, score=sums[label] / len(self._votes))

    def reset(self) -> None:
        """Forgets all votes."""
        self._votes.clear()
