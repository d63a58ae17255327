"""The choice of the results that a sink takes out of many."""

from __future__ import annotations

import time

from stn_rectify.runtime.checks import check_real, check_whole
from stn_rectify.runtime.sources import CapturedFrame


class Pace:
    """Every N-th result, and none before some time has passed since the last one.

    Args:
        every: 1 takes each result, 10 the first, the eleventh and so on.
        interval_s: seconds that lie between two results; in a video file those of the video.
    """

    def __init__(self, every: int = 1, interval_s: float = 0.0) -> None:
        self._every = check_whole("every", every, 1)
        self._interval_s = check_real("interval_s", interval_s, "a number of seconds from 0", least=0)
        self._frame_count = 0
        self._last_s: float | None = None

    def is_due(self, frame: CapturedFrame) -> bool:
        """Tells whether the result for this frame is taken; is called once for each frame."""
        number, self._frame_count = self._frame_count, self._frame_count + 1
        return number % self._every == 0 and self._interval_is_over(frame)

    def _interval_is_over(self, frame: CapturedFrame) -> bool:
        now = seconds_of(frame)
        if self._last_s is not None and 0 <= now - self._last_s < self._interval_s:  # another video begins at 0 again
            return False
        self._last_s = now
        return True


def seconds_of(frame: CapturedFrame) -> float:
    """The time by which sinks keep their pace, seconds from any beginning; in a video file its own."""
    return time.monotonic() if frame.position_s is None else frame.position_s  # Unix time may be set back
