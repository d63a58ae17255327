"""`stn-convert`: Keras STNs → fully INT8 TFLite files, proved; and the lines that it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from stn_rectify.converters.options import BatchOptions, ConversionOptions
from stn_rectify.models.command.workstation import run_command
from stn_rectify.runtime.command.parsing.parser import OneLineParser
from stn_rectify.runtime.process.program import run_program
from stn_rectify.runtime.process.standard_streams import escaped

if TYPE_CHECKING:
    from stn_rectify.converters.batch.batch_conversion import ModelOutcome
    from stn_rectify.converters.batch.jobs import ModelPool

_HEADINGS = ("model", "result", "KB", "corner error mean px", "max px", "seconds")


def outcome_line(outcome: ModelOutcome, out: Path) -> str:
    """One line for a finished model."""
    if outcome.skipped:
        doubtful = " · network doubtful" if outcome.record.doubts else ""
        return f"{outcome.name}  unchanged since it was converted{doubtful} · {out / outcome.name}.tflite"
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
    doubtful = sum(outcome.record.passed and bool(outcome.record.doubts) for outcome in outcomes)
    unchanged = f", {skipped} unchanged" if skipped else ""
    line = f"{len(outcomes) - skipped - failed} converted, {failed} failed{unchanged}"
    return f"{line}; {doubtful} doubtful" if doubtful else line


def _row(outcome: ModelOutcome) -> tuple[str, ...]:
    record = outcome.record
    result = "unchanged" if outcome.skipped else "converted" if record.passed else "FAILED"
    result += ", doubtful" if record.passed and record.doubts else ""
    file = record.outputs.get(f"{outcome.name}.tflite") if record.passed else None
    size = "-" if file is None else f"{file.bytes / 1000:.0f}"
    corners = (_number(record.numbers.get(f"corners_{kind}_px")) for kind in ("mean", "max"))
    return (escaped(outcome.name), result, size, *corners, f"{record.seconds:.1f}" if record.seconds else "-")


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def command() -> NoReturn:
    """The program: `main` on the words it was called with, then the end of the process."""
    run_program(main)


def main(argv: list[str] | None = None) -> int:
    """Runs `stn-convert`; returns the exit status: 0 only if every model passed its proof."""
    parser = OneLineParser(
        prog="stn-convert",
        description="Convert Spatial Transformer Networks of Keras, or of PyTorch through ONNX, to fully INT8 "
        "TFLite files of built-in operators, proved on the written file. "
        "Run the same command again to go on after Ctrl-C: what is done is skipped.",
        example="stn-convert model.keras --calibration frames/ --out converted/",
    )
    BatchOptions.add_to(parser)
    ConversionOptions.add_to(parser)
    parsed = vars(parser.parse_args(argv))
    return run_command(
        "stn-convert",
        lambda: _convert_all(BatchOptions.of(parsed), ConversionOptions.of(parsed)),
        when_stopped="stopped; run the same command again to go on",
        debug=parsed["debug"],
    )


def _convert_all(batch: BatchOptions, options: ConversionOptions) -> int:
    from tqdm import tqdm

    from stn_rectify.converters.batch.batch_conversion import convert_batch
    from stn_rectify.converters.batch.model_inputs import find_models
    from stn_rectify.models.progress import Progress

    models = find_models(batch.inputs, into=options.into is not None)
    with Progress("conversion", len(models), unit="model") as progress:
        warned: set[str] = set()

        def tell(outcome: ModelOutcome) -> None:
            for warning in () if outcome.result is None else outcome.result.warnings:
                if warning not in warned:  # most are of the frames, which all models share
                    warned.add(warning)
                    tqdm.write(escaped(f"stn-convert: warning: {warning}"), file=sys.stderr)
            failed = not outcome.record.passed
            lines = [escaped(outcome_line(outcome, batch.out))]
            if outcome.result is not None:
                if failed and batch.debug:
                    lines = [*outcome.result.log, *lines]
                elif not failed and len(models) == 1:
                    lines = [outcome.result.details, *lines]
            tqdm.write("\n".join(lines), file=sys.stderr if failed else sys.stdout)  # around the bar
            (sys.stderr if failed else sys.stdout).flush()
            progress.advance(note=escaped(outcome.name))

        outcomes = convert_batch(
            models, batch.out, options, lambda: _open_pool(batch), force=batch.force, on_outcome=tell
        )
    if len(models) > 1:
        print(summary_table(outcomes))
    print(totals_line(outcomes))
    return 0 if all(outcome.record.passed for outcome in outcomes) else 1


def _open_pool(batch: BatchOptions) -> ModelPool:
    if batch.scheduler:
        from tqdm import tqdm

        from stn_rectify.converters.batch.dask_cluster import DaskCluster

        return DaskCluster(batch.scheduler, tell=lambda line: tqdm.write(line, file=sys.stderr))
    from stn_rectify.converters.batch.local_pool import LocalPool, default_processes

    return LocalPool(batch.jobs or default_processes())
