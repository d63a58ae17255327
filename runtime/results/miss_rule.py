"""The rule that tells targets from misses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from stn_rectify.runtime.checks import check_choice, check_real

#: The score above which something counts as found where neither the user nor the model says.
FOUND_SCORE = 0.5


class Scored(Protocol):
    """What has a score: a `Rectification`, a `Location`."""

    @property
    def score(self) -> float:
        """Tells how sure the model is that a target is there, 0 to 1."""


@dataclass(frozen=True)
class MissRule:
    """The rule by which a frame shows no target, and what becomes of it then.

    Attributes:
        min_score: lowest score of a target, 0 to 1. None: that of the model, where its file names one
            (`with_default`); else only a score of 0 is a miss, as frames without a usable pose have it.
        on_miss: ``"pass"``: the frame is passed on, below a ``min_score`` given here unrectified
            (`Rectifier.unrectified`), else as `Rectifier.rectify` gave it. ``"skip"``: nothing is passed on.

    Raises:
        UsageError: if a value is out of range.
    """

    min_score: float | None = None
    on_miss: Literal["pass", "skip"] = "pass"

    def __post_init__(self) -> None:
        if self.min_score is not None:
            score = check_real("min_score", self.min_score, "a number from 0 to 1, or None", least=0, most=1)
            object.__setattr__(self, "min_score", score)
        check_choice("on_miss", self.on_miss, ("pass", "skip"))

    def with_default(self, min_score: float | None) -> MissRule:
        """The same rule, with this lowest score where it names none of its own.

        Args:
            min_score: 0 to 1, as `Metadata.min_score` of a model's file; None where the file names none.
        """
        return self if self.min_score is not None or min_score is None else replace(self, min_score=min_score)

    def is_miss(self, result: Scored) -> bool:
        """Tells whether there is nothing to rectify."""
        return result.score == 0 or (self.min_score is not None and result.score < self.min_score)

    def is_found(self, result: Scored) -> bool:
        """Tells whether a target counts as found: no miss, and without a ``min_score`` a score above 0.5."""
        return not self.is_miss(result) and (self.min_score is not None or result.score > FOUND_SCORE)
