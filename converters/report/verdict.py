"""The headline of a report: what was proved of a file, what was measured, and what makes the network in it doubtful.

The proof is about integers. A network that has learned nothing can be proved as well as any other, so a proof alone is
never called a success: the verdict needs frames with known truth for that, and names what speaks against the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement
from stn_rectify.converters.report.comparisons.composite_comparison import CompositeComparison
from stn_rectify.converters.report.comparisons.stn_comparison import Comparison
from stn_rectify.converters.report.network_report import NetworkReport

#: A network whose error is this share of what no network at all would reach is doubtful.
DOUBTFUL_SHARE = 0.5
#: Share of how the poses vary that INT8 may take: set on the matrix of foreign models, 0.27 to 0.42 where files and
#: models gave visibly other images, at most 0.06 where they did not.
_DOUBTFUL_LOSS = 0.25
_MOST_MIRRORED = 0.1  # of the frames: some may show no target
#: Corners that stay within this share of the input's diagonal hardly depend on the frame.
STILL_SHARE = 0.005
#: Corners that vary by less than this share of what the true ones do hardly depend on the frame, either.
_STILL_BESIDE_TRUTH = 0.1
#: INT8 should give the class that float gives, or find its targets, in this share of the frames.
LEAST_AGREEMENT = 0.9

_FAILED, _DOUBTFUL, _UNMEASURED, _GOOD = "failed", "doubtful", "unmeasured", "good"
_HEADLINES = {
    _FAILED: "FAILED",
    _DOUBTFUL: "integers proved, network doubtful",
    _UNMEASURED: "integers proved, accuracy not measured",
    _GOOD: "integers proved",
}


@dataclass(frozen=True)
class Verdict:
    """What a report says first.

    Attributes:
        tone: ``"failed"``: a check or a threshold failed, there is no file; ``"doubtful"``: the integers are proved,
            but the network may be of no use; ``"unmeasured"``: they are, and nothing is known of the truth; ``"good"``.
        doubts: why it is doubtful, a line each.
    """

    tone: str
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[NetworkReport], failures: Sequence[str]) -> Verdict:
        """The verdict on a file of these networks, with what failed of it."""
        doubts = tuple(doubt for network in networks for doubt in network.doubts)
        if failures:
            return cls(_FAILED, doubts)
        if doubts:
            return cls(_DOUBTFUL, doubts)
        return cls(_GOOD if networks[0].truth_is_known else _UNMEASURED)

    @property
    def headline(self) -> str:
        """A few words for the top of the page and for the terminal."""
        return _HEADLINES[self.tone]

    def as_dict(self) -> dict[str, object]:
        """The verdict, for JSON."""
        return {"tone": self.tone, "headline": self.headline, "doubts": list(self.doubts)}


def pose_doubts(comparison: Comparison, input_size: tuple[int, int], frames_are_alike: bool) -> list[str]:
    """Says why the poses of a network may be of no use, a line each.

    Args:
        comparison: of the file with the float network.
        input_size: height and width of the network's input, pixels.
        frames_are_alike: whether all frames are the same one, so that all poses must be.
    """
    spread, true_spread = comparison.poses_spread_px, comparison.true_spread_px
    small = STILL_SHARE * float(np.hypot(*input_size))
    still = small if true_spread is None else _STILL_BESIDE_TRUTH * true_spread
    doubts = []
    hardly_varies = not frames_are_alike and comparison.frames > 1 and spread < still
    if hardly_varies:
        beside = "" if true_spread is None else f", where the true ones vary by {true_spread:.2f} px"
        doubts.append(
            f"theta hardly varies over the frames (the corners by {spread:.2f} px{beside}): an untrained model, frames "
            "that are alike, or pixel values in another range than it was trained with (--value-range)"
        )
    error = None if comparison.int8_targets is None else comparison.int8_targets.corners_mean_px
    several = comparison.known_targets > 1
    if several and error is not None and true_spread is not None and error >= max(small, DOUBTFUL_SHARE * true_spread):
        doubts.append(
            f"the corners are {error:.2f} px from the true ones on average, and one pose for all frames would be "
            f"{true_spread:.2f} px: it has learned little, or sees other frames than it was trained with"
        )
    moved, varies = comparison.corners_mean_px, comparison.frames > 1 and not frames_are_alike and not hardly_varies
    if varies and moved >= max(small, _DOUBTFUL_LOSS * spread):
        doubts.append(
            f"INT8 moves the corners by {moved:.2f} px on average, and over the frames they vary by {spread:.2f} px: "
            "give calibration frames as the device will see them, or tune it (stn-train tune)"
        )
    if comparison.mirrored_poses > _MOST_MIRRORED * comparison.frames:
        doubts.append(
            f"in {comparison.mirrored_poses} of {comparison.frames} frames the pose is mirrored or has no area, which "
            "the runtime takes for nothing found: let its grid take columns for x and rows for y, or train it further"
        )
    return doubts


def poses_check(comparison: Comparison, input_size: tuple[int, int], frames_are_alike: bool) -> Check | None:
    """The check that the file tells poses apart: INT8 moves them by less than they differ.

    Both are medians over the frames: one wild pose does not fail a sound network.

    Args:
        comparison: of the file with the float network.
        input_size: height and width of the network's input, pixels.
        frames_are_alike: whether all frames are the same one, so that all poses must be.

    Returns:
        The check; None where the poses cannot differ, or hardly do (a doubt of its own) and INT8 keeps them.
    """
    moved, spread = float(np.median(comparison.outputs.corner_error_px)), comparison.poses_spread_px
    small = STILL_SHARE * float(np.hypot(*input_size))
    if frames_are_alike or comparison.frames < 2 or (spread < small and moved < small):
        return None
    finding = f"INT8 moves the corners by {moved:.2f} px (median), and over the frames they vary by {spread:.2f} px"
    if moved >= spread:
        finding += "; give calibration frames as the device will see them, check --value-range, or tune it"
    return Check("corner error smaller than the spread of poses", moved < max(spread, small), finding)


def class_doubts(classes: ClassAgreement) -> list[str]:
    """Says why the answers of a recognizer may be of no use, a line each."""
    doubts = []
    right, blind = classes.accuracy_int8, classes.accuracy_of_one_class
    if right is not None and blind is not None and 1 - right >= DOUBTFUL_SHARE * (1 - blind):
        doubts.append(
            f"it is right in {100 * right:.1f} % of {classes.labelled} frames, and one answer for all would be in "
            f"{100 * blind:.1f} %: it has learned little, or sees other frames than it was trained with"
        )
    elif classes.answers == 1:
        doubts.append("it gives the same answer for every frame: an untrained model, or frames that are alike")
    if classes.top1_agreement < LEAST_AGREEMENT:
        doubts.append(
            f"INT8 gives the answer of float in {100 * classes.top1_agreement:.1f} % only: give calibration frames as "
            "the device will see them"
        )
    return doubts


def sampler_doubts(comparison: CompositeComparison, input_sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Says which samplers inside a network INT8 makes look elsewhere, a line each.

    Args:
        comparison: of the file with the float network, on frames that are not all the same.
        input_sizes: height and width of what each sampler reads, pixels, in the order of ``comparison.samplers``.
    """
    doubts = []
    for sampler, size in zip(comparison.samplers, input_sizes, strict=True):
        moved, spread = sampler.corners_mean_px, sampler.poses_spread_px
        if moved >= max(STILL_SHARE * float(np.hypot(*size)), _DOUBTFUL_LOSS * spread):
            doubts.append(
                f"INT8 moves the corners of sampler {sampler.number} by {moved:.2f} px of what it reads on average, "
                f"and over the frames they vary by {spread:.2f} px: give calibration frames as the device will see them"
            )
    return doubts


def output_doubts(comparison: CompositeComparison) -> list[str]:
    """Says why the outputs of a network with samplers inside may be of no use, a line each.

    Args:
        comparison: of the file with the float network, on frames that are not all the same.
    """
    doubts = []
    for output in comparison.outputs:
        if output.spread == 0:
            doubts.append(f"{output.name} is the same for every frame: an untrained model, or frames that are alike")
        elif comparison.class_scores is None and output.share >= _DOUBTFUL_LOSS:
            doubts.append(
                f"INT8 moves {output.name} by {100 * output.share:.0f} % of how it varies over the frames: give "
                "calibration frames as the device will see them"
            )
    return doubts


def output_checks(comparison: CompositeComparison) -> list[Check]:
    """The check of each output that the file tells frames apart: INT8 moves it by less than it differs.

    Args:
        comparison: of the file with the float network, on frames that are not all the same.
    """
    return [
        Check(
            f"error of {output.name} smaller than its spread",
            output.share < 1,
            f"INT8 moves it by {100 * output.share:.1f} % of how it varies over {comparison.frames} frames (means)",
        )
        for output in comparison.outputs
        if output.spread > 0
    ]
