"""What may be a target: quadrilaterals with scores, read off a dense network's outputs, and thinned.

A dense network gives a score and four corners at every cell of a coarse grid, and many cells see the same target. Here
the best of neighbouring cells are taken, and of those that lie in the same place the best one stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.model.metadata import DenseSpec

#: Quadrilaterals with more of their area in common than this, as a share of the area of both, are one target.
SAME_OVERLAP = 0.4

#: With this share of the smaller one's area inside the larger one they lie in the same place, whatever they share.
SAME_CONTAINED = 0.75

#: Two that lie in the same place are two targets nevertheless, such as a label on a page, if the area of the smaller
#: one is at most this share of the larger one's, and if both have this score.
NESTED_AREA, NESTED_SCORE = 0.3, 0.5

#: Neighbouring cells agree if their corners are so far apart at most, on average, as a share of the target's mean
#: diagonal.
_AGREEMENT = 0.12
_SHRUNK = 0.999  # of one of two quadrilaterals whose edges may coincide, about its middle
_FLAT = 1e-3  # triangle of a corner, as a share of the largest of the same quadrilateral: a straight line
_SIGN = 128  # what int8 levels and the same as uint8, in the same order, are apart
_NEIGHBOURS = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
_ITSELF = 4  # among its neighbours
_WINDOW = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A place where a target may be.

    Attributes:
        corners: float64 [4, 2], frame pixels: top-left, top-right, bottom-right, bottom-left of the upright target; a
            quadrilateral that `is_valid_quadrilateral` passes.
        score: 0 to 1, how sure the network is.
    """

    corners: FloatArray
    score: float


def decode(
    outputs: Sequence[Mapping[str, npt.NDArray[np.int8]]],
    spec: DenseSpec,
    *,
    frame_size: tuple[int, int],
    min_score: float,
) -> list[Candidate]:
    """Reads the candidates off the outputs of all levels.

    Of cells that touch each other the one with the highest score is taken; where its neighbours mean the same target,
    the corners are the mean of theirs and its own, weighted by the scores.

    Args:
        outputs: of each level ``"score"``, int8 [1, rows, columns, 1], and ``"corners"``, int8 [1, rows, columns, 8].
        spec: what the file says of both.
        frame_size: width and height of the frame, pixels, of which each level shows the whole.
        min_score: cells with a lower score are left out.

    Returns:
        The candidates that are valid quadrilaterals, in no order.
    """
    least = math.ceil(min_score / spec.score.scale - 1e-9) + spec.score.zero_point + _SIGN
    found = [cells for level in outputs if (cells := _best_cells(level, max(least, 1), spec.stride)) is not None]
    if not found:
        return []
    # Of all levels at once: most of the time is that of NumPy's calls. Axes: cell, it and its neighbours, corner, xy.
    weights, units, middles, level_sizes = map(np.concatenate, zip(*found, strict=True))
    weights = np.maximum((weights.astype(np.float64) - (_SIGN + spec.score.zero_point)) * spec.score.scale, 0.0)
    scores = np.minimum(weights[:, _ITSELF], 1.0).tolist()
    points = ((units.astype(np.float64) - spec.corners.zero_point) * (spec.corners.scale * spec.unit)).reshape(
        -1, 9, 4, 2
    )
    points += middles[:, :, None]
    own = points[:, _ITSELF, None]
    sizes = _lengths(own[:, :, :2] - own[:, :, 2:])
    weights *= _lengths(points - own) <= _AGREEMENT * sizes
    weights[:, _ITSELF] = np.maximum(weights[:, _ITSELF], 1e-9)  # never all zero
    weights /= weights.sum(axis=1, keepdims=True)
    mean = np.einsum("nk,nkcx->ncx", weights, points)
    in_frame = (mean + 0.5) * (np.array(frame_size, np.float64) / level_sizes)[:, None] - 0.5
    return [
        Candidate(corners, score)
        for corners, score, is_flat in zip(in_frame, scores, _have_flat_corner(in_frame), strict=True)
        if not is_flat and is_valid_quadrilateral(corners)
    ]


def _best_cells(
    level: Mapping[str, npt.NDArray[np.int8]], least: int, stride: int
) -> tuple[Array, Array, Array, Array] | None:
    """The cells of a level that no neighbour surpasses, and their neighbours; None if all are below the least level.

    Returns:
        Scores as levels uint8 [N, 9], 0 beyond the grid; corners as levels int8 [N, 9, 8]; the pixels that the cells
        look at, float64 [N, 9, 2]; width and height of the level, [N, 2].
    """
    _, rows, columns, _ = level["score"].shape
    # The levels as unsigned numbers, in the same order: dilation knows no signed ones.
    grid: npt.NDArray[np.uint8] = np.bitwise_xor(level["score"].view(np.uint8).reshape(rows, columns), np.uint8(_SIGN))
    if int(grid.max()) < least:
        return None
    bordered = np.asarray(cv2.copyMakeBorder(grid, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,)), np.uint8)
    highest = np.asarray(cv2.dilate(bordered, _WINDOW))[1:-1, 1:-1]
    row, column = np.nonzero((grid == highest) & (grid >= least))
    dy, dx = _NEIGHBOURS[:, 0], _NEIGHBOURS[:, 1]
    row, column = row[:, None] + dy, column[:, None] + dx
    scores = bordered[row + 1, column + 1]
    # Beyond the grid it is the corners of some other cell, which a score of 0 keeps out.
    corners = level["corners"].reshape(-1, 8).take(row * columns + column, axis=0, mode="clip")
    middles = np.stack([column, row], axis=-1) * float(stride) + (stride - 1) / 2
    return scores, corners, middles, np.broadcast_to((columns * stride, rows * stride), (len(row), 2))


def _have_flat_corner(corners: FloatArray) -> list[bool]:
    """Tells which quadrilaterals [N, 4, 2] are hardly more than triangles: no homography can be made of them."""
    edges = np.roll(corners, -1, axis=1) - corners
    before = np.roll(edges, 1, axis=1)
    turns = before[..., 0] * edges[..., 1] - before[..., 1] * edges[..., 0]  # twice the triangle of each corner
    flat: list[bool] = (turns.min(axis=1) <= _FLAT * turns.max(axis=1)).tolist()
    return flat


def _lengths(vectors: FloatArray) -> FloatArray:
    """The mean length of vectors [N, K, M, 2]: [N, K]."""
    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]).mean(axis=-1))


def thinned(candidates: Sequence[Candidate], limit: int | None = None) -> list[int]:
    """The numbers of the candidates that stay where several lie in the same place.

    Non-maximum suppression by overlap of quadrilaterals: best first, each drops those of lower score that it overlaps
    by more than `SAME_OVERLAP`, or that lie in it, or it in them, to `SAME_CONTAINED`; unless they are nested targets,
    see `NESTED_AREA`.

    Args:
        candidates: in any order.
        limit: how many may stay at most; None for all.

    Returns:
        Numbers of candidates, best first; of equal scores the earlier one first.
    """
    if len(candidates) < 2:  # the usual frame shows one target
        return list(range(len(candidates)))[:limit]
    order = sorted(range(len(candidates)), key=lambda number: -candidates[number].score)
    shapes = _Shapes(candidates)
    kept: list[int] = []
    for number in order:
        if limit is not None and len(kept) >= limit:
            break
        if not any(shapes.are_one(number, other) for other in kept):
            kept.append(number)
    return kept


def shrunk(corners: FloatArray) -> npt.NDArray[np.float32]:
    """Quadrilaterals [..., 4, 2] a thousandth smaller, float32: the second argument of `shared_area`."""
    middles = corners.mean(axis=-2, keepdims=True)
    return np.asarray(middles + (corners - middles) * _SHRUNK, np.float32)


def shared_area(a: npt.NDArray[np.float32], inner: npt.NDArray[np.float32]) -> float:
    """The area that two convex quadrilaterals which turn alike have in common, to a thousandth or two.

    `cv2.intersectConvexConvex` finds none at all where edges coincide; with one of both shrunk they do not.

    Args:
        a: float32 [4, 2].
        inner: what `shrunk` gave of the other one.
    """
    return float(cv2.intersectConvexConvex(a, inner)[0]) / _SHRUNK**2


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two convex quadrilaterals [4, 2] that turn alike, to a thousandth or two, 0 to 1."""
    if (a.max(axis=0) < b.min(axis=0)).any() or (b.max(axis=0) < a.min(axis=0)).any():
        return 0.0
    origin = a[0]  # OpenCV computes in float32, which is finest around 0
    first, second = (a - origin).astype(np.float32), (b - origin).astype(np.float32)
    areas = float(cv2.contourArea(first)), float(cv2.contourArea(second))
    shared = min(shared_area(first, shrunk(b - origin)), *areas)
    union = sum(areas) - shared
    return shared / union if union > 0 else 0.0


class _Shapes:
    """Overlaps of candidates: what they need, made of all at once, and only where two may overlap.

    Args:
        candidates: at least one.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        corners = np.stack([candidate.corners for candidate in candidates])
        self._scores = [candidate.score for candidate in candidates]
        self._points = corners.astype(np.float32)
        self._inner = shrunk(corners)
        across, down = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
        areas = (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]) / 2
        low, high = corners.min(axis=1), corners.max(axis=1)
        boxes = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        # With the boxes' common area in place of their own, which is never larger: most pairs end here.
        smaller, larger = np.minimum(areas[:, None], areas), np.maximum(areas[:, None], areas)
        most = np.minimum(np.maximum(boxes, 0).prod(axis=-1), smaller)
        may_be = (most > SAME_OVERLAP * (smaller + larger - most)) | (most > SAME_CONTAINED * smaller)
        self._may_be_one: list[list[bool]] = may_be.tolist()
        self._areas: list[float] = areas.tolist()

    def are_one(self, a: int, b: int) -> bool:
        """Tells whether two candidates are of one target."""
        if not self._may_be_one[a][b]:
            return False
        smaller, larger = sorted((self._areas[a], self._areas[b]))
        shared = min(shared_area(self._points[a], self._inner[b]), smaller)
        if shared > SAME_OVERLAP * (smaller + larger - shared):
            return True
        if shared <= SAME_CONTAINED * smaller:
            return False
        return smaller > NESTED_AREA * larger or min(self._scores[a], self._scores[b]) < NESTED_SCORE
