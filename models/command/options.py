"""The options of the command ``stn-train``, but for those of pruning and of supervision by a recognizer."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from stn_rectify.models.command.option_types import shape
from stn_rectify.models.command.pruning_options import add_pruning_options
from stn_rectify.models.command.recognizer_options import add_recognizer_options
from stn_rectify.runtime.command.parsing import OneLineParser, positive_number, whole_number

__all__ = ["NETWORK_OPTIONS", "make_parser"]

#: Options of a new network, which a trained one has already.
NETWORK_OPTIONS = (
    "input_shape", "transform", "output_shape", "body", "refine", "scan", "localization", "localization_shape",
    "width", "padding", "weights",
)  # fmt: skip
_positive_int = whole_number(1)
_non_negative_int = whole_number(0)
_seed = whole_number(0, 2**32 - 1)  # what Keras takes


def make_parser() -> argparse.ArgumentParser:
    """The command's parser, with the options of pruning and of recognizers."""
    parser = OneLineParser(
        prog="stn-train",
        description="Train a lightweight Spatial Transformer Network on synthesised frames. "
        "Run the same command again to go on after Ctrl-C.",
    )
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.keras", help="for --quantize-aware and --prune")
    parser.add_argument("--out", type=Path, metavar="FILE.keras", help="the trained model")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_argument(
        "--quantize-aware",
        action="store_true",
        help="fine-tune MODEL.keras until its INT8 file gives the poses that it gives in float",
    )
    parser.add_argument("--evaluate", type=Path, metavar="FILE.keras", help="only print the tables of a trained model")
    net = parser.add_argument_group("network")
    labelled = "; %s behind a recognizer"
    net.add_argument("--input-shape", type=shape(3), metavar="HxWxC", help="default 64x64x3" + labelled % "42x42x1")
    net.add_argument(
        "--transform", choices=("affine", "projective", "tps"), help="default projective" + labelled % "affine"
    )
    net.add_argument(
        "--output-shape",
        type=shape(2),
        metavar="HxW",
        help="of the rectified image; default the input's" + labelled % "28x28",
    )
    net.add_argument(
        "--body", choices=("separable", "fused"), default="separable", help="small, or with more plain convolutions"
    )
    net.add_argument(
        "--refine",
        action="store_true",
        help="a refine network, which sees the target as rectified so far: --out NAME.refine.keras beside NAME.keras",
    )
    net.add_argument(
        "--scan", type=Path, metavar="NAME.keras", help="with --refine: draw crops where this network looks, too"
    )
    net.add_argument("--localization", choices=("profiles", "flatten", "pooled"), default="profiles")
    net.add_argument("--localization-shape", type=shape(2), metavar="HxW", help="smaller copy the localization sees")
    net.add_argument(
        "--width",
        type=positive_number,
        default=1.0,
        help="factor on the channels; with a recognizer on its own",
    )
    net.add_argument("--padding", choices=("zeros", "border"), default="zeros")
    run = parser.add_argument_group("training")
    tuning = "; %s with --quantize-aware; %s behind a recognizer)"
    run.add_argument(
        "--samples", type=_positive_int, help="synthesised frames (default 20000" + tuning % (4000, "all images")
    )
    run.add_argument("--epochs", type=_positive_int, help="times each is drawn anew (default 20" + tuning % (10, 30))
    run.add_argument("--batch-size", type=_positive_int, default=128)
    run.add_argument(
        "--learning-rate", type=positive_number, help="at its highest (default 0.003; 0.001 with --quantize-aware)"
    )
    run.add_argument("--seed", type=_seed, default=0)
    run.add_argument(
        "--weights", type=Path, metavar="FILE.keras", help="trained network of the same kind to start from"
    )
    run.add_argument(
        "--targets", type=Path, metavar="DIR", help="upright pictures of your target, cut out along its edges"
    )
    run.add_argument("--backgrounds", type=Path, metavar="DIR", help="photographs as backgrounds and posters")
    run.add_argument("--jobs", type=_positive_int, default=os.cpu_count() or 1, help="processes that synthesise frames")
    add_pruning_options(parser)
    add_recognizer_options(parser)
    check = parser.add_argument_group("evaluation")
    check.add_argument(
        "--validate",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="real frames with a truth.json; repeatable",
    )
    check.add_argument(
        "--hold-out",
        type=_non_negative_int,
        default=1000,
        metavar="N",
        help="synthesised frames, or the last images of --data (default 1000)",
    )
    check.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE.png",
        help="verification sheet (default NAME.sheet.png beside --out, none with --evaluate)",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
