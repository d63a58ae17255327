"""What was measured, as text and as values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stn_rectify.runtime.evaluation.corner_errors import error_table
from stn_rectify.runtime.evaluation.measures import FolderMeasures, OverlapRow, ScoreRow, assigned_targets
from stn_rectify.runtime.evaluation.search import SearchedFrame


def folder_tables(measured: FolderMeasures) -> str:
    """The tables of one folder, below a line that says what is in it."""
    targets = _count(measured.targets, "box" if measured.boxes else "target", "boxes" if measured.boxes else None)
    parts = [_count(measured.frames, "frame"), targets, f"{measured.empty} without"]
    parts += [f"{measured.failed} failed"] if measured.failed else []
    if measured.frames:
        median, p95 = measured.latency_ms
        parts.append(f"{median:.1f} ms a frame, 95 % within {p95:.1f}")
    lines = [f"{measured.name}: {', '.join(parts)}"]
    if measured.overlaps:
        lines += ["", _overlap_table(measured)]
    if measured.errors:
        lines += ["", error_table(measured.errors, "results")]
    if measured.frames or measured.empty:
        lines += ["", _score_table(measured.scores)]
        lines += [_separation(measured)]
    return "\n".join(lines)


def _overlap_table(measured: FolderMeasures) -> str:
    levels = "".join(f"{f'>= {least:g}':>9}" for least, _ in measured.overlaps[0].shares)
    what = "overlap of boxes (IoU)" if measured.boxes else "overlap (IoU)"
    lines = [
        f"{'':<18}{what:^{16 + len(levels)}}{'order':>9}{'text':>9}",
        f"{'results':<10}{'of':>8}{'median':>8}{'mean':>8}{levels}{'right':>9}{'right':>9}",
    ]
    return "\n".join([*lines, *map(_overlap_line, measured.overlaps)])


def _overlap_line(row: OverlapRow) -> str:
    shares = "".join(f"{_percent(share):>9}" for _, share in row.shares)
    numbers = f"{row.median:>8.3f}{row.mean:>8.3f}"
    return f"{row.name:<10}{row.count:>8}{numbers}{shares}{_percent(row.upright):>9}{_percent(row.text):>9}"


def _score_table(rows: Sequence[ScoreRow]) -> str:
    lines = [
        f"{'score':<10}{'targets':>8}{'false':>8}{'empty':>8}",
        f"{'from':<10}{'kept':>8}{'a frame':>8}{'pass':>8}",
    ]
    for row in rows:
        false = "-" if math.isnan(row.false) else f"{row.false:.2f}"
        line = f"{f'{row.score:g}':<10}{_percent(row.kept):>8}{false:>8}{_percent(row.empty):>8}  {row.note}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _separation(measured: FolderMeasures) -> str:
    row = measured.separating
    if row is not None:
        kept = "" if math.isnan(row.kept) else f", and keeps {_percent(row.kept)} of the targets"
        return f"--min-score {row.score:g} lets {_percent(row.empty)} of {measured.empty} empty frames pass{kept}"
    if measured.empty:
        return "no score separates: more than 1 % of the empty frames have the highest"
    return "no frames without a target: with some (--empty DIR) there is a score that separates"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def folder_values(measured: FolderMeasures, frames: Sequence[SearchedFrame]) -> dict[str, Any]:
    """The numbers of one folder, and what was found in each frame, for JSON; NaN becomes None.

    Args:
        measured: the numbers.
        frames: the frames that they are of.
    """
    values: dict[str, Any] = asdict(measured)
    values["shares_are"] = "overlap (IoU), share of the targets with as much or more"
    values["found_in"] = [_frame_values(frame, measured.least_overlap) for frame in frames]
    finite: dict[str, Any] = _without_nan(values)
    return finite


def _frame_values(frame: SearchedFrame, least_overlap: float) -> dict[str, Any]:
    assigned = assigned_targets(frame, least_overlap)
    return {
        "image": str(frame.image.path),
        "targets": [{"corners": one.corners.round(3).tolist(), "text": one.text} for one in frame.image.targets],
        "found": [
            {
                "corners": one.corners.round(3).tolist(),
                "score": round(one.score, 4),
                "text": one.text,
                "overlap": round(float(overlap.max(initial=0.0)), 4),
                "target": target,
            }
            for one, overlap, target in zip(frame.found, frame.overlap, assigned, strict=True)
        ],
        "latency_ms": round(frame.latency_ms, 3),
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
