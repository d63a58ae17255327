"""Looks at frames that follow one another: a scan now and then, and the targets followed in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.searching.candidates import overlap
from stn_rectify.runtime.rectifying.tracking.tracks import TargetTracker
from stn_rectify.runtime.results import Location, MissRule

_SAME = 0.5  # overlap of two targets that are one, found from two places


class TargetFollower:
    """Finds the targets of each frame; every so many frames by a scan, in between by the refine network alone.

    In between it looks where the targets of the frame before would be, had they moved on as they did. Where one of them
    is not there, it scans at once. New targets, and those that a scan did not find, are found by scans only.

    A scan's score is that of both networks together, and the refine network alone is surer. So that scores stay what
    they were, those in between are scaled down: the first one after a scan is at most the scan's.

    Args:
        every: frames from one scan to the next, at most, 1 or more; 1 scans each.
        max_targets: targets to find in a frame, at most.
        tracker: knows where targets would be; the caller tells it of those of each frame.
    """

    def __init__(self, every: int, max_targets: int, tracker: TargetTracker) -> None:
        self._every, self._max_targets, self._tracker = every, max_targets, tracker
        self._since_scan = every
        self._last: Sequence[Location] = ()
        self._scales: dict[int | None, float] = {}

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
        """Finds the targets of the next frame; the caller then says with `remember` which of them there are.

        Args:
            rectifier: finds them.
            frame: as `Rectifier.locate` takes it.
            timestamp: of the frame, seconds from any beginning.
            rule: tells which are still there.

        Returns:
            Where they are, best first, not turned; misses may be among them after a scan. Empty where there is nothing.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
        """
        self._since_scan += 1
        if self._since_scan < self._every:
            followed = self._followed(rectifier, frame, timestamp, rule)
            if followed is not None:
                return followed
        self._since_scan = 0
        self._scales.clear()
        return rectifier.locate_all(frame, max_targets=self._max_targets, **unturned(rectifier))

    def remember(self, targets: Sequence[Location]) -> None:
        """Takes the targets of the frame, with the numbers of their tracks: those to be followed."""
        self._last = targets

    def reset(self) -> None:
        """The next frame is scanned, whatever was before."""
        self._since_scan, self._last = self._every, ()

    def _followed(self, rectifier: Rectifier, frame: Image, timestamp: float, rule: MissRule) -> list[Location] | None:
        """The targets of the frame before; None if one of them is not there any more."""
        if not self._last:
            return []
        predicted = self._tracker.predicted(timestamp)
        places = [predicted[target.track] for target in self._last if target.track in predicted]
        if len(places) < len(self._last) or not all(_is_usable(corners, frame) for corners in places):
            return None  # it was too long ago, or one has left the frame
        found = rectifier.locate_all(frame, max_targets=len(places), boxes=np.stack(places), **unturned(rectifier))
        scaled = [self._scaled(location, self._last[location.box]) for location in found if location.box is not None]
        there = _apart([location for location in scaled if not rule.is_miss(location)])
        return there if len(there) == len(places) else None

    def _scaled(self, location: Location, last: Location) -> Location:
        """The location with a score as a scan would have given it."""
        if last.track not in self._scales:
            self._scales[last.track] = min(1.0, last.score / location.score) if location.score else 0.0
        return replace(location, score=self._scales[last.track] * location.score, box=None)


def unturned(rectifier: Rectifier) -> dict[str, bool]:
    """The option of `Rectifier.locate` by which the votes of a track say when its turn network is asked.

    Empty if it has none, and for a class of somebody's own that finds targets in another way.
    """
    own = (type(rectifier).locate, type(rectifier).locate_all) != (Rectifier.locate, Rectifier.locate_all)
    return {"turned": False} if rectifier.turns and not own else {}


def _is_usable(corners: FloatArray, frame: Image) -> bool:
    """Tells whether corners have a middle in the frame, and an inside."""
    x, y = corners.mean(axis=0)
    is_inside = bool(-0.5 <= x <= frame.shape[1] - 0.5 and -0.5 <= y <= frame.shape[0] - 0.5)
    return is_inside and is_valid_quadrilateral(corners)


def _apart(locations: list[Location]) -> list[Location]:
    """The locations, best first, without those that are one with a better one."""
    kept: list[Location] = []
    for location in sorted(locations, key=lambda one: -one.score):
        if all(overlap(location.corners, other.corners) < _SAME for other in kept):
            kept.append(location)
    return kept
