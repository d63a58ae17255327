"""Which frames are recognized."""

from __future__ import annotations

from typing import Literal, get_args

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.picture_change import PictureChange
from stn_rectify.runtime.recognition.steadiness import Steadiness
from stn_rectify.runtime.rectification import Rectification

__all__ = ["RecognitionSchedule", "When"]

When = Literal["always", "steady", "changed"]


class RecognitionSchedule:
    """Says of each frame of one target whether it is to be recognized.

    Args:
        every: frames from one recognition of a target to the next, at least; 1 to leave none out.
        when: ``"always"``; ``"steady"``: only while the target keeps still; ``"changed"``: once, and again when the
            picture is another one.
        steadiness: what keeping still is.
        change: what another picture is.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(
        self,
        every: int = 1,
        when: When = "always",
        *,
        steadiness: Steadiness | None = None,
        change: PictureChange | None = None,
    ) -> None:
        if every < 1:
            raise UsageError(f"every is {every}: must be 1 or more")
        if when not in get_args(When):
            raise UsageError(f"when is {when!r}: choose {', '.join(map(repr, get_args(When)))}")
        self._every, self._when = every, when
        self._steadiness, self._change = steadiness or Steadiness(), change or PictureChange()
        self._waited = every

    def is_due(self, result: Rectification) -> bool:
        """Takes the next frame of the target; where the answer is yes, it is taken to be recognized then."""
        self._waited += 1
        is_steady = self._when != "steady" or self._steadiness.is_steady(result.corners)
        if self._waited < self._every or not is_steady:
            return False
        if self._when == "changed":
            if not self._change.has_changed(result.image):
                return False
            self._change.remember(result.image)
        self._waited = 0
        return True

    def reset(self) -> None:
        """The next frame shows another target."""
        self._waited = self._every
        self._steadiness.reset()
        self._change.reset()
