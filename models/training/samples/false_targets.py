"""What a trained refine network takes for a target where there is none: the hard examples of its next training.

After some passes a pose lies along the edges of a window, a mug or a picture, just as one lies along those of a target,
and there the network is surest. Around the poses that a scan gives it never sees such crops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.evaluation.known_frames import network_input
from stn_rectify.models.network.poses import pose_predictor
from stn_rectify.models.progress import Progress
from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.refine_crops import homography_of
from stn_rectify.runtime.arrays import Array, FloatArray, Image
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    is_valid_quadrilateral,
    pixels_to_normalised,
    theta_to_homography,
    transform_points,
)
from stn_rectify.runtime.rectifying.pixels.crops import COARSE_SUPERSAMPLING, crop_homography, target_crop
from stn_rectify.runtime.rectifying.refining.refinement import compose
from stn_rectify.runtime.rectifying.searching.candidates import overlap

#: So many of a frame are kept, each after so many passes.
_MOST, _PASSES = 4, 3
#: A candidate whose overlap with every target is less is none of them.
_APART = 0.15
#: What the network itself thinks less likely than this teaches little.
_LEAST_SCORE = 0.1
_LEAST_LOOK = 1e-5  # of the frame's area of 4
_CHUNK = 256


def false_targets(network: keras.Model, pool: ScenePool, margin: float) -> npt.NDArray[np.float32]:
    """Follows the candidates that lie apart from all targets.

    Args:
        network: a trained refine network.
        pool: scenes with ``candidates``.
        margin: of the crops that the network sees.

    Returns:
        float32 [N, 4, 4, 2], normalised: where the network has moved them to, the surest first; NaN where there are
        less.
    """
    assert pool.candidates is not None
    found = np.full((len(pool), _MOST, 4, 2), np.nan, np.float32)
    to_normalised = pixels_to_normalised(pool.frames.shape[2], pool.frames.shape[1])
    predict, shape = pose_predictor(network), network.input_shape[1:]
    with Progress("following false targets", len(pool), unit="frame") as progress:
        for first in range(0, len(pool), _CHUNK):
            numbers = range(first, min(first + _CHUNK, len(pool)))
            frames = {number: np.asarray(pool.frames[number]) for number in numbers}
            targets = {
                number: [transform_points(to_normalised, one) for one in _known(pool.corners[number])]
                for number in numbers
            }
            looks = [
                _Look(number, homography_of(corners), 1.0)
                for number in numbers
                for corners in _known(pool.candidates[number])
                if _is_apart(corners, targets[number])
            ]
            for _ in range(_PASSES):
                looks = _after_a_pass(predict, shape, frames, looks, margin)
            counts = dict.fromkeys(numbers, 0)
            for look in sorted(looks, key=lambda look: -look.score):
                corners = transform_points(look.pose, UNIT_CORNERS)
                if (
                    look.score >= _LEAST_SCORE
                    and counts[look.number] < _MOST
                    and _is_apart(corners, targets[look.number])
                ):
                    found[look.number, counts[look.number]] = corners
                    counts[look.number] += 1
            progress.advance(len(numbers))
    return found


@dataclass(frozen=True, eq=False)
class _Look:
    """Frame, pose [3, 3] (target → frame, normalised) and the network's score of it."""

    number: int
    pose: FloatArray
    score: float


def _after_a_pass(
    predict: Callable[[Any], Any],
    shape: tuple[int, int, int],
    frames: Mapping[int, Image],
    looks: list[_Look],
    margin: float,
) -> list[_Look]:
    """The poses that are left, each where the network has moved it to."""
    if not looks:
        return []
    size = (shape[1], shape[0])
    crops = [
        target_crop(frames[look.number], look.pose, size=size, margin=margin, supersampling=COARSE_SUPERSAMPLING)
        for look in looks
    ]
    theta, score = predict(np.stack([network_input(crop, shape) for crop in crops]))
    scores = np.ones(len(looks)) if score is None else np.ravel(score).astype(np.float64)
    moved = [
        _Look(look.number, compose(look.pose, theta_to_homography(one), margin), float(new))
        for look, one, new in zip(looks, theta, scores, strict=True)
    ]
    return [look for look in moved if _is_seen(look.pose, margin)]


def _known(corners: Array) -> list[FloatArray]:
    """Those of the corners [K, 4, 2] that are finite."""
    return [one for one in corners.astype(np.float64) if np.isfinite(one).all()]


def _is_apart(corners: FloatArray, targets: list[FloatArray]) -> bool:
    return all(overlap(corners, target) < _APART for target in targets)


def _is_seen(pose: FloatArray, margin: float) -> bool:
    """Tells whether a pose has a crop, and is a quadrilateral."""
    return all(
        is_valid_quadrilateral(transform_points(one, UNIT_CORNERS), _LEAST_LOOK)
        for one in (pose, crop_homography(pose, margin))
    )
