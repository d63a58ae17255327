"""The options for finding the target and making it upright, and the rectifier that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from stn_rectify.runtime.command.options.values import (
    PIXEL_SOURCES,
    Count,
    Size,
    byte_count,
    cutoff,
    output,
    size,
    target_margin,
)
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag, option, texts
from stn_rectify.runtime.command.parsing.parser import share, whole_number
from stn_rectify.runtime.model.limits import ARCHIVE_BYTES, TENSOR_BYTES, ModelLimits
from stn_rectify.runtime.model.metadata import MAX_PASSES
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.pipeline import MAX_TARGETS
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES

#: The options that frames which do not follow one another have no use for.
OF_FOLLOWING_TARGETS = ("smooth", "smooth-cutoff", "scan-every")


@dataclass(frozen=True)
class ModelOptions(OptionGroup):
    """The model, and the image that is made with it."""

    title: ClassVar[str] = "model"

    model: str | None = option(None, "a .tflite from stn-convert, or a bundled model (general)", metavar="FILE|NAME")
    threads: int = option(1, "threads of the interpreter, at most one for each core (1)", whole_number(1), metavar="N")
    output: tuple[str, ...] | None = texts(
        "pixels of the rectified image: from the full-resolution frame (default) or from the graph; or a video "
        f"file to write ({' '.join(VIDEO_SUFFIXES)}); or both",
        output,
        metavar="frame|model|FILE",
    )
    output_size: Size | None = option(
        None, "size of the rectified image; Wx and xH keep the target's aspect (the target's own)", size, metavar="WxH"
    )
    refine: int | None = option(
        None,
        "further looks at the target, 0 for none (the model's own number, more while corners move)",
        whole_number(0, MAX_PASSES),
        metavar="N",
    )
    scan: Literal["fast", "full", "fine"] = option(
        "full",
        "how closely a dense model looks at the frame: for large targets (fast), full (default), for tiny ones (fine)",
        choices=("fast", "full", "fine"),
    )
    margin: float | None = option(
        None,
        "what the image shows around the target, as a share of its sides (0, or what the recognizer was trained with)",
        target_margin,
        metavar="SHARE",
    )
    upright: Literal["auto", "off"] = option(
        "auto",
        "turn a target that stands on its side or head where the model is sure of it (default), or leave it; the "
        "bundled general and single have the network for it",
        choices=("auto", "off"),
    )
    max_archive_bytes: Count = option(
        Count("4M", ARCHIVE_BYTES),
        "what the archive in a model's or a recognizer's file may unpack to (%(default)s)",
        byte_count,
        metavar="SIZE",
    )
    max_tensor_bytes: Count = option(
        Count("1G", TENSOR_BYTES),
        "what the tensors of such a file may come to in sum (%(default)s)",
        byte_count,
        metavar="SIZE",
    )

    @property
    def limits(self) -> ModelLimits:
        """How much a model file may unpack to."""
        return ModelLimits(self.max_archive_bytes.number, self.max_tensor_bytes.number)

    @property
    def pixel_source(self) -> str | None:
        """The origin of the rectified image's pixels, by the last such word of ``--output``; None if there is none."""
        return next((word for word in reversed(self.output or ()) if word in PIXEL_SOURCES), None)

    @property
    def video_file(self) -> str | None:
        """The video that ``--output`` names, the command line's rather than a file's."""
        return next((word for word in reversed(self.output or ()) if word not in PIXEL_SOURCES), None)


@dataclass(frozen=True)
class TargetOptions(OptionGroup):
    """The rule by which something counts as a target, and the treatment of its corners and of misses."""

    title: ClassVar[str] = "targets"

    max_targets: int = option(1, "targets to find in a frame, at most (1)", whole_number(1, MAX_TARGETS), metavar="N")
    min_score: float | None = option(
        None, "lowest score of a target, 0 to 1 (the model's own, where its file names one)", share, metavar="S"
    )
    on_miss: Literal["pass", "skip"] = option(
        "pass",
        "a frame without a target: pass it on, below --min-score unrectified (default), or skip it",
        choices=("pass", "skip"),
    )
    smooth: bool = flag("smooth the corners from frame to frame")
    smooth_cutoff: float = option(
        1.0,
        "cutoff of --smooth where the target rests, Hz: lower trembles less and follows later (1)",
        cutoff,
        metavar="HZ",
    )
    scan_every: int = option(
        1,
        "scan every K-th frame for targets; in between follow those that there are, which takes less (1)",
        whole_number(1),
        metavar="K",
    )


def open_rectifier(model: ModelOptions, recognizer: object, *, smooth: bool) -> Rectifier:
    """The rectifier that the options ask for, its images as a `Recognizer` knows them if nothing else is asked for.

    Args:
        model: the options.
        recognizer: reads its images; those that are no `Recognizer` get images of their own (`Rectifier.sample_at`).
        smooth: whether corners are smoothed: the graph's own image knows nothing of other frames.

    Raises:
        ModelFileError: if the model is missing or damaged.
        UsageError: if an option does not fit the model.
        StnRectifyError: if no interpreter works in this environment.
    """
    wanted: dict[str, Any]
    if not isinstance(recognizer, Recognizer) or model.pixel_source is not None or model.output_size is not None:
        wanted = {"output": model.pixel_source or "frame", "output_size": model.output_size}
    elif smooth or model.margin:
        wanted = {"output_size": recognizer.input_size, "margin": recognizer.file.margin}
    else:
        wanted = recognizer.output_options(ModelFile.open(model.model, limits=model.limits), model.refine)
    if model.margin is not None:
        wanted["margin"] = model.margin
    looks: dict[str, Any] = {
        "refine": model.refine, "scan": model.scan, "upright": model.upright, "limits": model.limits,
    }  # fmt: skip
    return Rectifier(model.model, threads=model.threads, **looks, **wanted)
