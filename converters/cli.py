"""`stn-convert`: Keras STNs → fully INT8 TFLite files, proved."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from stn_rectify.models.workstation import OneLineParser, run_command
from stn_rectify.runtime.errors import StnRectifyError, UsageError

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="stn-convert",
        description="Convert Keras Spatial Transformer Networks to fully INT8 TFLite files of built-in operators, "
        "proved on the written file.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help=".keras files or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
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
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs `stn-convert`; returns the exit status: 0 only if every model passed its proof."""
    args = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return run_command("stn-convert", lambda: _convert_all(args), when_stopped="stopped", debug=args.debug)


def _convert_all(args: argparse.Namespace) -> int:
    from stn_rectify.converters.conversion import ConversionOptions, convert, find_models, summary_line

    low, high = args.value_range
    if not low <= 0 <= high or not low < high:
        raise UsageError(f"--value-range {low} {high}: needs LOW <= 0 <= HIGH, because the sampler's margin is 0")
    options = ConversionOptions(
        calibration=args.calibration,
        pose_only=args.pose_only,
        value_range=(low, high),
        labels=_read_labels(args.labels),
        description=args.description,
        overwrite=args.overwrite,
    )
    models = find_models(args.inputs)
    failed = 0
    for source in models:
        try:
            conversion = convert(source, args.out, options)
        except StnRectifyError as error:
            if args.debug:
                raise
            failed += 1
            print(f"{source.stem}  FAILED: {error}", file=sys.stderr, flush=True)
        except Exception as error:  # a batch goes on whatever TensorFlow makes of one model
            if args.debug:
                raise
            failed += 1
            reason = next(iter(str(error).splitlines()), "")
            unexpected = f"unexpected {type(error).__name__}: {reason} (--debug shows where)"
            print(f"{source.stem}  FAILED: {unexpected}", file=sys.stderr, flush=True)
        else:
            print(conversion.cost, conversion.proof, summary_line(conversion), sep="\n", flush=True)
    print(f"{len(models) - failed} converted, {failed} failed")
    return 1 if failed else 0


def _read_labels(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {file} cannot be read: {error}") from error
