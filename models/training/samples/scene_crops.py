"""Training samples for a refine network behind a dense one: crops of scenes around targets, and around what is none."""

from __future__ import annotations

import numpy as np

from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.frame_batches import Draw
from stn_rectify.models.training.samples.refine_crops import (
    corners_in_crop,
    homography_of,
    is_usable,
    perturbation,
    square_symmetry,
)
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    is_valid_quadrilateral,
    pixels_to_normalised,
    transform_points,
)
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.searching.candidates import overlap

#: How often a crop is where the dense network sees a target, if that is known; how often of the others it is where
#: there is none.
_CANDIDATE_SHARE, _AWAY_SHARE = 0.5, 0.12
#: Errors of the poses that the dense network gives, standard deviation as a share of the target's side: beside its own.
_CANDIDATE_SIGMA = (0.002, 0.08)
#: How often a candidate is seen as passes have moved it already.
_LATER_SHARE = 0.6
#: A candidate whose overlap with a target is less is no target; above the second one, it is that target.
_APART, _SAME = 0.15, 0.35
_LEAST_LOOK = 1e-5  # of the frame's area of 4
_ATTEMPTS = 20


def scene_crop_drawer(margin: float, *, turns: bool = True) -> Draw:
    """Draws crops of stored scenes as a refine network sees them.

    Args:
        margin: margin around the target; see `stn_rectify.runtime.rectifying.pixels.crops.crop_homography`.
        turns: whether targets are also turned by quarters and mirrored.
    """

    def draw(rng: np.random.Generator, pool: ScenePool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
        frame = np.asarray(pool.frames[k])
        to_normalised = pixels_to_normalised(frame.shape[1], frame.shape[0])
        corners = pool.corners[k].astype(np.float64)
        targets = [transform_points(to_normalised, one) for one in corners if np.isfinite(one).all()]
        symmetry = square_symmetry(rng) if turns else np.eye(3)
        for _ in range(_ATTEMPTS):
            pose, target = _looked_at(rng, pool, k, targets)
            pose = pose @ symmetry
            if not is_valid_quadrilateral(transform_points(pose, UNIT_CORNERS @ _flip(symmetry)), _LEAST_LOOK):
                continue
            if target is None:
                return target_crop(frame, pose, size=size, margin=margin), np.full((4, 2), np.nan)
            crop_corners = corners_in_crop(pose, margin, target)
            if is_usable(crop_corners):
                return target_crop(frame, pose, size=size, margin=margin), crop_corners
        if not targets:
            return target_crop(frame, np.eye(3), size=size, margin=margin), np.full((4, 2), np.nan)
        pose = homography_of(targets[0])
        return target_crop(frame, pose, size=size, margin=margin), UNIT_CORNERS / (1 + 2 * margin)

    return draw


def _flip(symmetry: FloatArray) -> FloatArray:
    """What undoes a symmetry of the square, so that the outline turns clockwise again."""
    return np.asarray(np.linalg.inv(symmetry)[:2, :2].T)


def _looked_at(
    rng: np.random.Generator, pool: ScenePool, k: int, targets: list[FloatArray]
) -> tuple[FloatArray, FloatArray | None]:
    """A pose [3, 3], target → frame, and the target that is seen there; None if there is none."""
    if pool.candidates is not None and rng.random() < _CANDIDATE_SHARE:
        seen = [one.astype(np.float64) for one in pool.candidates[k] if np.isfinite(one).all()]
        if seen:
            corners = seen[int(rng.integers(len(seen)))]
            overlaps = [overlap(corners, target) for target in targets]
            if max(overlaps, default=0.0) < _APART:
                return homography_of(corners) @ perturbation(rng, _CANDIDATE_SIGMA), None
            if max(overlaps) > _SAME:
                target = targets[int(np.argmax(overlaps))]
                # As after some passes: a part of the way to the target is done.
                left = rng.random() if rng.random() < _LATER_SHARE else 1.0
                return homography_of(target + left**2 * (corners - target)) @ perturbation(
                    rng, _CANDIDATE_SIGMA
                ), target
    if not targets or rng.random() < _AWAY_SHARE:
        elsewhere = homography_of(_place(rng)) @ perturbation(rng)
        outline = transform_points(elsewhere, 1.2 * UNIT_CORNERS)
        if is_valid_quadrilateral(outline, _LEAST_LOOK) and not any(overlap(outline, one) for one in targets):
            return elsewhere, None
    if not targets:
        return homography_of(_place(rng)), None
    target = targets[int(rng.integers(len(targets)))]
    return homography_of(target) @ perturbation(rng), target


def _place(rng: np.random.Generator) -> FloatArray:
    """Normalised corners of a rectangle somewhere in the frame."""
    half = np.exp(rng.uniform(np.log(0.04), np.log(0.8), 2))
    return np.asarray(rng.uniform(-1, 1, 2) * np.maximum(1 - half, 0) + UNIT_CORNERS * half)
