"""Thresholds: they turn a report into a gate."""

from __future__ import annotations

from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.report.comparison import Comparison

__all__ = ["gate"]


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
        found = f"{error:.3f} px (95th percentile of {comparison.frames} frames)"
        checks.append(
            Check(f"corner error float↔INT8 at most {max_corner_error:g} px", error <= max_corner_error, found)
        )
    if min_coverage is not None:
        name = f"coverage of the target at least {100 * min_coverage:g} %"
        targets = comparison.int8_targets
        if targets is None:
            found = (
                "no frame has known corners: give --validation a folder with a truth.json, or an .npz file with an "
                "array corners"
            )
            checks.append(Check(name, False, found))
        else:
            share = targets.coverage_p5
            found = f"{100 * share:.1f} % (5th percentile of {comparison.known_targets} frames)"
            checks.append(Check(name, share >= min_coverage, found))
    return checks
