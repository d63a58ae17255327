"""The words that a person reads about a batch: a line when a model is finished, a table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stn_rectify.converters.batch.batch_conversion import ModelOutcome

_HEADINGS = ("model", "result", "KB", "corner error mean px", "max px", "seconds")


def outcome_line(outcome: ModelOutcome, out: Path) -> str:
    """One line for a finished model."""
    if outcome.skipped:
        return f"{outcome.name}  unchanged since it was converted · {out / outcome.name}.tflite"
    if outcome.record.passed and outcome.result is not None:
        return outcome.result.line
    return f"{outcome.name}  FAILED: {outcome.record.reason}"


def summary_table(outcomes: Sequence[ModelOutcome]) -> str:
    """All models, a row each."""
    rows = [_HEADINGS, *(_row(outcome) for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def totals_line(outcomes: Sequence[ModelOutcome]) -> str:
    """The line that counts the models converted, failed and unchanged."""
    skipped = sum(outcome.skipped for outcome in outcomes)
    failed = sum(not outcome.record.passed for outcome in outcomes)
    unchanged = f", {skipped} unchanged" if skipped else ""
    return f"{len(outcomes) - skipped - failed} converted, {failed} failed{unchanged}"


def _row(outcome: ModelOutcome) -> tuple[str, ...]:
    record = outcome.record
    result = "unchanged" if outcome.skipped else "converted" if record.passed else "FAILED"
    file = record.outputs.get(f"{outcome.name}.tflite") if record.passed else None
    size = "-" if file is None else f"{file.bytes / 1000:.0f}"
    corners = (_number(record.numbers.get(f"corners_{kind}_px")) for kind in ("mean", "max"))
    return (outcome.name, result, size, *corners, f"{record.seconds:.1f}" if record.seconds else "-")


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"
