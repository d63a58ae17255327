"""Measures of a score that tells frames with a target from empty ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.arrays import Array

#: Operating points: thresholds at which at most, or at least, this share of frames is accepted.
EMPTY_ACCEPTED, TARGETS_ACCEPTED = 0.02, 0.95
_BINS = 10


@dataclass(frozen=True)
class Presence:
    """A score at its operating points. A frame is accepted if its score is above the threshold.

    Attributes:
        empty: number of frames without a target.
        threshold: the lowest one at which at most 2 % of the empty frames are accepted.
        targets_accepted: share of the targets that are accepted there.
        empty_accepted: share of the empty frames accepted at the highest threshold that accepts 95 % of the targets.
        calibration_error: how far the score is from a probability: in ten bins of equal width, the difference of mean
            score and share of targets, averaged over the frames (expected calibration error; Guo et al. 2017,
            arXiv 1706.04599). It is of *these* frames: with another share of empty ones it is another.
    """

    empty: int
    threshold: float
    targets_accepted: float
    empty_accepted: float
    calibration_error: float


def presence(score: Array, has_target: Array) -> Presence | None:
    """Measures scores [N] in 0 to 1 against ``has_target`` bool [N]; None without both kinds of frames."""
    score, has_target = np.ravel(np.asarray(score, np.float64)), np.ravel(np.asarray(has_target, bool))
    targets, empty = score[has_target], score[~has_target]
    if not len(targets) or not len(empty):
        return None
    # As many empty frames as the share allows may lie above the threshold; the one after them is the threshold.
    allowed = int(EMPTY_ACCEPTED * len(empty) + 1e-9)
    threshold = float(np.sort(empty)[::-1][allowed])
    needed = int(np.ceil(TARGETS_ACCEPTED * len(targets) - 1e-9))
    lowest_accepted = float(np.sort(targets)[::-1][needed - 1])
    return Presence(
        empty=len(empty),
        threshold=threshold,
        targets_accepted=float((targets > threshold).mean()),
        empty_accepted=float((empty >= lowest_accepted).mean()),
        calibration_error=_calibration_error(score, has_target),
    )


def _calibration_error(score: Array, has_target: Array) -> float:
    bins = np.clip((score * _BINS).astype(int), 0, _BINS - 1)
    gap = np.bincount(bins, weights=score - has_target, minlength=_BINS)
    return float(np.abs(gap).sum() / len(score))
