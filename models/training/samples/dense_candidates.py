"""Where a trained dense network sees targets in the scenes of a pool, and its refine network will look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stn_rectify.models.network.dense_answers import DensePredictor
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.progress import Progress
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.refine_crops import homography_of
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import pixels_to_normalised, transform_points

_CHUNK = 32
#: So many candidates of a frame are kept, from this score on: what the runtime looks at, and more.
_MOST, _LEAST_SCORE = 8, 0.08


def dense_candidates(file: Path, pool: ScenePool | FramePool) -> npt.NDArray[np.float32]:
    """The candidates of each frame, best first.

    Args:
        file: the .keras file of the dense network.
        pool: the frames.

    Returns:
        float32 [N, 8, 4, 2], normalised; NaN where there are less.

    Raises:
        DataError: if the file cannot be read, or holds no dense network.
    """
    try:
        predictor = DensePredictor(load_model(file))
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    found = np.full((len(pool), _MOST, 4, 2), np.nan, np.float32)
    to_normalised = pixels_to_normalised(pool.frames.shape[2], pool.frames.shape[1])
    with Progress("looking for targets", len(pool), unit="frame") as progress:
        for first in range(0, len(pool), _CHUNK):
            frames = [np.asarray(frame) for frame in pool.frames[first : first + _CHUNK]]
            for number, seen in enumerate(predictor.candidates(frames, min_score=_LEAST_SCORE, limit=_MOST)):
                for place, candidate in enumerate(seen):
                    found[first + number, place] = transform_points(to_normalised, candidate.corners)
            progress.advance(len(frames))
    return found


def best_poses(candidates: npt.NDArray[np.float32]) -> FloatArray:
    """The pose [N, 3, 3], target → normalised, of each frame's best candidate; of the whole frame where there is none.

    Args:
        candidates: as `dense_candidates` gives them.
    """
    best = candidates[:, 0].astype(np.float64)
    return np.stack([homography_of(corners) if np.isfinite(corners).all() else np.eye(3) for corners in best])
