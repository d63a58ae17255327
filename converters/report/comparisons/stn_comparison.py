"""The file beside the float model, frame by frame: the numbers of the report, and thresholds that make it a gate."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement, class_agreement
from stn_rectify.converters.report.comparisons.float_sampling import level_errors
from stn_rectify.converters.report.comparisons.frame_points import depth, frame_points, outline
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.models.network.layers import MIN_DENOMINATOR
from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.evaluation.quadrilateral_overlap import filled_share, kept_share
from stn_rectify.runtime.geometry import UNIT_CORNERS, is_valid_quadrilateral, pixel_centres
from stn_rectify.runtime.model.metadata import ScoreSpec
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, SIGNATURE, WHOLE_SIGNATURE, ModelFile

_FILL_GRID = 48  # points along each side that the share filled by the target is counted on


@dataclass(frozen=True)
class Agreement:
    """The mean and the largest difference of two outputs."""

    mean: float
    max: float


@dataclass(frozen=True)
class TargetsKept:
    """One model against the true targets.

    Attributes:
        corners_mean_px: mean distance from the true corners, pixels at the model's input size.
        corners_p95_px: 95th percentile of it.
        corners_max_px: the largest.
        coverage_mean: share of the target's area kept inside the rectified image, mean over the frames.
        coverage_p5: 5th percentile: 19 of 20 frames keep more.
        coverage_min: the smallest.
        filled_mean: share of the rectified image that the target fills.
    """

    corners_mean_px: float
    corners_p95_px: float
    corners_max_px: float
    coverage_mean: float
    coverage_p5: float
    coverage_min: float
    filled_mean: float


@dataclass(frozen=True)
class Outputs:
    """The outputs of both models for each frame, for the pictures.

    Attributes:
        theta_float: float64 [N, T].
        theta_int8: float64 [N, T], the file's fixed-point numbers.
        rectified_float: float32 [N, h, w, C] in the model's value range.
        rectified_int8: int8 [N, h, w, C]; None for a pose-only file.
        corner_error_px: float64 [N], mean of the four corners.
    """

    theta_float: Array
    theta_int8: Array
    rectified_float: Array
    rectified_int8: Array | None
    corner_error_px: Array


@dataclass(frozen=True)
class Comparison:
    """INT8 against float.

    Attributes:
        frames: how many were compared.
        corners_mean_px: mean distance of the corners, pixels at the model's input size.
        corners_p95_px: 95th percentile of it.
        corners_max_px: the largest.
        levels_mean: mean difference of the file's rectified image, levels of 255, from float64 sampling at the same θ;
            None for a pose-only file.
        levels_max: the largest.
        rectified_levels_mean: mean difference of the rectified image, levels of 255, from the float model's, at its own
            θ; None for a pose-only file.
        rectified_levels_p95: 95th percentile of it, over the frames.
        score: the scores' difference; None in a model without one.
        class_scores: the recognizer's classes; None in a model without one.
        poses_spread_px: how far the float model's corners are from their median over all frames, a median, too: wild
            poses count for little; pixels.
        mirrored_poses: frames in which the float model's pose is mirrored, or has no area: for the runtime there is
            nothing then.
        known_targets: frames whose true corners are known.
        true_spread_px: mean distance of the true corners from their mean over these frames, the error of the best pose
            that is the same for all; None if none are known.
        float_targets: the float model against the true corners; None if none are known.
        int8_targets: the file against them.
        outputs: of every frame.
    """

    frames: int
    corners_mean_px: float
    corners_p95_px: float
    corners_max_px: float
    levels_mean: float | None
    levels_max: float | None
    rectified_levels_mean: float | None
    rectified_levels_p95: float | None
    score: Agreement | None
    class_scores: ClassAgreement | None
    poses_spread_px: float
    mirrored_poses: int
    known_targets: int
    true_spread_px: float | None
    float_targets: TargetsKept | None
    int8_targets: TargetsKept | None
    outputs: Outputs = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report."""
        numbers = asdict(self)
        del numbers["outputs"]
        return numbers


def compare(
    model: ModelFile,
    parts: StnParts,
    validation: FrameSet,
    quantized: npt.NDArray[np.int8],
    package: str | None = None,
    *,
    signature: str = SIGNATURE,
) -> Comparison:
    """Runs the float model and the file over the same frames.

    Args:
        model: the file, read back.
        parts: the float model.
        validation: frames float32 [N, H, W, C], with corners and labels where they are known.
        quantized: the same frames int8, as the file takes them.
        package: the interpreter, see `IsolatedInterpreter`.
        signature: of the network that ``parts`` and frames belong to.

    Raises:
        ModelFileError: if the interpreter refuses the file or dies of it.
    """
    further = {REFINE_SIGNATURE: model.metadata.refine, WHOLE_SIGNATURE: model.metadata.whole}
    network = further.get(signature, model.metadata)
    if network is None or network.theta is None:
        raise ModelFileError(f"{model.path} has no network with the signature {signature!r} that gives a pose")
    with IsolatedInterpreter(package) as interpreter:
        interpreter.load(model.flatbuffer)
        runs = [interpreter.run({"frame": frame[None]}, signature) for frame in quantized]
    of_file = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    of_float = parts.run(validation.frames)
    theta_int8 = of_file["theta"] / 2.0**network.theta.fractional_bits
    theta_float = np.asarray(of_float["theta"], np.float64)
    corners_float, corners_int8 = (
        frame_points(theta, parts.transform, parts.input_size, UNIT_CORNERS) for theta in (theta_float, theta_int8)
    )
    distance = np.linalg.norm(corners_float - corners_int8, axis=-1)
    rectified = of_file.get("rectified")
    levels = levels_beside_float = None
    if rectified is not None:
        spec = network.input
        levels = level_errors(quantized, theta_int8, rectified, parts.transform, parts.padding, spec.zero_point)
        difference = np.abs(of_float["rectified"] / np.float32(spec.scale) + spec.zero_point - rectified)
        levels_beside_float = difference.mean(axis=(1, 2, 3))
    targets = annotated_frames(validation)
    return Comparison(
        frames=len(quantized),
        corners_mean_px=float(distance.mean()),
        corners_p95_px=float(np.percentile(distance, 95)),
        corners_max_px=float(distance.max()),
        levels_mean=None if levels is None else float(levels[:, 0].mean()),
        levels_max=None if levels is None else float(levels[:, 1].max()),
        rectified_levels_mean=None if levels_beside_float is None else float(levels_beside_float.mean()),
        rectified_levels_p95=None if levels_beside_float is None else float(np.percentile(levels_beside_float, 95)),
        score=_score_agreement(network.score, of_float, of_file),
        class_scores=(
            class_agreement(of_float["class_scores"], of_file["class_scores"], validation.labels)
            if "class_scores" in of_file
            else None
        ),
        poses_spread_px=median_spread(corners_float),
        mirrored_poses=sum(not is_valid_quadrilateral(corners) for corners in corners_float),
        known_targets=len(targets),
        true_spread_px=_mean_spread(validation.corners, targets),
        float_targets=_targets_kept(theta_float, parts, validation, targets),
        int8_targets=_targets_kept(theta_int8, parts, validation, targets),
        outputs=Outputs(theta_float, theta_int8, of_float["rectified"], rectified, distance.mean(axis=1)),
    )


def gate(comparison: Comparison, max_corner_error: float | None, min_coverage: float | None) -> list[Check]:
    """Checks a comparison against thresholds.

    Both look at 19 of 20 frames, not at the worst one, which may be a frame without a target.

    Args:
        comparison: of the file with its float model.
        max_corner_error: pixels at the model's input size that the 95th percentile of the corner error float↔INT8
            may reach; None for no limit.
        min_coverage: share (0 to 1) of the target's area that the 5th percentile of the file's coverage must reach;
            None for no limit. It needs frames with known corners.
    """
    checks = []
    if max_corner_error is not None:
        error = comparison.corners_p95_px
        finding = f"{error:.3f} px (95th percentile of {comparison.frames} frames)"
        checks.append(
            Check(f"corner error float↔INT8 at most {max_corner_error:g} px", error <= max_corner_error, finding)
        )
    if min_coverage is not None:
        name = f"coverage of the target at least {100 * min_coverage:g} %"
        targets = comparison.int8_targets
        if targets is None:
            finding = (
                "no frame has known corners: give --validation a folder of annotated frames (a truth.json, say), or an "
                ".npz file with an array corners"
            )
            checks.append(Check(name, False, finding))
        else:
            share = targets.coverage_p5
            finding = f"{100 * share:.1f} % (5th percentile of {comparison.known_targets} frames)"
            checks.append(Check(name, share >= min_coverage, finding))
    return checks


def _score_agreement(spec: ScoreSpec | None, of_float: dict[str, Array], of_file: dict[str, Array]) -> Agreement | None:
    if spec is None or "score" not in of_float:
        return None
    score = (of_file["score"].astype(np.float64) - spec.zero_point) * spec.scale
    difference = np.abs(score - of_float["score"])
    return Agreement(float(difference.mean()), float(difference.max()))


def annotated_frames(validation: FrameSet) -> list[int]:
    """Numbers of the frames whose true corners are known and make a quadrilateral."""
    if validation.corners is None:
        return []
    return [k for k, corners in enumerate(validation.corners) if is_valid_quadrilateral(corners, min_area_px=1)]


def median_spread(corners: Array) -> float:
    """Median distance of corners [N, 4, 2] from their median over the frames, pixels."""
    return float(np.median(np.linalg.norm(corners - np.median(corners, axis=0), axis=-1)))


def _mean_spread(corners: FloatArray | None, targets: list[int]) -> float | None:
    if corners is None or not targets:
        return None
    known = corners[targets]
    return float(np.linalg.norm(known - known.mean(axis=0), axis=-1).mean())


def _targets_kept(theta: Array, parts: StnParts, validation: FrameSet, targets: list[int]) -> TargetsKept | None:
    if not targets or validation.corners is None:
        return None
    truth, poses = validation.corners[targets], theta[targets]
    corners = frame_points(poses, parts.transform, parts.input_size, UNIT_CORNERS)
    distance = np.linalg.norm(corners - truth, axis=-1)
    shown = outline(poses, parts.transform, parts.input_size)
    # Behind the camera an image shows no region of the frame: nothing of the target counts as kept.
    in_front = (depth(poses, parts.transform, UNIT_CORNERS) > MIN_DENOMINATOR).all(axis=-1)
    kept = [kept_share(t, s) if w else 0.0 for t, s, w in zip(truth, shown, in_front, strict=True)]
    points = frame_points(poses, parts.transform, parts.input_size, pixel_centres(_FILL_GRID, _FILL_GRID))
    return TargetsKept(
        corners_mean_px=float(distance.mean()),
        corners_p95_px=float(np.percentile(distance, 95)),
        corners_max_px=float(distance.max()),
        coverage_mean=float(np.mean(kept)),
        coverage_p5=float(np.percentile(kept, 5)),
        coverage_min=float(np.min(kept)),
        filled_mean=float(np.mean([filled_share(t, p) for t, p in zip(truth, points, strict=True)])),
    )
