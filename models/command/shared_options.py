"""The groups of options that several subcommands of ``stn-train`` take, and the checks of the files they name."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from stn_rectify.models.files import network_file
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, choice, flag, option, repeated, required
from stn_rectify.runtime.command.parsing.parser import number, positive_number, whole_number
from stn_rectify.runtime.errors import UsageError

#: An option's type: a seed that Keras takes.
SEED = whole_number(0, 2**32 - 1)
_SHARE = number("a number above 0 and at most 1", lambda value: 0 < value <= 1)


def frame_shape(text: str) -> tuple[int, int, int]:
    """An option's type: height, width and channels, 1 or 3, of an image."""
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


@dataclass(frozen=True, kw_only=True)
class ResultOptions(OptionGroup):
    """The file that is written."""

    out: Path = required("the trained model", Path, metavar="FILE.keras")
    overwrite: bool = flag("replace an existing --out")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(OptionGroup):
    """The sizes of a new network."""

    input_shape: tuple[int, int, int] = option(
        (64, 64, 3), "of the frames; C is 1 or 3 (default %(default)s)", frame_shape, metavar="HxWxC"
    )
    transform: str = choice(("projective", "affine", "tps"), "what the network can undo")
    output_shape: tuple[int, int] | None = option(
        None, "of the rectified image (default: the input's; 28x28 for digits of 42x42x1)", _image_shape, metavar="HxW"
    )
    localization_shape: tuple[int, int] | None = option(
        None, "smaller copy that the localization network sees", _image_shape, metavar="HxW"
    )
    width: float = option(
        1.0,
        "on the channels of the localization network, or of the recognizer if there is one (default %(default)s)",
        positive_number,
        metavar="FACTOR",
    )
    padding: str = choice(("zeros", "border", "cut"), "what lies around a frame")


@dataclass(frozen=True, kw_only=True)
class SmallNetworkOptions(OptionGroup):
    """A new network that sees rectified targets, or a trained one to start from."""

    input_shape: tuple[int, int, int]
    width: float = option(1.0, "on its channels (default %(default)s)", positive_number, metavar="FACTOR")
    weights: Path | None = option(None, "trained network of its kind to start from", Path, metavar="FILE.keras|NAME")

    def weights_file(self, suffix: str) -> str | None:
        """The network to start from, whose file ends in ``suffix``; None to start untrained.

        Raises:
            UsageError: see `network_file`.
        """
        return str(network_file(self.weights, suffix)) if self.weights else None


@dataclass(frozen=True, kw_only=True)
class CourseOptions(OptionGroup):
    """A course of training."""

    epochs: int = option(20, "times each frame is drawn anew (default %(default)s)", whole_number(1), metavar="N")
    batch_size: int = option(128, "frames in a step (default %(default)s)", whole_number(1), metavar="N")
    learning_rate: float = option(3e-3, "at its highest (default %(default)s)", positive_number, metavar="RATE")

    def check_samples(self, samples: int) -> None:
        """Checks that so many samples fill a batch.

        Raises:
            UsageError: if they do not.
        """
        if samples < self.batch_size:
            raise UsageError(
                f"--samples {samples} is less than one batch of {self.batch_size}: give more, or a smaller --batch-size"
            )


@dataclass(frozen=True, kw_only=True)
class FrameOptions(OptionGroup):
    """The choice of the frames that are synthesised."""

    seed: int = option(0, "of all random numbers (default %(default)s)", SEED, metavar="N")
    targets: Path | None = option(None, "upright pictures of your target, cut out along its edges", Path, metavar="DIR")
    backgrounds: Path | None = option(None, "photographs as backgrounds and posters", Path, metavar="DIR")


class RealFrameArguments(TypedDict):
    """Arguments of `stn_rectify.models.training.course.course.RealCourse`."""

    frames: tuple[str, ...]
    frames_share: float


@dataclass(frozen=True, kw_only=True)
class RealFrameOptions(OptionGroup):
    """Annotated real frames, beside the synthesised ones."""

    frames: tuple[Path, ...] = repeated(
        "annotated frames to train on (truth.json, COCO, YOLO, labelme, CVAT, CCPD); repeatable", Path, metavar="DIR"
    )
    frames_share: float = option(
        0.5, "their share of the samples; 1 to synthesise none (default %(default)s)", _SHARE, metavar="SHARE"
    )

    def arguments(self) -> RealFrameArguments:
        """The arguments of `stn_rectify.models.training.course.course.RealCourse`.

        Raises:
            UsageError: if a share is given, but no frames.
        """
        self.check_needed("--frames", is_there=bool(self.frames))
        return {"frames": tuple(str(source) for source in self.frames), "frames_share": self.frames_share}


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(OptionGroup):
    """The frames that a finished model is tried on; those held out come from another seed than those of a training."""

    validate: tuple[Path, ...] = repeated("annotated real frames; repeatable", Path, metavar="DIR")
    hold_out: int = option(
        1000, "synthesised frames of another seed (default %(default)s)", whole_number(0), metavar="N"
    )
    sheet: Path | None = option(
        None,
        "verification sheet (default: NAME.sheet.png beside --out, if there is one)",
        sheet_file,
        metavar="FILE.png",
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
