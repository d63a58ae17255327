"""The poses that Keras networks give, scan and refinement passes, composed by the runtime's own functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from stn_rectify.models.evaluation.known_frames import network_input
from stn_rectify.models.network.dense_answers import DensePredictor, is_dense
from stn_rectify.models.network.poses import pose_predictor
from stn_rectify.models.progress import Progress
from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import (
    THETA_SIZE,
    corners_to_homography,
    homography_to_corners,
    homography_to_theta,
    is_valid_quadrilateral,
    theta_to_corners,
    theta_to_homography,
)
from stn_rectify.runtime.rectifying.pixels.crops import REFINE_MARGIN, target_crop
from stn_rectify.runtime.rectifying.refining.refinement import final_score, refine_pose

#: From which on a candidate of a dense network is one.
_LEAST_SCORE = 0.1


@dataclass(frozen=True)
class FoundTargets:
    """The poses and scores that networks gave for some frames.

    Attributes:
        corners: float64 [4, 2] each, frame pixels; the whole frame's where the networks gave no usable pose.
        score: float64 [N]; None if the networks have no score.
    """

    corners: tuple[Array, ...]
    score: Array | None


class KerasRefineNetwork:
    """A refine network in float, for `stn_rectify.runtime.rectifying.refining.refinement.refine_pose`.

    Args:
        model: the Keras model; its θ are the eight numbers of a homography.
        margin: the margin of the crops that it was trained with.

    Raises:
        DataError: if the model is no such network.
    """

    def __init__(self, model: keras.Model, margin: float = REFINE_MARGIN) -> None:
        pose_predictor(model)  # raises
        if model.get_layer("theta").output.shape[1] != THETA_SIZE["projective"]:
            raise DataError("no refine network: its layer theta must give the 8 numbers of a homography")
        self._shape = model.input_shape[1:]
        names = [name for name in ("theta", "score") if any(layer.name == name for layer in model.layers)]
        self._pose = keras.Model(model.input, [model.get_layer(name).output for name in names])
        self._margin = margin

    @property
    def margin(self) -> float:
        """The margin that a crop shows beyond each edge of the target, as a share of the target's side."""
        return self._margin

    def look(self, frame: Image, homography: Array, supersampling: int) -> tuple[Array, float | None]:
        """Finds the target in the crop of a pose [3, 3]: gives [3, 3], target → crop, and the score or None."""
        size = (self._shape[1], self._shape[0])
        crop = target_crop(frame, homography, size=size, margin=self._margin, supersampling=supersampling)
        outputs = self._pose.predict_on_batch(network_input(crop, self._shape)[None])
        theta, *score = outputs if isinstance(outputs, list) else [outputs]
        return theta_to_homography(np.asarray(theta)[0]), float(np.ravel(score[0])[0]) if score else None


def find_targets(
    scan: keras.Model,
    refine: keras.Model | None,
    frames: Sequence[Image],
    *,
    passes: int = 0,
    margin: float = REFINE_MARGIN,
) -> list[FoundTargets]:
    """Looks for targets as a `Rectifier` would if it computed in float.

    Args:
        scan: the network that sees whole frames, or a dense one, of which the surest candidate is taken.
        refine: the network that sees crops; without one every pass leaves the pose as it is.
        frames: BGR uint8 [H, W, 3] each.
        passes: the number of refinement passes, 0 or more.
        margin: the margin of the crops that the refine network was trained with.

    Returns:
        An entry for 0, 1, … ``passes`` refinement passes.

    Raises:
        DataError: if a network is no Spatial Transformer Network.
    """
    theta, score = _first_look(scan, frames)
    scan_score = np.ones(len(frames)) if score is None else np.ravel(score).astype(np.float64)
    is_spline = theta.shape[1] == THETA_SIZE["tps"]
    network = None if refine is None or is_spline else KerasRefineNetwork(refine, margin)
    rows = []
    with Progress("finding targets", len(frames), unit="frame") as progress:
        for number, frame in enumerate(frames):
            rows.append(_by_pass(network, frame, theta[number], float(scan_score[number]), passes))
            progress.advance()
    return [
        FoundTargets(
            tuple(corners for corners, _ in poses), np.array([s for _, s in poses]) if score is not None else None
        )
        for poses in zip(*rows, strict=True)
    ]


def _first_look(scan: keras.Model, frames: Sequence[Image]) -> tuple[Array, Array | None]:
    """θ [N, 6, 8 or 32] and score [N, 1] or None; NaN and 0 where a dense network sees nothing."""
    if not is_dense(scan):
        shape = scan.input_shape[1:]
        theta, score = pose_predictor(scan)(np.stack([network_input(frame, shape) for frame in frames]))
        return theta, score
    predictor = DensePredictor(scan)
    thetas, scores = np.full((len(frames), THETA_SIZE["projective"]), np.nan), np.zeros((len(frames), 1))
    for number, frame in enumerate(frames):
        (seen,) = predictor.candidates([frame], min_score=_LEAST_SCORE, limit=1)
        if seen:
            homography = corners_to_homography(seen[0].corners, frame.shape[1], frame.shape[0])
            thetas[number], scores[number] = homography_to_theta(homography), seen[0].score
    return thetas, scores


def _by_pass(
    network: KerasRefineNetwork | None, frame: Image, theta: Array, scan_score: float, passes: int
) -> list[tuple[Array, float]]:
    """Gives corners and score after 0, 1, … passes over one frame; as `Rectifier.rectify` has them."""
    height, width = frame.shape[:2]
    corners = theta_to_corners(theta, width, height)
    if not is_valid_quadrilateral(corners):
        corners, scan_score, network = homography_to_corners(np.eye(3), width, height), 0.0, None
    poses = [(corners, scan_score)]
    if network is None:
        return poses * (1 + passes)
    homography = theta_to_homography(theta)
    for count in range(1, 1 + passes):  # each from the beginning: only the last of so many sees a fine crop
        pose = refine_pose(network, frame, homography, count)
        poses.append((homography_to_corners(pose.homography, width, height), final_score(scan_score, pose.score)))
    return poses
