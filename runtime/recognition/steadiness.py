"""Whether a target keeps still."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import corner_error

__all__ = ["Steadiness"]


class Steadiness:
    """Watches the corners of one target: it is steady while those of the last frames lie close together.

    Args:
        most: largest mean distance of the corners from where they were in each of the frames before, in sizes of the
            target (its mean diagonal). The default lies between what networks tremble on a still target and what one
            moves that blurs (docs/recognition.md).
        frames: how many frames are looked at, 2 or more; there must have been as many.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(self, most: float = 0.02, frames: int = 5) -> None:
        if not most > 0 or frames < 2:
            raise UsageError(f"most is {most}, frames {frames}: must be above 0, and 2 or more")
        self._most = most
        self._seen: deque[npt.NDArray[np.float64]] = deque(maxlen=frames)

    def is_steady(self, corners: npt.NDArray[np.float64]) -> bool:
        """Takes the corners of the next frame, float64 [4, 2], and says whether the target is steady."""
        self._seen.append(corners)
        if len(self._seen) < (self._seen.maxlen or 0):
            return False
        return bool((corner_error(np.stack(self._seen), corners) <= self._most).all())

    def reset(self) -> None:
        """Forgets the target."""
        self._seen.clear()
