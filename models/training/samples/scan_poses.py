"""The poses that a trained scan network gives the frames of a pool, and that its refine network will start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stn_rectify.models.evaluation.known_frames import network_input
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.network.poses import pose_predictor
from stn_rectify.models.progress import Progress
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE, theta_to_homography

_CHUNK = 1024


class ScanNetwork:
    """A trained network that sees whole frames, and whose poses are refined.

    Args:
        file: the .keras file.

    Raises:
        DataError: if the file cannot be read, or is no affine or projective Spatial Transformer Network.
    """

    def __init__(self, file: Path) -> None:
        model = load_model(file)
        try:
            self._predict = pose_predictor(model)
            if model.get_layer("theta").output.shape[1] == THETA_SIZE["tps"]:
                raise DataError("its poses are splines, which are not refined")
        except DataError as error:
            raise DataError(f"{file}: {error}") from error
        self._shape = model.input_shape[1:]

    def poses(self, pool: FramePool) -> FloatArray:
        """The pose of each frame, [N, 3, 3]: target → normalised coordinates."""
        poses = np.empty((len(pool), 3, 3))
        with Progress("looking for targets", len(pool), unit="frame") as progress:
            for first in range(0, len(pool), _CHUNK):
                frames = pool.frames[first : first + _CHUNK]
                theta, _ = self._predict(np.stack([network_input(np.asarray(frame), self._shape) for frame in frames]))
                poses[first : first + len(frames)] = [theta_to_homography(one) for one in theta]
                progress.advance(len(frames))
        return poses
