"""`stn-train`: trains a Spatial Transformer Network on synthesised frames, or tunes or prunes a trained one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_rectify.models.command.options import NETWORK_OPTIONS, make_parser
from stn_rectify.models.command.pruning_options import pruning_course
from stn_rectify.models.command.recognizer_options import (
    learns_from_labels,
    run_recognizer_training,
)
from stn_rectify.models.command.workstation import run_command
from stn_rectify.models.files import check_refine_name, is_refine_file, scan_file_of
from stn_rectify.runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.evaluation.known_frames import KnownFrames
    from stn_rectify.models.training.course import Course

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Runs `stn-train`; returns the exit status."""
    args = make_parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return run_command(
        "stn-train",
        lambda: _run(args),
        when_stopped="stopped; run the same command again to go on",
        debug=args.debug,
    )


def _run(args: argparse.Namespace) -> int:
    if args.sheet is not None and not args.sheet.parent.is_dir():
        raise UsageError(f"--sheet {args.sheet}: there is no folder {args.sheet.parent}: make it, or choose another")
    if learns_from_labels(args):
        return run_recognizer_training(args, make_parser().parse_args([]), _course(args), _prepare_out)
    if (args.out is None) == (args.evaluate is None):
        raise UsageError("give either --out FILE.keras to train or --evaluate FILE.keras")
    if args.model is not None and args.prune is not None and args.quantize_aware:
        raise UsageError("--prune and --quantize-aware come one after the other: give one of them, then its result")
    given = [name for name in ("prune_steps", "importance") if getattr(args, name) is not None and args.prune is None]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} is for pruning: give --prune FRACTION, too")
    if (args.model is not None) != (args.quantize_aware or args.prune is not None):
        raise UsageError(
            "to tune a trained model for INT8 give --quantize-aware MODEL.keras --out FILE.keras, to make it smaller "
            "--prune FRACTION MODEL.keras --out FILE.keras"
        )
    from stn_rectify.models.evaluation.known_frames import read_truth

    known = [read_truth(folder) for folder in args.validate]  # before the long work
    if args.evaluate:
        _print_errors(_load(args.evaluate), args, known)
        return 0
    model = _train(args) if args.model is None else _change(args)
    beside = " and ".join(args.out.with_suffix(suffix).name for suffix in (".calibration.npz", ".curve.png"))
    print(f"wrote {args.out}, {beside}", flush=True)
    try:
        _print_errors(model, args, known)
    except KeyboardInterrupt:  # nothing is left to go on with
        print(f"stn-train: stopped; for the tables give --evaluate {args.out}", file=sys.stderr)
        return 130
    except DataError as error:
        print(f"no tables or no sheet: {error}", flush=True)  # the model is trained and written all the same
    return 0


def _load(file: Path) -> keras.Model:
    from stn_rectify.models.network.cost import stn_cost
    from stn_rectify.models.network.keras_file import load_model
    from stn_rectify.models.network.pose import pose_predictor

    model = load_model(file)
    try:
        pose_predictor(model)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    print(stn_cost(model), flush=True)
    return model


def _train(args: argparse.Namespace) -> keras.Model:
    from stn_rectify.models.network.cost import stn_cost
    from stn_rectify.models.training.pose_training import TrainingRecipe, train
    from stn_rectify.runtime.rectifying.crops import REFINE_MARGIN

    input_shape = args.input_shape or (64, 64, 3)
    if input_shape[2] not in (1, 3):
        raise UsageError("--input-shape must be HxWx1 or HxWx3")
    recipe = TrainingRecipe(
        input_shape=input_shape,
        transform=args.transform or "projective",
        output_shape=args.output_shape,
        body=args.body,
        refine_margin=REFINE_MARGIN if args.refine else None,
        scan=str(args.scan) if args.scan else None,
        weights=str(args.weights) if args.weights else None,
        localization=args.localization,
        localization_shape=args.localization_shape,
        width=args.width,
        padding=args.padding,
        **_course(args),
    )
    _check_batch(recipe)
    check_refine_name(args.out, refines=args.refine)
    if args.scan and not args.refine:
        raise UsageError("--scan is for a refine network: give --refine, too")
    if args.scan and is_refine_file(args.scan):
        raise UsageError(f"--scan {args.scan} is a refine network: give the one whose poses it corrects")
    if args.refine and recipe.transform != "projective":
        raise UsageError(f"--transform {recipe.transform}: a refine network is projective")
    _prepare_out(args.out, args.overwrite)
    print(stn_cost(recipe.model()), flush=True)
    return train(recipe, args.out, jobs=args.jobs)


def _change(args: argparse.Namespace) -> keras.Model:
    """Tunes or prunes a trained model."""
    given = [name for name in NETWORK_OPTIONS if getattr(args, name) != make_parser().get_default(name)]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} is for a new network: {args.model} has its own")
    if args.out.resolve() == args.model.resolve():
        raise UsageError(f"--out {args.out} is the model to start from: give another --out")
    return _tune(args) if args.quantize_aware else _prune(args)


def _tune(args: argparse.Namespace) -> keras.Model:
    from stn_rectify.models.quantization import FineTuning, fine_tune
    from stn_rectify.runtime.rectifying.crops import REFINE_MARGIN

    refines = is_refine_file(args.model)
    check_refine_name(args.out, refines=refines)
    margin = REFINE_MARGIN if refines else None
    course = FineTuning(**_course(args), refine_margin=margin)
    _check_batch(course)
    _prepare_out(args.out, args.overwrite)
    return fine_tune(args.model, course, args.out, jobs=args.jobs)


def _prune(args: argparse.Namespace) -> keras.Model:
    from stn_rectify.models.network.cost import stn_cost
    from stn_rectify.models.pruning import prune

    course = pruning_course(args, _course(args))
    _check_batch(course)
    _prepare_out(args.out, args.overwrite)
    model = prune(args.model, course, args.out, jobs=args.jobs)
    print(stn_cost(model), flush=True)
    return model


def _course(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of a training; those not given are left to their defaults."""
    names = ("samples", "epochs", "batch_size", "learning_rate", "seed")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    folders = {name: str(folder) for name in ("backgrounds", "targets") if (folder := getattr(args, name))}
    return {**given, **folders}


def _check_batch(course: Course) -> None:
    if course.samples < course.batch_size:
        raise UsageError(f"--samples {course.samples} is less than one batch of {course.batch_size}")


def _prepare_out(out: Path, overwrite: bool) -> None:
    """Refuses what cannot be written at the end of the training; makes the folder."""
    if out.suffix != ".keras":
        raise UsageError(f"--out {out}: the file name must end in .keras")
    try:
        if out.is_dir():
            raise UsageError(f"--out {out} is a folder: give the name of a file")
        if out.exists() and not overwrite:
            raise UsageError(f"{out} exists: give --overwrite to replace it, or another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        reason = f"{out.parent} is no folder" if isinstance(error, FileExistsError) else error.strerror or error
        raise UsageError(f"--out {out} cannot be written ({reason}): choose another --out") from error


def _print_errors(model: keras.Model, args: argparse.Namespace, known: list[KnownFrames]) -> None:
    from stn_rectify.models.evaluation.evaluate import can_be_evaluated, evaluate
    from stn_rectify.models.evaluation.known_frames import synthesised_hold_out

    file = args.out or args.evaluate
    if not (args.hold_out or known):
        return
    if not can_be_evaluated(file):
        print(f"no tables: a refine network is evaluated with its scan network, {scan_file_of(file).name} beside it")
        return
    hold_out = [synthesised_hold_out(args.hold_out, args.seed, args.backgrounds, args.targets)] if args.hold_out else []
    sheet = args.sheet or (args.out.with_suffix(".sheet.png") if args.out else None)
    found = evaluate(model, file, [*hold_out, *known])
    print(found.table, flush=True)
    if sheet is not None and found.shown:
        found.save_sheet(sheet)
        print(f"wrote {sheet.name}", flush=True)
