"""The groups of options that several subcommands of ``stn-train`` take, and the checks of the files they name."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.models.command.subcommand import choice, flag, option, repeated, required
from stn_rectify.runtime.command.parsing import positive_number, whole_number
from stn_rectify.runtime.errors import UsageError

__all__ = [
    "SEED",
    "CourseOptions",
    "EvaluationOptions",
    "FrameOptions",
    "NetworkOptions",
    "ResultOptions",
    "prepare_out",
    "sheet_file",
]

#: An option's type: a seed that Keras takes.
SEED = whole_number(0, 2**32 - 1)


def _frame_shape(text: str) -> tuple[int, int, int]:
    height, width, channels = _sizes(text, "64x64x3")
    if channels not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither HxWx1 nor HxWx3")
    return height, width, channels


def _image_shape(text: str) -> tuple[int, int]:
    height, width = _sizes(text, "64x64")
    return height, width


def _sizes(text: str, form: str) -> list[int]:
    sizes = [int(part) if part.isdecimal() else 0 for part in text.lower().split("x")]
    if len(sizes) != form.count("x") + 1 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form {form}")
    return sizes


def sheet_file(text: str) -> Path:
    """An option's type: a file in a folder that is there."""
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}: make it, or choose another")
    return file


@dataclass(frozen=True)
class ResultOptions:
    """The file that is written."""

    out: Path = required(Path, "FILE.keras", "the trained model")
    overwrite: bool = flag("replace an existing --out")


@dataclass(frozen=True)
class NetworkOptions:
    """The sizes of a new network."""

    input_shape: tuple[int, int, int] = option(_frame_shape, (64, 64, 3), "HxWxC", "of the frames; C is 1 or 3")
    transform: str = choice(("projective", "affine", "tps"), "what the network can undo")
    output_shape: tuple[int, int] | None = option(
        _image_shape, None, "HxW", "of the rectified image (default: the input's; 28x28 for digits of 42x42x1)"
    )
    localization_shape: tuple[int, int] | None = option(
        _image_shape, None, "HxW", "smaller copy that the localization network sees"
    )
    width: float = option(
        positive_number,
        1.0,
        "FACTOR",
        "on the channels of the localization network, or of the recognizer if there is one",
    )
    padding: str = choice(("zeros", "border"), "what lies around a frame")


@dataclass(frozen=True)
class CourseOptions:
    """A course of training."""

    epochs: int = option(whole_number(1), 20, "N", "times each frame is drawn anew")
    batch_size: int = option(whole_number(1), 128, "N", "frames in a step")
    learning_rate: float = option(positive_number, 3e-3, "RATE", "at its highest")


@dataclass(frozen=True)
class FrameOptions:
    """The choice of the frames that are synthesised."""

    seed: int = option(SEED, 0, "N", "of all random numbers")
    targets: Path | None = option(Path, None, "DIR", "upright pictures of your target, cut out along its edges")
    backgrounds: Path | None = option(Path, None, "DIR", "photographs as backgrounds and posters")


@dataclass(frozen=True)
class EvaluationOptions:
    """The frames that a finished model is tried on; those held out come from another seed than those of a training."""

    validate: list[Path] = repeated(Path, "DIR", "real frames with a truth.json; repeatable")
    hold_out: int = option(whole_number(0), 1000, "N", "synthesised frames of another seed")
    sheet: Path | None = option(
        sheet_file, None, "FILE.png", "verification sheet (default: NAME.sheet.png beside --out, if there is one)"
    )


def prepare_out(out: Path, *, overwrite: bool) -> None:
    """Makes the folder of a file that is written at the end of a training.

    Raises:
        UsageError: if ``out`` is no .keras file, cannot be written, or exists and must not be replaced.
    """
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
