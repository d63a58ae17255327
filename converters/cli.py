"""`stn-convert`: Keras STNs → fully INT8 TFLite files, proved."""

from __future__ import annotations

import argparse
import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stn_rectify.converters.options import DEFAULT_PASSES, BatchOptions, ConversionOptions
from stn_rectify.models.command.workstation import run_command
from stn_rectify.runtime.command.parsing import OneLineParser, number, share, whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.labels import read_labels
from stn_rectify.runtime.model.metadata import MAX_PASSES

if TYPE_CHECKING:
    from stn_rectify.converters.batch.batch_conversion import ModelOutcome
    from stn_rectify.converters.batch.jobs import ModelPool


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="stn-convert",
        description="Convert Keras Spatial Transformer Networks to fully INT8 TFLite files of built-in operators, "
        "proved on the written file. Run the same command again to go on after Ctrl-C: what is done is skipped.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help=".keras files (NAME.recognizer.keras: a recognizer of its own), SavedModel folders, folders of both, "
        "'glob*patterns'",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for NAME.tflite, its report, manifest")
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="DIR|FILE.npz",
        help="a hundred frames or more, as on the device: a folder of images, or an array `frames` (of stn-train)",
    )
    parser.add_argument(
        "--pose-only",
        action="store_true",
        help="leave the sampler out; the runtime warps the full-resolution frame",
    )
    parser.add_argument(
        "--value-range", type=float, nargs=2, default=(0.0, 1.0), metavar=("LOW", "HIGH"),
        help="what pixel values 0 and 255 are to the Keras model (default 0 1)",
    )  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labels.txt to append, one label a line")
    parser.add_argument("--description", default="", help="one line for the metadata")
    parser.add_argument(
        "--no-refit-head", dest="refit_head", action="store_false", help="leave theta's layer as it was trained"
    )
    parser.add_argument(
        "--no-latency", dest="latency", action="store_false", help="do not measure it for the report; saves seconds"
    )
    parser.add_argument(
        "--refine-passes",
        type=whole_number(0, MAX_PASSES),
        default=DEFAULT_PASSES,
        metavar="N",
        help=f"of the network NAME.refine.keras beside NAME.keras, that the file asks for ({DEFAULT_PASSES})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing files that are not of an earlier run"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks and what TensorFlow printed")
    gate = parser.add_argument_group("what a model must reach, or it fails and gets no .tflite")
    gate.add_argument(
        "--max-corner-error",
        type=number("a number from 0", lambda value: 0 <= value < math.inf),
        metavar="PX",
        help="float to INT8, in 19 of 20 frames at most (95th percentile), pixels at the model's size",
    )
    gate.add_argument(
        "--min-coverage",
        type=share,
        metavar="SHARE",
        help="of the target that stays inside, in 19 of 20 frames at least, 0 to 1; needs frames with known corners",
    )
    gate.add_argument(
        "--validation", type=Path, metavar="DIR|FILE.npz", help="frames with known corners, for the report's checks"
    )
    batch = parser.add_argument_group("many models")
    batch.add_argument("--jobs", type=whole_number(1), metavar="N", help="at a time (default: by cores and memory)")
    batch.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="convert on the workers of a Dask cluster")
    batch.add_argument("--force", action="store_true", help="convert unchanged models, too")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs `stn-convert`; returns the exit status: 0 only if every model passed its proof."""
    words = _parser().parse_args(argv)
    batch = BatchOptions(tuple(words.inputs), words.out, words.jobs, words.scheduler, words.force, words.debug)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name can be any bytes
    return run_command(
        "stn-convert",
        lambda: _convert_all(batch, _conversion_options(words)),
        when_stopped="stopped; run the same command again to go on",
        debug=batch.debug,
    )


def _conversion_options(words: argparse.Namespace) -> ConversionOptions:
    """Makes the options of the conversion from the parsed words.

    Raises:
        UsageError: if they contradict each other, or the labels cannot be read.
    """
    low, high = words.value_range
    if not -math.inf < low <= 0 <= high < math.inf or not low < high:
        raise UsageError(
            f"--value-range {low:g} {high:g}: needs numbers LOW <= 0 <= HIGH, because the sampler's margin is 0"
        )
    if words.jobs and words.scheduler:
        raise UsageError("--jobs is for this machine: with --scheduler the workers' threads say how many at a time")
    return ConversionOptions(
        calibration=words.calibration,
        pose_only=words.pose_only,
        value_range=(low, high),
        labels=() if words.labels is None else read_labels(words.labels),
        description=words.description,
        latency=words.latency,
        refit_head=words.refit_head,
        refine_passes=words.refine_passes,
        overwrite=words.overwrite,
        validation=words.validation,
        max_corner_error=words.max_corner_error,
        min_coverage=words.min_coverage,
    )


def _convert_all(batch: BatchOptions, options: ConversionOptions) -> int:
    from tqdm import tqdm

    from stn_rectify.converters.batch.batch_conversion import convert_batch
    from stn_rectify.converters.batch.model_inputs import find_models
    from stn_rectify.converters.batch.summary import outcome_line, summary_table, totals_line
    from stn_rectify.models.progress import Progress

    models = find_models(batch.inputs)
    with Progress("conversion", len(models), unit="model") as progress:
        warned: set[str] = set()

        def tell(outcome: ModelOutcome) -> None:
            for warning in () if outcome.result is None else outcome.result.warnings:
                if warning not in warned:  # most are of the frames, which all models share
                    warned.add(warning)
                    tqdm.write(f"stn-convert: warning: {warning}", file=sys.stderr)
            failed = not outcome.record.passed
            lines = [outcome_line(outcome, batch.out)]
            if outcome.result is not None:
                if failed and batch.debug:
                    lines = [*outcome.result.log, *lines]
                elif not failed and len(models) == 1:
                    lines = [outcome.result.details, *lines]
            tqdm.write("\n".join(lines), file=sys.stderr if failed else sys.stdout)  # around the bar
            (sys.stderr if failed else sys.stdout).flush()
            progress.advance(note=outcome.name)

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
