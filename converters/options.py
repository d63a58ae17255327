"""The options of a conversion and of a batch; importing them does not import TensorFlow."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stn_rectify.converters.custom_code import CustomCode
from stn_rectify.converters.kept_file import KeptFile
from stn_rectify.runtime.command.parsing.option_groups import (
    OptionGroup,
    choice,
    flag,
    option,
    pair,
    positionals,
    required,
)
from stn_rectify.runtime.command.parsing.parser import number, share, whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.labels import read_labels
from stn_rectify.runtime.model.metadata import MAX_PASSES

#: Refinement passes that a file asks for if nobody says otherwise.
DEFAULT_PASSES = 3

#: What a look at the whole frame counts where a dense network sees nothing, if nobody says otherwise.
DEFAULT_WEIGHT = 0.45

_GATE = "what a model must reach, or it fails and gets no .tflite"
_MANY = "many models"


def _labels(file: str) -> tuple[str, ...]:
    try:
        return read_labels(file)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _input_shape(text: str) -> tuple[int, ...]:
    sizes = [int(part) if part.isdecimal() else 0 for part in text.lower().split("x")]
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither HxW nor HxWxC, such as 64x96 or 64x96x3")
    return tuple(sizes)


def _text(word: str) -> str:
    return word.encode("utf-8", "backslashreplace").decode()  # bytes that are no text cannot be read back


@dataclass(frozen=True)
class ConversionOptions(OptionGroup):
    """The choice of how to convert.

    Attributes:
        calibration: folder of images or .npz file, see `read_frames`.
        pose_only: leave the sampler out: the runtime warps the full-resolution frame.
        value_range: what pixel values 0 and 255 are to the Keras model.
        input_shape: height and width, and perhaps channels, of the frame of a model that was saved for any; None: it
            was saved for one.
        labels: lines for labels.txt.
        description: one line for the metadata.
        latency: measure the file beside its float32 twin for the report; some seconds.
        channels: the order of the model's three channels, ``"rgb"`` or ``"bgr"``.
        custom_objects: code that the model needs to be loaded; None: none, and no code of the model is run.
        accept_border: take the nearest of our paddings for a sampler whose own is none of them.
        into: the finished file that a turn network goes into; None: into that of the model beside it.
        refine_passes: how many passes of a refine network, if the model has one, a `Rectifier` makes unasked.
        whole_weight: what the scores of a network that sees the whole frame count beside those of the dense network
            in whose file it is.
        refit_head: fit θ's linear function to the quantized features, where that helps (`head_refit`).
        overwrite: replace existing files.
        validation: frames with known truth for the report's checks; None: the calibration frames.
        min_score: from which on a target counts as found, for the metadata; None: the runtime's own choice.
        max_corner_error: largest corner error float↔INT8, pixels at the model's size, that passes; None: any.
        max_score_error: largest difference of a dense network's scores float↔INT8 that passes; None: any.
        min_coverage: least share of the target inside the rectified image that passes; None: any.
    """

    calibration: Path = required(
        "a hundred frames or more, as on the device: a folder of images, or an array `frames` (of stn-train)",
        Path,
        metavar="DIR|FILE.npz",
    )
    pose_only: bool = flag("leave the sampler out; the runtime warps the full-resolution frame")
    value_range: tuple[float, float] = pair(
        (0.0, 1.0), "what pixel values 0 and 255 are to the model (default 0 1)", float, metavar=("LOW", "HIGH")
    )
    channels: str = choice(
        ("rgb", "bgr"), "order in which the model was trained to see three channels; bgr as cv2.imread gives them"
    )
    input_shape: tuple[int, ...] | None = option(
        None, "of the frames of a model that was saved for any size: height, width", _input_shape, metavar="HxW[xC]"
    )
    labels: tuple[str, ...] = option((), "labels.txt to append, one label a line", _labels, metavar="FILE")
    description: str = option("", "one line for the metadata", _text)
    min_score: float | None = option(
        None,
        "score from which on a target counts as found, 0 to 1, where the user of the file gives none (default: "
        "stn-rectify's own)",
        share,
        metavar="SCORE",
    )
    latency: bool = flag("measure it for the report; leaving it out saves seconds", default=True)
    custom_objects: CustomCode | None = option(
        None,
        "classes and functions that a .keras or .h5 file needs; this RUNS THE CODE of FILE.py, and of Lambda layers in "
        "the model: give it for models that you trust only",
        CustomCode.read,
        metavar="FILE.py",
    )
    accept_border: bool = flag(
        "of a sampler that reads outside the frame as none of ours does, take the nearest; says how many pixels differ"
    )
    into: KeptFile | None = option(
        None,
        "of a NAME.turn.keras alone, with its own frames as --calibration: a finished model, whose other networks stay "
        "bit for bit as they are",
        KeptFile.read,
        metavar="FILE.tflite|NAME",
    )
    refine_passes: int = option(
        DEFAULT_PASSES,
        "of the network NAME.refine.keras beside NAME.keras, that the file asks for (%(default)s)",
        whole_number(0, MAX_PASSES),
        metavar="N",
    )
    whole_weight: float = option(
        DEFAULT_WEIGHT,
        "of the network NAME.whole.keras beside a dense NAME.keras: what its scores count where the dense network sees "
        "nothing, above 0 to 1 (%(default)s)",
        number("a number above 0, at most 1", lambda value: 0 < value <= 1),
        metavar="WEIGHT",
    )
    refit_head: bool = flag("fit theta's layer to the quantized features where that helps", default=True)
    overwrite: bool = flag("replace existing files that are not of an earlier run")
    validation: Path | None = option(
        None, "frames with known corners, for the report's checks", Path, metavar="DIR|FILE.npz", section=_GATE
    )
    max_corner_error: float | None = option(
        None,
        "float to INT8, in 19 of 20 frames at most (95th percentile), pixels at the model's size",
        number("a number from 0", lambda value: 0 <= value < math.inf),
        metavar="PX",
        section=_GATE,
    )
    max_score_error: float | None = option(
        None,
        "of a dense network, float to INT8, at 19 of 20 cells that see a target at most, 0 to 1",
        share,
        metavar="SCORE",
        section=_GATE,
    )
    min_coverage: float | None = option(
        None,
        "of the target that stays inside, in 19 of 20 frames at least, 0 to 1; needs frames with known corners",
        share,
        metavar="SHARE",
        section=_GATE,
    )

    def custom_names(self) -> dict[str, Any] | None:
        """What the code of `custom_objects` defines, by name, for Keras; runs it. None without it.

        Raises:
            DataError: if it raises.
        """
        return None if self.custom_objects is None else self.custom_objects.run()

    def summary(self) -> dict[str, Any]:
        """The options by name, for JSON; code and a finished file by their names and hashes alone."""
        files = {"custom_objects": self.custom_objects, "into": self.into}
        named = {name: file and {"file": file.file, "sha256": file.sha256} for name, file in files.items()}
        return {**asdict(replace(self, custom_objects=None, into=None)), **named}

    def __post_init__(self) -> None:
        low, high = self.value_range
        if not -math.inf < low <= 0 <= high < math.inf or not low < high:
            raise UsageError(
                f"--value-range {low:g} {high:g}: needs numbers LOW <= 0 <= HIGH, because the sampler's margin is 0"
            )


@dataclass(frozen=True)
class BatchOptions(OptionGroup):
    """The choice of models that ``stn-convert`` converts, and of the place.

    Attributes:
        inputs: files, folders and patterns, see `find_models`.
        out: the folder for the results.
        jobs: conversions at a time on this machine; None: by cores and memory.
        scheduler: address of a Dask scheduler, on whose workers to convert; None: on this machine.
        force: convert unchanged models, too.
        debug: show tracebacks and what TensorFlow printed.
    """

    inputs: tuple[str, ...] = positionals(
        ".keras, .h5 and .onnx files (NAME.recognizer.keras: a recognizer of its own), SavedModel folders, folders of "
        "these, 'glob*patterns'",
        metavar="INPUT",
    )
    out: Path = required("for NAME.tflite, its report, manifest", Path, metavar="DIR")
    jobs: int | None = option(
        None, "at a time (default: by cores and memory)", whole_number(1), metavar="N", section=_MANY
    )
    scheduler: str | None = option(
        None, "convert on the workers of a Dask cluster", metavar="tcp://HOST:PORT", section=_MANY
    )
    force: bool = flag("convert unchanged models, too")
    debug: bool = flag("show tracebacks and what TensorFlow printed")

    def __post_init__(self) -> None:
        if self.jobs and self.scheduler:
            raise UsageError("--jobs is for this machine: with --scheduler the workers' threads say how many at a time")
