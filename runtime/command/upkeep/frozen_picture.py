"""A camera that goes on giving frames, always the same one: its driver or its server hangs, and nothing fails."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from stn_rectify.runtime.arrays import Array

_LOOK_S = 1.0  # between two looks
_STRIDE = 8  # every so many pixels are compared: sensors tremble everywhere


class FrozenPicture:
    """Notices that a picture has not changed at all, not even by its noise.

    Args:
        after_s: for how long, seconds; 0 never notices.
        report: called with a line when it does, and when the picture changes again.
        clock: gives seconds.

    Attributes:
        since_s: for how long the picture has been the same, seconds; 0 as long as that is not worth a word.
    """

    def __init__(
        self, after_s: float, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._after_s, self._report, self._clock = after_s, report, clock
        self._seen: Array | None = None
        self._seen_at = self._looked_at = -float("inf")
        self.since_s = 0.0

    def look(self, image: Array) -> None:
        """Looks at a frame, if the last look was a second ago.

        Args:
            image: uint8 [H, W, 3] or [H, W], as the source gave it.
        """
        now = self._clock()
        if not self._after_s or now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        pixels = image[::_STRIDE, ::_STRIDE]
        if self._seen is None or not np.array_equal(pixels, self._seen):
            if self.since_s:
                self._report(f"the picture changes again, after {now - self._seen_at:.0f} s")
            self._seen, self._seen_at, self.since_s = pixels.copy(), now, 0.0
        elif now - self._seen_at >= self._after_s:
            if not self.since_s:
                self._report(f"the picture has not changed for {self._after_s:g} s: does the camera hang?")
            self.since_s = now - self._seen_at
