"""Measures of a network that finds targets: corner errors, overlap, the share it keeps of them, and its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.evaluation.presence import Presence, presence
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union, kept_share
from stn_rectify.runtime.geometry import corner_error, homography_to_corners, is_valid_quadrilateral

#: From this intersection over union on a target counts as found.
GOOD_OVERLAP = 0.9


class KnownTargets(Protocol):
    """Frames whose targets are known."""

    @property
    def name(self) -> str:
        """Heading of their row in a table."""

    @property
    def corners(self) -> Sequence[Array | None]:
        """The true corners, float64 [4, 2] each, frame pixels; None where the frame holds no target."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Width and height of each frame, pixels."""


@dataclass(frozen=True)
class FrameErrors:
    """One number for each frame; NaN where it holds no target.

    Attributes:
        percent: float64 [N], mean distance of the four corners, % of the true target's diagonal.
        overlap: float64 [N], intersection over union of the found quadrilateral with the true one.
        kept: float64 [N], share of the true target's area inside the found quadrilateral.
    """

    percent: Array
    overlap: Array
    kept: Array


@dataclass(frozen=True)
class CornerErrors:
    """The errors over a set of frames, and those of the score that tells targets from empty frames.

    Attributes:
        name: the name of the set of frames.
        count: number of frames with a target.
        mean: mean corner error, % of the target's diagonal.
        median: median of the corner error, % of the diagonal.
        p95: 95th percentile of the corner error, % of the diagonal.
        centred_box: mean error of the best centred box: the one scale of the frame that fits these frames best.
        overlap_median: median intersection over union of found and true quadrilateral.
        overlap_mean: mean of the same.
        overlap_good: share of the targets with `GOOD_OVERLAP` or more.
        kept_mean: mean share of the target inside the found quadrilateral.
        kept_p5: 5th percentile of that share: 19 of 20 targets keep more.
        score_accuracy: share of frames whose score is on the right side of 0.5; None without a score.
        presence: the score at its operating points; None without a score, empty frames or targets.
    """

    name: str
    count: int
    mean: float
    median: float
    p95: float
    centred_box: float
    overlap_median: float
    overlap_mean: float
    overlap_good: float
    kept_mean: float
    kept_p5: float
    score_accuracy: float | None
    presence: Presence | None


def frame_errors(frame_set: KnownTargets, corners: Sequence[Array]) -> FrameErrors:
    """Compares the corners that a network gave, [4, 2] in frame pixels for each frame, with the true ones."""
    nothing = (np.nan, np.nan, np.nan)
    rows = [
        nothing if truth is None else (100 * float(corner_error(pose, truth)), *_overlap(pose, truth))
        for pose, truth in zip(corners, frame_set.corners, strict=True)
    ]
    return FrameErrors(*np.array(rows, np.float64).reshape(-1, 3).T)


def _overlap(corners: Array, truth: Array) -> tuple[float, float]:
    """Intersection over union, and the share kept; a pose that shows no upright image of anything keeps nothing."""
    usable = is_valid_quadrilateral(corners)
    return intersection_over_union(corners, truth), kept_share(truth, corners) if usable else 0.0


def summarise(frame_set: KnownTargets, corners: Sequence[Array], score: Array | None) -> CornerErrors:
    """Errors of the corners that a network gave, [4, 2] in frame pixels for each frame, and of the scores [N].

    Errors are NaN when no frame holds a target.
    """
    has_target = np.array([c is not None for c in frame_set.corners])
    each = frame_errors(frame_set, corners)
    # A few frames may all be empty: NaN then, without NumPy's warnings.
    percent, overlap, kept = (
        values[has_target] if has_target.any() else np.array([np.nan])
        for values in (each.percent, each.overlap, each.kept)
    )
    accuracy = None if score is None else float(((np.ravel(score) > 0.5) == has_target).mean())
    return CornerErrors(
        name=frame_set.name,
        count=int(has_target.sum()),
        mean=float(percent.mean()),
        median=float(np.median(percent)),
        p95=float(np.percentile(percent, 95)),
        centred_box=_best_centred_box(frame_set),
        overlap_median=float(np.median(overlap)),
        overlap_mean=float(overlap.mean()),
        overlap_good=float((overlap >= GOOD_OVERLAP).mean()) if has_target.any() else float("nan"),
        kept_mean=float(kept.mean()),
        kept_p5=float(np.percentile(kept, 5)),
        score_accuracy=accuracy,
        presence=None if score is None else presence(score, has_target),
    )


def _best_centred_box(frame_set: KnownTargets) -> float:
    errors = []
    for size, truth in zip(frame_set.sizes, frame_set.corners, strict=True):
        if truth is not None:
            errors.append([float(corner_error(box, truth)) for box in _centred_boxes(*size)])
    return 100 * float(np.mean(errors or [[np.nan]], axis=0).min())


def _centred_boxes(width: int, height: int) -> list[Array]:
    return [homography_to_corners(np.diag([share, share, 1.0]), width, height) for share in np.linspace(0.2, 1.0, 17)]


def error_table(rows: Sequence[CornerErrors], rows_are: str = "frames") -> str:
    """The rows as text: corner errors, overlap, the share kept, and the score.

    Args:
        rows: the errors of one set of frames in each row.
        rows_are: heading of the first column.
    """
    width = max([20, *(len(r.name) for r in rows)])
    lines = [
        f"{'':<{width + 8}}{'corner error, % of diagonal':^29}{'overlap (IoU)':^22}{'kept, %':>12}"
        f"{'score: found':>15}{'empty':>8}{'calibr.':>8}",
        f"{rows_are:<{width}}{'targets':>8}{'median':>8}{'mean':>7}{'p95':>7}{'box':>7}{'median':>8}{'mean':>6}"
        f"{'>= 0.9':>8}{'mean':>6}{'5 %':>6}{'at 2 %':>15}{'at 95 %':>8}{'error':>8}",
    ]
    return "\n".join([*lines, *(_row(r, width) for r in rows)])


def _row(r: CornerErrors, width: int) -> str:
    corners = f"{r.median:>8.2f}{r.mean:>7.2f}{r.p95:>7.2f}{r.centred_box:>7.2f}"
    overlap = f"{r.overlap_median:>8.3f}{r.overlap_mean:>6.3f}{100 * r.overlap_good:>6.1f} %"
    kept = f"{100 * r.kept_mean:>6.1f}{100 * r.kept_p5:>6.1f}"
    score = f"{'-':>15}{'-':>8}{'-':>8}"
    if r.presence is not None:
        p = r.presence
        score = f"{100 * p.targets_accepted:>13.1f} %{100 * p.empty_accepted:>6.1f} %{p.calibration_error:>8.3f}"
    return f"{r.name:<{width}}{r.count:>8}{corners}{overlap}{kept}{score}"
