"""What was found is turned by quarters: poses, corners, locations, and the votes of a target's frames."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.geometry import corner_error, homography_to_theta, theta_to_homography
from stn_rectify.runtime.results import Location

#: Quarters of a whole turn.
QUARTERS = 4

# One quarter clockwise: from coordinates of the upright target to those of the target as it was seen, [-1, 1].
_QUARTER = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
#: What the votes of earlier frames still count, one frame later.
_FADING = 0.9
#: Frames without a look between two looks that agree, at most.
_LONGEST_PAUSE = 15
#: Distance of the corners of two outlines, their middles on each other, up to which they may be one target's in
#: frames that follow one another, in sizes of the target (its mean diagonal).
_MOST_CHANGE = 0.08


def turned_homography(homography: FloatArray, quarters: int) -> FloatArray:
    """The pose of a target that is turned.

    Args:
        homography: [3, 3], target → frame, normalised.
        quarters: by how many the rectified image is turned clockwise.

    Returns:
        float64 [3, 3], exact: entries only change their places and signs.
    """
    return np.asarray(homography @ np.linalg.matrix_power(_QUARTER, quarters % QUARTERS))


def turned_corners(corners: FloatArray, quarters: int) -> FloatArray:
    """The corners [4, 2] of a target whose rectified image is turned clockwise by so many quarters."""
    return np.roll(corners, quarters, axis=0)


def turn_of(corners: FloatArray) -> int:
    """By how many quarters clockwise the part of the frame that a target fills must be turned to be upright, 0 to 3.

    Args:
        corners: [4, 2], pixels, in the order of the upright target.
    """
    x, y = corners[1] - corners[0] + corners[2] - corners[3]
    return -round(math.atan2(y, x) / (math.pi / 2)) % QUARTERS


def turned_location(location: Location, quarters: int) -> Location:
    """A location whose rectified image is turned further.

    Args:
        location: without an image of the graph's own, of no thin-plate spline. Without a usable pose it stays as it is.
        quarters: clockwise, any whole number.
    """
    if quarters % QUARTERS == 0 or location.theta is None:
        return location
    theta = homography_to_theta(turned_homography(theta_to_homography(location.theta), quarters))
    return replace(location, corners=turned_corners(location.corners, quarters), theta=theta)


def quarters_between(corners: FloatArray, others: FloatArray) -> int:
    """By how many quarters clockwise a target must be turned for its corners to be in the order of other ones.

    Args:
        corners: [4, 2], pixels.
        others: [4, 2], pixels, of the same target a frame earlier, say.

    Returns:
        0 to 3: after it, each corner lies nearest to that of its name, by the sum of squared distances between the
        outlines with their middles on each other.
    """
    ours, theirs = _centred(corners), _centred(others)
    return int(np.argmin([((turned_corners(ours, k) - theirs) ** 2).sum() for k in range(QUARTERS)]))


def _centred(corners: FloatArray) -> FloatArray:
    """The outline with its middle at (0, 0)."""
    return np.asarray(corners - corners.mean(axis=0))


class TurnVote:
    """The votes of one target's frames on which side is up: a single doubtful frame turns nothing.

    A target is followed by its corners: where these jump by a quarter from one frame to the next, as those of a target
    that stands on its corner do, the order stays that of the frame before. A look takes as long as a further target,
    so frames vote less and less often as long as they agree. Make one for each track, and another one where the track
    goes on with a target that is not `like` it, as after a cut.
    """

    def __init__(self) -> None:
        self._corners: FloatArray | None = None
        self._votes = np.zeros(QUARTERS)  # by the quarters that would make the order of the frame before upright
        self._pause = self._frames_left = 0
        self._score: float | None = None

    @property
    def wants_look(self) -> bool:
        """Tells whether the next frame should vote."""
        return self._frames_left == 0

    def like(self, location: Location) -> bool:
        """Tells whether a location's outline is like that of the frame before, wherever in the frame it lies."""
        if self._corners is None or location.theta is None:
            return True
        turned = turned_corners(location.corners, quarters_between(location.corners, self._corners))
        return float(corner_error(_centred(turned), _centred(self._corners))) <= _MOST_CHANGE

    def update(self, location: Location) -> Location:
        """Takes a frame's vote.

        Args:
            location: of this target, as `Rectifier.locate` gives it, or without a look, ``turn_score`` None, if
                `wants_look` says so; without a usable pose it is given back as it is.

        Returns:
            The location in the order of most votes, and ``turn`` with it. Its ``turn_score`` is the share of the votes
            that agree. As long as no frame was sure, ``turn`` stays None, and the score that of the last look.
        """
        if location.theta is None:
            return location
        ahead = 0 if self._corners is None else quarters_between(location.corners, self._corners)
        if location.turn is not None:
            self._votes = self._votes * _FADING
            self._votes[-ahead % QUARTERS] += location.turn_score or 0.0
        if location.turn_score is None:
            self._frames_left = max(0, self._frames_left - 1)
        else:
            agrees = location.turn is None or int(self._votes.argmax()) == -ahead % QUARTERS
            self._frames_left = self._pause = min(4 * self._pause + 3, _LONGEST_PAUSE) if agrees else 0
            self._score = location.turn_score
        best, total = int(self._votes.argmax()), float(self._votes.sum())
        voted = turned_location(location, ahead + best)
        self._corners, self._votes = voted.corners, np.roll(self._votes, -best)
        if not total:
            return replace(voted, turn_score=self._score)
        return replace(voted, turn=turn_of(voted.corners), turn_score=float(self._votes[0]) / total)
