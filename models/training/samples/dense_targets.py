"""What a dense localization network should say of a scene: which cells see which target."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.network.dense import CORNER_UNIT_PX, SCORES, STRIDE
from stn_rectify.runtime.arrays import FloatArray

#: The longest side of the targets that one level of the pyramid finds, pixels of that level: those between are learned,
#: somewhat smaller or larger ones count neither way, much larger ones are the background that they seem to be.
LEAST_SIDE_PX, LARGEST_SIDE_PX, TOO_LARGE_PX = 11.0, 120.0, 180.0

#: A cell sees a target if its middle lies in the inner part of it, or this near to that, pixels.
_INNER_PART, _NEAR_PX = 0.45, 4.0

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DenseTarget:
    """The right answer of each cell of a scene.

    Attributes:
        present: float32 [h, w, S]: 1 where a cell sees a target, for each of `SCORES`.
        counts: float32 [h, w, S]: 0 where neither answer is wrong, else 1.
        corners: float32 [h, w, 8], as `stn_rectify.models.network.dense.dense_localization` gives them.
        size: float32 [h, w]: of the target that a cell sees, in the unit of the corners; 1 elsewhere.
    """

    present: _Floats
    counts: _Floats
    corners: _Floats
    size: _Floats


def dense_target(corners: FloatArray, plates: npt.NDArray[np.bool_], height: int, width: int) -> DenseTarget:
    """The right answer to a level of the pyramid.

    Args:
        corners: float [N, 4, 2], pixels of the level.
        plates: bool [N], whether a target is a number plate.
        height: of the level, pixels.
        width: of the level, pixels.
    """
    rows, columns = height // STRIDE, width // STRIDE
    middle_y, middle_x = (np.mgrid[:rows, :columns] * STRIDE + (STRIDE - 1) / 2).astype(np.float32)
    present = np.zeros((rows, columns, len(SCORES)), np.float32)
    counts = np.ones_like(present)
    answer = np.zeros((rows, columns, 8), np.float32)
    size = np.ones((rows, columns), np.float32)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    for k in np.argsort(-sides.max(axis=1, initial=0)):  # where targets are nested, the smaller one counts
        longest = float(sides[k].max())
        if longest > TOO_LARGE_PX:
            continue
        whole = np.zeros((rows, columns), np.uint8)
        cv2.fillConvexPoly(whole, np.round((corners[k] - (STRIDE - 1) / 2) / STRIDE).astype(np.int32), (1,))
        counts[whole > 0] = 0
        if not LEAST_SIDE_PX <= longest <= LARGEST_SIDE_PX:
            continue
        sees = _depth(corners[k], middle_x, middle_y) >= -_NEAR_PX
        present[sees] = [1.0, float(plates[k])]
        counts[sees] = 1
        flat = corners[k].reshape(8)
        answer[sees, 0::2] = (flat[0::2] - middle_x[sees, None]) / CORNER_UNIT_PX
        answer[sees, 1::2] = (flat[1::2] - middle_y[sees, None]) / CORNER_UNIT_PX
        shortest = float(min(sides[k][0::2].mean(), sides[k][1::2].mean()))
        size[sees] = max(np.sqrt(longest * shortest), 6.0) / CORNER_UNIT_PX
    return DenseTarget(present, counts, answer, size)


def _depth(corners: FloatArray, x: _Floats, y: _Floats) -> _Floats:
    """How far points lie within the inner part of a convex quadrilateral, pixels; negative outside."""
    middle = corners.mean(axis=0)
    inner = middle + (corners - middle) * _INNER_PART
    edges = np.roll(inner, -1, axis=0) - inner
    lengths = np.maximum(np.linalg.norm(edges, axis=1), 1e-6)
    depths = [
        (edge[0] * (y - corner[1]) - edge[1] * (x - corner[0])) / length
        for corner, edge, length in zip(inner, edges, lengths, strict=True)
    ]
    return np.asarray(np.min(depths, axis=0), np.float32)
