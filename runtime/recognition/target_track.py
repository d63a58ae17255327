"""Whether the target of a frame is the one of the frame before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import corner_error

__all__ = ["TargetTrack"]


class TargetTrack:
    """Follows a target from frame to frame by its corners; after a frame without one call `reset`.

    Args:
        jump: mean distance of the corners from where they were in the frame before, in sizes of the target (its mean
            diagonal), from which on it is another target. As of `CornerSmoother`: at 10 frames/s a target that crosses
            twice its own size in a second is still followed, and targets that lie side by side are told apart.
        max_gap_s: time without a frame after which it is another target, seconds.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(self, jump: float = 0.2, max_gap_s: float = 2.0) -> None:
        if not (jump > 0 and max_gap_s > 0):
            raise UsageError(f"jump is {jump}, max_gap_s {max_gap_s}: both must be above 0")
        self._jump, self._max_gap_s = jump, max_gap_s
        self._last: tuple[npt.NDArray[np.float64], float] | None = None

    def follows(self, corners: npt.NDArray[np.float64], timestamp: float) -> bool:
        """Takes the target of the next frame, and says whether it is the same as before.

        Args:
            corners: float64 [4, 2], frame pixels.
            timestamp: of the frame, seconds from any beginning.
        """
        last, self._last = self._last, (corners, timestamp)
        if last is None or not 0 <= timestamp - last[1] <= self._max_gap_s:
            return False
        return float(corner_error(corners, last[0])) <= self._jump

    def reset(self) -> None:
        """Forgets the target: the next one is another."""
        self._last = None
