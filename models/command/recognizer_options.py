"""`stn-train --supervision recognizer`: its options, and the run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_rectify.models.digits import DISTORTIONS
from stn_rectify.models.files import RECOGNIZER_SUFFIX, REFINE_SUFFIX
from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.errors import UsageError

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.recognition.labelled_images import LabelledImages
    from stn_rectify.models.recognition.recognizer_training import RecognizerCourse

__all__ = ["add_recognizer_options", "learns_from_labels", "run_recognizer_training"]

_SUPERVISIONS = ("pose", "recognizer", "both")
_FRAME, _UPRIGHT = (42, 42, 1), (28, 28)  # of the paper's digits
_NOT_HERE = (
    "body", "localization", "refine", "scan", "weights", "backgrounds", "targets", "validate", "evaluate",
    "model", "quantize_aware", "prune", "prune_steps", "importance",
)  # fmt: skip
_ONLY_HERE = ("data", "distortions", "pose_warm_up")
_TAKEN = (REFINE_SUFFIX, RECOGNIZER_SUFFIX)


def add_recognizer_options(parser: argparse.ArgumentParser) -> None:
    """Adds the argument group."""
    group = parser.add_argument_group("supervision by a recognizer")
    group.add_argument(
        "--supervision",
        choices=_SUPERVISIONS,
        default="pose",
        help="what teaches the localization network: known corners (default), the loss of a recognizer behind it, both",
    )
    group.add_argument(
        "--data", type=Path, metavar="DIR", help="labelled images, DIR/LABEL/IMAGE, or MNIST's idx files, plain or .gz"
    )
    group.add_argument(
        "--distortions",
        type=_distortions,
        metavar=",".join(DISTORTIONS),
        help="draw each image anew in each epoch under these distortions of the Spatial Transformer paper, or 'none' "
        "(default: all for idx files, none for folders, whose images are then the frames)",
    )
    group.add_argument(
        "--pose-warm-up",
        type=whole_number(0),
        metavar="N",
        help="epochs at the start in which the distortions' known poses teach, too (default 0)",
    )


def learns_from_labels(args: argparse.Namespace) -> bool:
    """Whether the options ask for supervision by a recognizer.

    Raises:
        UsageError: they ask for it only in part.
    """
    if args.supervision != "pose":
        return True
    given = [name for name in _ONLY_HERE if getattr(args, name) is not None]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} needs --supervision recognizer or both")
    return False


def run_recognizer_training(
    args: argparse.Namespace, defaults: argparse.Namespace, course: dict[str, Any], prepare_out: Any
) -> int:
    """Trains, writes the models and prints errors of held-out images; the exit status.

    Args:
        args: of the parser.
        defaults: what it gives without arguments.
        course: arguments of every course of training.
        prepare_out: refuses an --out that cannot be written.

    Raises:
        UsageError: options that do not go together.
        DataError: as `train_through_recognizer`.
    """
    given = [name for name in _NOT_HERE if getattr(args, name) != getattr(defaults, name)]
    if given:
        name = "MODEL.keras" if given[0] == "model" else f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{name} does not go together with --supervision {args.supervision}")
    if args.data is None or args.out is None:
        raise UsageError(f"--supervision {args.supervision} needs --data DIR and --out FILE.keras")
    from stn_rectify.models.network.cost import stn_cost
    from stn_rectify.models.recognition.held_out_sheet import save_held_out_sheet
    from stn_rectify.models.recognition.recognizer_training import train_through_recognizer

    if args.out.name.endswith(_TAKEN):
        raise UsageError(f"--out {args.out}: {' and '.join(_TAKEN)} are other networks' endings: give another --out")
    recipe, train, held_out = _recipe(args, course)
    for file in (args.out, args.out.with_suffix(".stn.keras"), args.out.with_suffix(RECOGNIZER_SUFFIX)):
        prepare_out(file, args.overwrite)
    print(stn_cost(recipe.model(len(train.names))), flush=True)
    model = train_through_recognizer(recipe, train, args.out)
    name = args.out.stem
    print(f"wrote {args.out}, its halves {name}.stn.keras and {name}{RECOGNIZER_SUFFIX}, frames, labels and curve")
    try:
        print(_error_table(model, recipe, held_out), flush=True)
        if len(held_out):
            sheet = args.sheet or args.out.with_suffix(".sheet.png")
            save_held_out_sheet(model, recipe, held_out, sheet)
            print(f"wrote {sheet.name}", flush=True)
    except KeyboardInterrupt:  # nothing is left to go on with
        print("stn-train: stopped; the model is there, the errors of the held-out images are not", file=sys.stderr)
        return 130
    return 0


def _recipe(
    args: argparse.Namespace, course: dict[str, Any]
) -> tuple[RecognizerCourse, LabelledImages, LabelledImages]:
    """The course, the images to train on, and the last ones, which are held out; images uint8 [N, h, w, C].

    The frames of the course are H×W×C; without distortions the images are the frames, with them two thirds as large.
    """
    from stn_rectify.models.recognition.labelled_images import read_labelled_images
    from stn_rectify.models.recognition.recognizer_training import RecognizerCourse

    shape = args.input_shape or _FRAME
    if shape[2] not in (1, 3):
        raise UsageError("--input-shape must be HxWx1 or HxWx3")
    is_idx = args.data.is_dir() and any(f.name.startswith("train-images") for f in args.data.iterdir())
    distortions = args.distortions if args.distortions is not None else DISTORTIONS if is_idx else ()
    if not distortions and (args.supervision == "both" or args.pose_warm_up):
        raise UsageError("poses are known of --distortions only: give some, or --supervision recognizer")
    upright = args.output_shape or (_UPRIGHT if shape == _FRAME else shape[:2])
    # Images that will be distorted are as large as what shall be seen of them, with room around; others fill the frame.
    size = (2 * shape[0] // 3, 2 * shape[1] // 3) if distortions else shape[:2]
    data = read_labelled_images(args.data, size, shape[2])
    if not distortions and data.images.shape[1:] != shape:  # idx files keep their size
        found = "x".join(map(str, data.images.shape[1:]))
        raise UsageError(f"{args.data} holds images of {found}: give --input-shape {found}, or --distortions")
    kept = len(data) - args.hold_out
    samples = min(course.get("samples", kept), kept)
    batch_size = course.get("batch_size", args.batch_size)
    if samples < batch_size:
        raise UsageError(
            f"{args.data}: {len(data)} images, {args.hold_out} of them held out, leave {max(samples, 0)} to train on, "
            f"less than one batch of {batch_size}: give a smaller --hold-out or --batch-size"
        )
    train = data[:samples]
    recipe = RecognizerCourse(
        **{**course, "samples": samples, "input_shape": shape},
        transform=args.transform or "affine",
        output_shape=upright,
        localization_shape=args.localization_shape,
        padding=args.padding,
        width=args.width,
        supervision=args.supervision,
        pose_warm_up=args.pose_warm_up or 0,
        distortions=distortions,
        data=train.digest,
    )
    return recipe, train, data[kept:]


def _error_table(model: keras.Model, recipe: RecognizerCourse, held_out: LabelledImages) -> str:
    from stn_rectify.models.recognition.recognizer_training import hold_out_error

    if not len(held_out):
        return "no images were held out"
    lines = [f"error on {len(held_out)} held-out images"]
    for kind in recipe.distortions or ("as they are",):
        error = hold_out_error(model, recipe, held_out, (kind,) if recipe.distortions else ())
        lines.append(f"{kind:<12}{100 * error:>7.2f} %")
    return "\n".join(lines)


def _distortions(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    names = tuple(text.split(","))
    wrong = [name for name in names if name not in DISTORTIONS]
    if wrong or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'none' nor some of {','.join(DISTORTIONS)}")
    return names
