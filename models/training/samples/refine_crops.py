"""Training samples for a refine network: crops around targets whose pose is only roughly known."""

from __future__ import annotations

import math

import cv2
import numpy as np

from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.samples.frame_batches import Draw
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import (
    UNIT_CORNERS,
    is_valid_quadrilateral,
    transform_points,
)
from stn_rectify.runtime.rectifying.pixels.crops import crop_homography, target_crop

#: Standard deviation of the pose's errors, as a share of the target's side: small ones for the last pass, large ones
#: for the first. Without the large ones a bad first pass grows worse.
_SIGMA = (0.01, 0.28)
#: The same around the poses of a scan network, which have errors of their own.
_SCAN_SIGMA = (0.005, 0.08)
#: How often a crop shows a place where there is no target, beside those of empty frames.
_AWAY_SHARE = 0.2
#: How often, where they are known, a crop is at the pose that the scan network gives the frame.
_SCAN_SHARE = 0.4
_LEAST_LOOK = 1e-3  # of the frame's area of 4: a smaller pose is not refined
_ATTEMPTS = 20
# A crop further off than this shows too little of the target; its corners, in crop coordinates.
_FURTHEST = 1.7
_LEAST_AREA = 0.2  # of the crop's 4: of a target in it


def crop_drawer(margin: float, *, turns: bool = True) -> Draw:
    """Draws crops of stored frames as a refine network sees them.

    A target is seen from a pose that is off by 1 to 28 % of its side; of an empty frame, the place where another
    frame's target is. With the pool's ``scan_poses``, a part of the crops are where the scan network looked: near the
    target, or at what it took for one.

    Args:
        margin: margin around the target; see `stn_rectify.runtime.rectifying.pixels.crops.crop_homography`.
        turns: whether targets are also turned by quarters and mirrored.
    """

    def draw(rng: np.random.Generator, pool: FramePool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
        corners = pool.corners[k].astype(np.float64)
        symmetry = square_symmetry(rng) if turns else np.eye(3)
        if pool.scan_poses is not None and rng.random() < _SCAN_SHARE:
            looked_at = pool.scan_poses[k] @ perturbation(rng, _SCAN_SIGMA)
            if is_valid_quadrilateral(transform_points(looked_at, UNIT_CORNERS), _LEAST_LOOK):
                crop_pose = looked_at @ symmetry
                crop_corners = None if np.isnan(corners).any() else corners_in_crop(crop_pose, margin, corners)
                if crop_corners is None or _is_apart(crop_corners):
                    crop_corners = np.full((4, 2), np.nan)
                if np.isnan(crop_corners).all() or is_usable(crop_corners):
                    return target_crop(pool.frames[k], crop_pose, size=size, margin=margin), crop_corners
        if np.isnan(corners).any() or rng.random() < _AWAY_SHARE:
            elsewhere = _place_without_target(rng, pool, corners)
            if elsewhere is not None:
                return target_crop(pool.frames[k], elsewhere, size=size, margin=margin), np.full((4, 2), np.nan)
        pose = homography_of(corners)
        for _ in range(_ATTEMPTS):
            crop_pose = pose @ symmetry @ perturbation(rng)
            crop_corners = corners_in_crop(crop_pose, margin, corners)
            if is_usable(crop_corners):
                break
        else:
            crop_pose, crop_corners = pose, UNIT_CORNERS / (1 + 2 * margin)
        return target_crop(pool.frames[k], crop_pose, size=size, margin=margin), crop_corners

    return draw


def perturbation(rng: np.random.Generator, sigmas: tuple[float, float] = _SIGMA) -> FloatArray:
    """A homography [3, 3] near the identity: the error of a pose, in the target's own coordinates.

    Args:
        rng: decides the errors.
        sigmas: least and largest standard deviation, as a share of the target's side.
    """
    sigma = 2 * math.exp(rng.uniform(*np.log(sigmas)))  # a side is 2 long
    for _ in range(_ATTEMPTS):
        angle = rng.normal(0, 0.4 * sigma)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        scale = np.exp(rng.normal(0, 0.5 * sigma) + rng.normal(0, 0.4 * sigma, 2))
        corners = (UNIT_CORNERS * scale) @ turn.T + rng.normal(0, 0.6 * sigma, 2) + rng.normal(0, 0.5 * sigma, (4, 2))
        if is_valid_quadrilateral(corners, _LEAST_AREA):
            return homography_of(corners)
    return np.eye(3)


def corners_in_crop(crop_pose: FloatArray, margin: float, corners: FloatArray) -> FloatArray:
    """Brings corners [4, 2] of a frame into the crop of a pose, from the one nearest to the crop's top left on."""
    # Not NumPy's LAPACK, whose threads wait for each other on a busy machine.
    _, to_crop = cv2.invert(crop_homography(crop_pose, margin))
    return _from_top_left(transform_points(to_crop, corners))


def is_usable(crop_corners: FloatArray) -> bool:
    """Tells whether enough of the target is in the crop to tell where it lies."""
    return is_valid_quadrilateral(crop_corners, _LEAST_AREA) and bool(np.abs(crop_corners).max() < _FURTHEST)


def _is_apart(crop_corners: FloatArray) -> bool:
    """Tells whether nothing of the target is in the crop."""
    return bool(((crop_corners.min(axis=0) > 1) | (crop_corners.max(axis=0) < -1)).any())


def homography_of(corners: FloatArray) -> FloatArray:
    """Gives the homography [3, 3], target → normalised coordinates, of corners [4, 2]."""
    return np.asarray(cv2.getPerspectiveTransform(UNIT_CORNERS.astype(np.float32), corners.astype(np.float32)))


def square_symmetry(rng: np.random.Generator) -> FloatArray:
    """One of the eight symmetries of the square: a quarter turn, mirrored or not."""
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][int(rng.integers(4))]
    quarter = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0, 0, 1]])
    return np.asarray(quarter @ np.diag([rng.choice([-1.0, 1.0]), 1.0, 1.0]))


def _from_top_left(corners: FloatArray) -> FloatArray:
    """The same corners in clockwise order, beginning with the one nearest to the crop's top left."""
    edges = corners[1:3] - corners[:2]
    if edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0] < 0:
        corners = corners[::-1]
    first = int((corners @ UNIT_CORNERS[0]).argmax())
    return corners[[(first + k) % 4 for k in range(4)]]


def _place_without_target(rng: np.random.Generator, pool: FramePool, corners: FloatArray) -> FloatArray | None:
    """The pose of another frame's target, if nothing of this frame's target lies near."""
    for _ in range(_ATTEMPTS):
        other = pool.corners[int(rng.integers(len(pool)))].astype(np.float64)
        if not np.isfinite(other).all():
            continue
        if np.isfinite(corners).all():
            apart = (other.min(axis=0) > corners.max(axis=0)) | (other.max(axis=0) < corners.min(axis=0))
            if not apart.any():
                continue
        return homography_of(other) @ perturbation(rng)
    return None
