"""What may be a target: quadrilaterals with scores, read off a dense network's outputs, and thinned.

A dense network gives a score and four corners at every cell of a coarse grid, and many cells see the same target. Here
the best of neighbouring cells are taken, and of those that lie in the same place the best one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray
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
#: `cv2.intersectConvexConvex` finds no area in common where edges coincide; one quadrilateral is shrunk by this.
_SHRUNK = 0.999
_NEIGHBOURS = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
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
    scores: npt.NDArray[np.int8],
    corners: npt.NDArray[np.int8],
    spec: DenseSpec,
    *,
    frame_size: tuple[int, int],
    min_score: float,
) -> list[Candidate]:
    """Reads the candidates off one level's outputs.

    Of cells that touch each other the one with the highest score is taken; where its neighbours mean the same target,
    the corners are the mean of theirs and its own, weighted by the scores.

    Args:
        scores: int8 [1, rows, columns, 1].
        corners: int8 [1, rows, columns, 8].
        spec: what the file says of both.
        frame_size: width and height of the frame, pixels, of which the level shows the whole.
        min_score: cells with a lower score are left out.

    Returns:
        The candidates that are valid quadrilaterals, in no order.
    """
    # The levels as unsigned numbers, in the same order: dilation knows no signed ones.
    grid: npt.NDArray[np.uint8] = np.bitwise_xor(scores[0, ..., 0].view(np.uint8), np.uint8(128))
    least = np.ceil(min_score / spec.score.scale - 1e-9) + spec.score.zero_point + 128
    highest = np.asarray(cv2.dilate(grid, _WINDOW, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)))
    rows, columns = np.nonzero((grid == highest) & (grid >= max(least, 1)))
    if not len(rows):
        return []
    points, weights = _neighbourhoods(grid, corners[0], rows, columns, spec)
    own = points[:, len(_NEIGHBOURS) // 2, None]
    size = np.linalg.norm(own[..., :2, :] - own[..., 2:, :], axis=-1).mean(axis=-1)
    apart = np.linalg.norm(points - own, axis=-1).mean(axis=-1)
    weights = weights * (apart <= _AGREEMENT * size)
    weights[:, len(_NEIGHBOURS) // 2] = np.maximum(weights[:, len(_NEIGHBOURS) // 2], 1e-9)  # never all zero
    mean = (points * weights[..., None, None]).sum(axis=1) / weights.sum(axis=1)[:, None, None]
    level_size = np.array([scores.shape[2], scores.shape[1]]) * spec.stride
    in_frame = (mean + 0.5) * (np.array(frame_size) / level_size) - 0.5
    values = np.clip((grid[rows, columns] - 128.0 - spec.score.zero_point) * spec.score.scale, 0.0, 1.0)
    return [
        Candidate(quadrilateral, float(value))
        for quadrilateral, value in zip(in_frame, values, strict=True)
        if is_valid_quadrilateral(quadrilateral)
    ]


def _neighbourhoods(
    grid: npt.NDArray[np.uint8],
    corners: npt.NDArray[np.int8],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    spec: DenseSpec,
) -> tuple[FloatArray, FloatArray]:
    """Corners [N, 9, 4, 2], pixels of the level, and scores [N, 9] of cells and those around them.

    Beyond the grid the score is 0.
    """
    r = rows[:, None] + _NEIGHBOURS[:, 0]
    c = columns[:, None] + _NEIGHBOURS[:, 1]
    inside = (r >= 0) & (r < grid.shape[0]) & (c >= 0) & (c < grid.shape[1])
    r, c = np.where(inside, r, 0), np.where(inside, c, 0)
    units = (corners[r, c].astype(np.float64) - spec.corners.zero_point) * spec.corners.scale
    middles = np.stack([c, r], axis=-1) * float(spec.stride) + (spec.stride - 1) / 2
    points = units.reshape(*r.shape, 4, 2) * spec.unit + middles[..., None, :]
    weights = np.maximum((grid[r, c] - 128.0 - spec.score.zero_point) * spec.score.scale, 0.0) * inside
    return points, weights


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
    order = sorted(range(len(candidates)), key=lambda number: -candidates[number].score)
    shapes = [_Shape.of(candidate) for candidate in candidates]
    kept: list[int] = []
    for number in order:
        if limit is not None and len(kept) >= limit:
            break
        if not any(_is_same(shapes[number], shapes[other]) for other in kept):
            kept.append(number)
    return kept


@dataclass(frozen=True, eq=False)
class _Shape:
    """What overlap needs of a candidate, made once.

    Attributes:
        points: float32 [4, 2].
        inner: the same, shrunk.
        box: left, top, right and bottom.
        area: square pixels.
        score: of the candidate.
    """

    points: npt.NDArray[np.float32]
    inner: npt.NDArray[np.float32]
    box: tuple[float, float, float, float]
    area: float
    score: float

    @classmethod
    def of(cls, candidate: Candidate) -> _Shape:
        c = candidate.corners
        middle = c.mean(axis=0)
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = c.tolist()
        area = ((x2 - x0) * (y3 - y1) - (x3 - x1) * (y2 - y0)) / 2
        box = (min(x0, x1, x2, x3), min(y0, y1, y2, y3), max(x0, x1, x2, x3), max(y0, y1, y2, y3))
        inner = (middle + (c - middle) * _SHRUNK).astype(np.float32)
        return cls(c.astype(np.float32), inner, box, area, candidate.score)


def _is_same(a: _Shape, b: _Shape) -> bool:
    """Tells whether two candidates are of one target."""
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    smaller, larger = min(a.area, b.area), max(a.area, b.area)
    if min(width, height) <= 0:
        return False
    # With the boxes' overlap in place of their own, which is never larger: most pairs end here.
    most = min(width * height, smaller)
    if most <= SAME_OVERLAP * (smaller + larger - most) and most <= SAME_CONTAINED * smaller:
        return False
    shared = min(float(cv2.intersectConvexConvex(a.points, b.inner)[0]), smaller)
    if shared > SAME_OVERLAP * (smaller + larger - shared):
        return True
    if shared <= SAME_CONTAINED * smaller:
        return False
    return smaller > NESTED_AREA * larger or min(a.score, b.score) < NESTED_SCORE
