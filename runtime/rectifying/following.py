"""Looks at frames that follow one another: a scan now and then, and the targets followed in between."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.tracks import TargetTracker, overlap
from stn_rectify.runtime.results import Location, MissRule

_SAME = 0.5  # overlap of two targets that are one, found from two places


class TargetFollower:
    """Finds the targets of each frame; every so many frames by a scan, in between by the refine network alone.

    In between it looks where the targets of the frames before would be, had they moved on as they did. Where one that
    the frame before had is not there, it scans at once. New targets are found by scans only.

    Args:
        every: frames from one scan to the next, at most, 1 or more; 1 scans each.
        max_targets: targets to find in a frame, at most.
        tracker: knows where targets would be; the caller tells it of those of each frame.
    """

    def __init__(self, every: int, max_targets: int, tracker: TargetTracker) -> None:
        self._every, self._max_targets, self._tracker = every, max_targets, tracker
        self._since_scan = self._every

    def check(self, rectifier: Rectifier) -> None:
        """Checks that a rectifier can follow targets, if it has to.

        Raises:
            UsageError: if it makes no refinement passes.
        """
        if self._every > 1 and not rectifier.refine:
            raise UsageError(
                f"scan_every (--scan-every) follows targets by refinement passes, and model "
                f"{rectifier.model.metadata.name!r} makes none here: leave it out, or use a model with a refine network"
            )

    def locate(self, rectifier: Rectifier, frame: Image, timestamp: float, rule: MissRule) -> list[Location]:
        """Finds the targets of the next frame.

        Args:
            rectifier: finds them.
            frame: as `Rectifier.locate` takes it.
            timestamp: of the frame, seconds from any beginning.
            rule: tells which are still there.

        Returns:
            Where they are, best first; misses may be among them after a scan. Empty where there is nothing.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
        """
        self._since_scan += 1
        if self._since_scan < self._every:
            followed = self._followed(rectifier, frame, timestamp, rule)
            if followed is not None:
                return followed
        self._since_scan = 0
        return rectifier.locate_all(frame, max_targets=self._max_targets)

    def reset(self) -> None:
        """The next frame is scanned, whatever was before."""
        self._since_scan = self._every

    def _followed(self, rectifier: Rectifier, frame: Image, timestamp: float, rule: MissRule) -> list[Location] | None:
        """The targets of the frames before; None if one that the frame before had is not there any more."""
        predicted = [
            (number, corners)
            for number, corners in self._tracker.predicted(timestamp).items()
            if is_valid_quadrilateral(corners) and _is_inside(corners, frame)
        ][: self._max_targets]
        numbers = {number for number, _ in predicted}
        if not numbers.issuperset(self._tracker.newest):
            return None  # it has left the frame
        if not predicted:
            return []
        boxes = np.stack([corners for _, corners in predicted])
        found = rectifier.locate_all(frame, max_targets=len(boxes), boxes=boxes)
        kept = _apart([location for location in found if not rule.is_miss(location)])
        followed = {predicted[location.box][0] for location in kept if location.box is not None}
        return kept if followed.issuperset(self._tracker.newest) else None


def _is_inside(corners: FloatArray, frame: Image) -> bool:
    """Tells whether the middle of the corners lies in the frame."""
    x, y = corners.mean(axis=0)
    return bool(-0.5 <= x <= frame.shape[1] - 0.5 and -0.5 <= y <= frame.shape[0] - 0.5)


def _apart(locations: list[Location]) -> list[Location]:
    """The locations, best first, without those that are one with a better one."""
    kept: list[Location] = []
    for location in locations:
        if all(overlap(location.corners, other.corners) < _SAME for other in kept):
            kept.append(location)
    return kept
