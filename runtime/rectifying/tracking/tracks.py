"""Tracks: targets that keep their number from frame to frame."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.checks import check_positive, check_real
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import mean_diagonal
from stn_rectify.runtime.rectifying.searching.candidates import overlap

_LONGEST_PREDICTION_S = 0.25  # what moved on for longer has most likely turned
_NEWEST_SHARE = 0.5  # of the last step in a velocity
_MOST_GROWTH = 2.0  # of a target from one frame to the next where its places do not overlap


@dataclass(frozen=True, eq=False)
class _Track:
    corners: FloatArray  # [4, 2], frame pixels, where it was last seen
    velocity: FloatArray  # [2], of its centre, pixels per second
    timestamp: float  # of that frame
    steps: int  # from frame to frame that the velocity is made of

    def at(self, timestamp: float) -> FloatArray:
        """Where it would be if it moved on as it did."""
        return self.corners + self.velocity * min(timestamp - self.timestamp, _LONGEST_PREDICTION_S)


class TargetTracker:
    """Gives targets numbers that they keep from frame to frame.

    A target is the one of an earlier frame whose place, moved on as it did, it overlaps most; where none overlaps,
    that whose centre is near, as of one that is small and fast. The pairs that fit best are taken first. Numbers
    start at 1 and never come back.

    Args:
        min_overlap: intersection over union of the two places, from which on they overlap, 0 to 1.
        reach: distance of the centres up to which a target is near, in sizes of the target (its mean diagonal).
        max_gap_s: time that a target may go unseen and keep its number, seconds.

    Raises:
        UsageError: if an argument is out of range.

    Example:
        >>> tracker = TargetTracker()
        >>> corners = np.array([[10, 10], [90, 10], [90, 70], [10, 70]], np.float64)
        >>> tracker.update([corners, corners + 200], timestamp=0.0)
        [1, 2]
        >>> tracker.update([corners + 205, corners + 400], timestamp=0.04)
        [2, 3]
    """

    def __init__(self, *, min_overlap: float = 0.1, reach: float = 0.5, max_gap_s: float = 1.0) -> None:
        if check_positive("min_overlap", min_overlap) > 1:
            raise UsageError(f"min_overlap is {min_overlap}: must be above 0, up to 1")
        reach = check_real("reach", reach, "a number from 0", least=0, most=sys.float_info.max)
        max_gap_s = check_positive("max_gap_s", max_gap_s)
        self._min_overlap, self._reach, self._max_gap_s = min_overlap, reach, max_gap_s
        self._tracks: dict[int, _Track] = {}
        self._last_number = 0

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers that may come again, of targets that were seen of late."""
        return frozenset(self._tracks)

    def update(self, corners: Sequence[FloatArray], timestamp: float) -> list[int]:
        """Takes the targets of the next frame.

        Args:
            corners: of each target, float64 [4, 2], frame pixels, as they were found: not smoothed.
            timestamp: of the frame, seconds from any beginning. Where it goes back (somebody set the clock) all targets
                are new.

        Returns:
            The number of each target, in the same order.
        """
        self._forget(timestamp)
        number_of: dict[int, int] = {}
        for _, number, place in sorted(self._pairs(corners, timestamp)):
            if number not in number_of.values() and place not in number_of:
                number_of[place] = number
        numbers = []
        for place, target in enumerate(corners):
            if place in number_of:
                number = number_of[place]
                self._tracks[number] = _moved(self._tracks[number], target, timestamp)
            else:
                number = self._last_number = self._last_number + 1
                self._tracks[number] = _Track(target, np.zeros(2), timestamp, 0)
            numbers.append(number)
        return numbers

    def predicted(self, timestamp: float) -> dict[int, FloatArray]:
        """Where the targets would be that may come again, if each moved on as it did.

        Args:
            timestamp: of the next frame.

        Returns:
            Corners, float64 [4, 2], frame pixels, by the numbers of the targets; those seen of late come first.
        """
        self._forget(timestamp)
        newest_first = sorted(self._tracks.items(), key=lambda one: -one[1].timestamp)
        return {number: track.at(timestamp) for number, track in newest_first}

    def reset(self) -> None:
        """Forgets the targets: those that come are new ones, with numbers of their own."""
        self._tracks.clear()

    def number_after(self, other: TargetTracker) -> None:
        """New targets get numbers that another tracker, whose place this one takes, has not given."""
        self._last_number = max(self._last_number, other._last_number)

    def _forget(self, timestamp: float) -> None:
        for number, track in list(self._tracks.items()):
            if not 0 <= timestamp - track.timestamp <= self._max_gap_s:
                del self._tracks[number]

    def _pairs(self, corners: Sequence[FloatArray], timestamp: float) -> list[tuple[float, int, int]]:
        """Gives the track and the target of each pair that may go together, the fit in front, negative: best first."""
        pairs = []
        for number, track in self._tracks.items():
            expected = track.at(timestamp)
            for place, target in enumerate(corners):
                fit = self._fit(expected, target)
                if fit > 0:
                    pairs.append((-fit, number, place))
        return pairs

    def _fit(self, expected: FloatArray, target: FloatArray) -> float:
        """1 to 2 where they overlap, the more the higher; up to 1 where they are near; 0 elsewhere."""
        shared = overlap(expected, target)
        if shared >= self._min_overlap:
            return 1 + shared
        size, other = float(mean_diagonal(expected)), float(mean_diagonal(target))
        distance = float(np.linalg.norm(expected.mean(axis=0) - target.mean(axis=0)))
        near = self._reach * (size + other) / 2
        is_alike = 1 / _MOST_GROWTH < size / other < _MOST_GROWTH
        return 1 - distance / near if distance < near and is_alike else 0.0


def _moved(track: _Track, corners: FloatArray, timestamp: float) -> _Track:
    """The track with its target in the next frame."""
    seconds = timestamp - track.timestamp
    if seconds <= 0:
        return _Track(corners, track.velocity, timestamp, track.steps)
    velocity = (corners.mean(axis=0) - track.corners.mean(axis=0)) / seconds
    if track.steps:
        velocity = track.velocity + _NEWEST_SHARE * (velocity - track.velocity)
    return _Track(corners, velocity, timestamp, track.steps + 1)
