"""Frames without a target: which they are, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.location import Location
from stn_rectify.runtime.rectification import Rectification

__all__ = ["MissRule"]

_FOUND_SCORE = 0.5  # what counts as found where nobody said


@dataclass(frozen=True)
class MissRule:
    """When a frame shows no target, and what becomes of it.

    Attributes:
        min_score: lowest score of a target, 0 to 1. None: only a score of 0 is a miss, as frames without a usable pose
            have it; passed on, the result stays what `Rectifier.rectify` gave.
        on_miss: ``"pass"``: the frame is passed on unrectified (`Rectifier.unrectified`). ``"skip"``: nothing is passed
            on.

    Raises:
        UsageError: a value is out of range.
    """

    min_score: float | None = None
    on_miss: Literal["pass", "skip"] = "pass"

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:  # NaN is refused as well
            raise UsageError(f"min_score is {self.min_score}: must be 0 to 1")
        if self.on_miss not in ("pass", "skip"):
            raise UsageError(f"on_miss is {self.on_miss!r}: choose 'pass' or 'skip'")

    def is_miss(self, result: Rectification | Location) -> bool:
        """Whether there is nothing to rectify."""
        return result.score == 0 or (self.min_score is not None and result.score < self.min_score)

    def is_found(self, result: Rectification) -> bool:
        """Whether a target counts as found: no miss, and without a ``min_score`` a score above 0.5."""
        return not self.is_miss(result) and (self.min_score is not None or result.score > _FOUND_SCORE)
