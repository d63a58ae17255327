"""Refinement passes: a second network looks at the target as rectified so far and says how far off that is.

Each pass samples the target and a margin around it from the full-resolution frame (`target_crop`), asks the network
where in this crop the target lies, and composes its answer with the pose: ``H · diag(1 + 2m, 1 + 2m, 1) · H(θ)``. The
scan network sees the whole frame in some 64 × 64 pixels; a pass sees the target alone in as many. Only the last pass,
which decides how close the corners come, gets a supersampled crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import (
    homography_to_corners,
    is_valid_quadrilateral,
    mean_diagonal,
    theta_to_homography,
)
from stn_rectify.runtime.model.interpreter import Interpreter
from stn_rectify.runtime.model.metadata import RefineSpec
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE
from stn_rectify.runtime.rectifying.pixels.crops import (
    COARSE_SUPERSAMPLING,
    FINE_SUPERSAMPLING,
    crop_homography,
    target_crop,
)
from stn_rectify.runtime.rectifying.pixels.preprocess import OPENCV_CHANNELS, Preprocessor, by_channels
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid

#: Passes beyond those that a model file asks for, at most; each follows one that has still moved a corner by more than
#: this share of the target's mean diagonal.
FURTHER_PASSES, _RESTLESS = 3, 0.015


@dataclass(frozen=True, eq=False)
class RefinedPose:
    """A pose after refinement.

    Attributes:
        homography: float64 [3, 3], target → frame, normalised; ``[2, 2] = 1`` after a pass.
        score: of the last pass that ran: how sure the refine network is of a target there. None if no pass ran, or the
            network has no score.
        passes: how many passes moved the pose.
    """

    homography: FloatArray
    score: float | None
    passes: int


class CropReader(Protocol):
    """Finds the target in the crop of a pose: a `RefineNetwork`, or another that computes in float."""

    @property
    def margin(self) -> float:
        """The margin that a crop shows beyond each edge of the target, as a share of the target's side."""

    def look(self, frame: Image, homography: FloatArray, supersampling: int) -> tuple[FloatArray, float | None]:
        """Finds where in the crop of a pose the target lies.

        Args:
            frame: one that `check_frame` has passed.
            homography: [3, 3], target → frame, normalised.
            supersampling: of the crop, see `target_crop`.

        Returns:
            float64 [3, 3], target → crop, normalised; and the score, 0 to 1, None if there is none.
        """


class RefineNetwork:
    """The second network of a model file, in the interpreter that holds the file.

    Args:
        spec: what the file says of it.
        interpreter: holds the file.
        pyramid: one that holds every frame that is looked at, if it has no more than four channels.

    Raises:
        ModelFileError: if the interpreter cannot run it.
    """

    def __init__(self, spec: RefineSpec, interpreter: Interpreter, pyramid: FramePyramid | None = None) -> None:
        self._spec = spec
        self._interpreter = interpreter
        self._pyramid = pyramid
        self._preprocessor = Preprocessor(spec.input)
        interpreter.prepare_signature(REFINE_SIGNATURE, spec.input)

    @property
    def margin(self) -> float:
        """See `CropReader.margin`."""
        return self._spec.margin

    def look(self, frame: Image, homography: FloatArray, supersampling: int) -> tuple[FloatArray, float | None]:
        """See `CropReader.look`."""
        spec = self._spec
        crop = self._preprocessor.network_input(self._crop(frame, homography, supersampling, self._pyramid))
        outputs = self._interpreter.run_signature(REFINE_SIGNATURE, crop)
        score = None if spec.score is None else spec.score.value(int(outputs["score"][0, 0]))
        return theta_to_homography(spec.theta.value(outputs["theta"][0])), score

    def _crop(self, frame: Image, homography: FloatArray, supersampling: int, pyramid: FramePyramid | None) -> Image:
        if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
            return by_channels(frame, lambda part: self._crop(part, homography, supersampling, None))
        size = (self._spec.input.width, self._spec.input.height)
        return target_crop(
            frame, homography, size=size, margin=self._spec.margin, supersampling=supersampling, pyramid=pyramid
        )


def refine_pose(
    network: CropReader, frame: Image, homography: FloatArray, passes: int, *, further: int = 0, is_last: bool = True
) -> RefinedPose:
    """Improves a pose.

    It stops before the last pass where a pose has no crop, its margin reaching behind the camera, or where a pass gives
    corners that are no quadrilateral (`is_valid_quadrilateral`); the pose before it is kept.

    Args:
        network: looks at the crops.
        frame: one that `check_frame` has passed.
        homography: [3, 3], target → frame, normalised: a usable pose.
        passes: how many at most.
        further: how many more at most, as long as the one before has moved a corner by more than a little.
        is_last: whether no pass will follow these: then the last one gets a supersampled crop.
    """
    height, width = frame.shape[:2]
    corners = homography_to_corners(homography, width, height)
    score: float | None = None
    for number in range(passes + further if passes else 0):
        outline = homography_to_corners(crop_homography(homography, network.margin), width, height)
        if not is_valid_quadrilateral(outline):
            return RefinedPose(homography, score, number)
        is_fine = is_last and number >= passes - 1
        pose_in_crop, score = network.look(frame, homography, FINE_SUPERSAMPLING if is_fine else COARSE_SUPERSAMPLING)
        better = compose(homography, pose_in_crop, network.margin)
        before, corners = corners, homography_to_corners(better, width, height)
        if not is_valid_quadrilateral(corners):
            return RefinedPose(homography, score, number)
        homography = better
        if number >= passes - 1 and most_moved(before, corners) <= _RESTLESS:
            return RefinedPose(homography, score, number + 1)
    return RefinedPose(homography, score, passes + further if passes else 0)


def most_moved(before: FloatArray, after: FloatArray) -> float:
    """How far the corner went that a pass has moved most, as a share of the target's mean diagonal; corners [4, 2]."""
    return float(np.hypot(*(after - before).T).max() / mean_diagonal(after))


def compose(homography: FloatArray, pose_in_crop: FloatArray, margin: float) -> FloatArray:
    """The pose that a pass found.

    Args:
        homography: [3, 3], target → frame: the pose whose crop was looked at.
        pose_in_crop: [3, 3], target → crop. ``diag(1 / (1 + 2 · margin), 1 / (1 + 2 · margin), 1)`` changes nothing.
        margin: of the crop.

    Returns:
        float64 [3, 3], target → frame, ``[2, 2] = 1``; not finite where the target's middle would be at infinity.
    """
    composed = crop_homography(homography, margin) @ pose_in_crop
    scale = float(composed[2, 2])
    return np.asarray(composed / scale) if scale and math.isfinite(scale) else np.full((3, 3), np.nan)


def final_score(scan: float, refine: float | None) -> float:
    """The score of both networks together, 0 to 1: the product of their scores.

    Args:
        scan: of the network that saw the whole frame.
        refine: of the last refinement pass that ran, also of one whose pose was not taken; None if there was none.
    """
    return scan if refine is None else scan * refine
