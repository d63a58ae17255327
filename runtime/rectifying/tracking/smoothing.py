"""Corners smoothed over time, for targets in a video.

The 1€ filter (Casiez, Roussel, Vogel: 1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems, CHI 2012): a first-order low pass whose cutoff rises with speed, so that a target at rest does not tremble and
one that moves is not left behind.
"""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.checks import check_positive, check_real
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import corner_error, is_valid_quadrilateral, mean_diagonal


@dataclass(frozen=True, eq=False)
class _Past:
    """The state that the filter keeps of the frame before."""

    raw: FloatArray  # [4, 2], frame pixels
    smooth: FloatArray  # [4, 2], frame pixels
    velocity: FloatArray  # [4, 2], pixels per second, itself smoothed
    timestamp: float


class CornerSmoother:
    """Smooths the corners of one target from frame to frame.

    Speeds count in sizes of the target (its mean diagonal) per second, so that large and small frames behave alike. All
    four corners share one cutoff, from their root mean square speed: what moves as a whole lags as a whole and keeps
    its shape, as it would not with a cutoff for each coordinate.

    It starts afresh, giving the corners as they are, where the target is another one: it jumped, or was not seen for a
    while. After a frame without a target call `reset`.

    Args:
        min_cutoff: cutoff at rest, Hz; lower trembles less and follows slow movements later.
        beta: what the cutoff rises by with speed, Hz for each size per second; higher follows sooner. At a steady
            speed, however high, the target is left behind by less than 1 / (2π·beta) of its size.
        d_cutoff: cutoff of the speed, Hz.
        jump: mean distance of the corners from where they were last, in sizes of the target, that is a jump.
        max_gap_s: time without a frame that is a gap, seconds.

    Raises:
        UsageError: if an argument is out of range.

    Example:
        >>> smoother = CornerSmoother()
        >>> corners = np.array([[10, 10], [90, 12], [88, 70], [12, 68]], np.float64)
        >>> smoother.smooth(corners, timestamp=0.0) is corners
        True
    """

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 15.0,
        d_cutoff: float = 1.0,
        *,
        jump: float = 0.2,
        max_gap_s: float = 0.5,
    ) -> None:
        for name, value in (
            ("min_cutoff", min_cutoff),
            ("d_cutoff", d_cutoff),
            ("jump", jump),
            ("max_gap_s", max_gap_s),
        ):
            check_positive(name, value, infinite=True)
        check_real("beta", beta, "a number from 0", least=0, most=sys.float_info.max)
        self._min_cutoff, self._beta, self._d_cutoff = min_cutoff, beta, d_cutoff
        self._jump, self._max_gap_s = jump, max_gap_s
        self._past: _Past | None = None

    @property
    def min_cutoff(self) -> float:
        """The cutoff at rest, Hz."""
        return self._min_cutoff

    def reset(self) -> None:
        """Forgets the target: the next corners are given as they are."""
        self._past = None

    def for_another(self) -> CornerSmoother:
        """A smoother of the same settings for another target, which has seen none yet."""
        other = copy.copy(self)
        other.reset()
        return other

    def smooth(self, corners: FloatArray, timestamp: float) -> FloatArray:
        """Takes the corners of the next frame and gives the smoothed ones.

        Args:
            corners: float64 [4, 2], pixels, a quadrilateral that `is_valid_quadrilateral` passes.
            timestamp: of the frame, seconds from any beginning; steps may differ. Where time stands still or goes
                back (somebody set the clock) it starts afresh.

        Returns:
            float64 [4, 2]: a valid quadrilateral, at most ``jump`` away from ``corners``. These themselves where it
            starts afresh.

        Raises:
            DataError: if the corners are no valid quadrilateral.
        """
        if not is_valid_quadrilateral(corners):
            raise DataError(
                f"corners {np.asarray(corners).tolist()} are no quadrilateral: reset() after a miss instead"
            )
        past = self._past
        follows = (
            past is not None
            and 0 < timestamp - past.timestamp <= self._max_gap_s
            and corner_error(corners, past.smooth) <= self._jump
        )
        following = self._following(past, corners, timestamp) if past is not None and follows else None
        self._past = following or _Past(corners, corners, np.zeros((4, 2)), timestamp)
        return self._past.smooth

    def _following(self, past: _Past, corners: FloatArray, timestamp: float) -> _Past | None:
        """The next state; None if its corners would be no quadrilateral."""
        seconds = timestamp - past.timestamp
        velocity = (corners - past.raw) / seconds
        velocity = past.velocity + _weight(self._d_cutoff, seconds) * (velocity - past.velocity)
        speed = float(np.sqrt((velocity**2).sum(axis=1).mean())) / float(mean_diagonal(past.smooth))
        weight = _weight(self._min_cutoff + self._beta * speed, seconds)
        smooth = past.smooth + weight * (corners - past.smooth)
        return _Past(corners, smooth, velocity, timestamp) if is_valid_quadrilateral(smooth) else None


def _weight(cutoff_hz: float, seconds: float) -> float:
    """Weight of the newest value in a first-order low pass, 0 to 1: α of the paper's equation 3."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * seconds))
