"""How the target is found and made upright: the options, and the rectifier they ask for."""

from __future__ import annotations

import argparse
from typing import Any

from stn_rectify.runtime.command.option_types import PIXEL_SOURCES, output, size
from stn_rectify.runtime.command.parsing import share, whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.metadata import MAX_PASSES
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES

__all__ = ["add_target_options", "check_target_options", "open_rectifier", "pixel_source", "video_file"]


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the model and of what becomes of its targets."""
    _add_model(parser)
    _add_tracking(parser)


def check_target_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: options do not go together.
    """
    if arguments.smooth and arguments.camera is None and arguments.video is None:
        raise UsageError("--smooth needs --camera or --video: images do not follow one another")


def pixel_source(arguments: argparse.Namespace) -> str | None:
    """Where ``--output`` takes the pixels of the rectified image from; None if it does not say."""
    return next((word for word in reversed(arguments.output or []) if word in PIXEL_SOURCES), None)


def video_file(arguments: argparse.Namespace) -> str | None:
    """The video that ``--output`` names, the command line's rather than a file's."""
    return next((word for word in reversed(arguments.output or []) if word not in PIXEL_SOURCES), None)


def open_rectifier(arguments: argparse.Namespace, recognizer: Recognizer | None) -> Rectifier:
    """The rectifier that the options ask for, its images as the recognizer knows them if nothing else is asked for."""
    return Rectifier(
        arguments.model, threads=arguments.threads, refine=arguments.refine, **_output(arguments, recognizer)
    )


def _output(arguments: argparse.Namespace, recognizer: Recognizer | None) -> dict[str, Any]:
    pixels = pixel_source(arguments)
    if recognizer is None or pixels is not None or arguments.output_size is not None:
        return {"output": pixels or "frame", "output_size": arguments.output_size}
    if arguments.smooth:  # the graph's own image knows nothing of other frames
        return {"output_size": recognizer.input_size}
    return recognizer.output_options(ModelFile.open(arguments.model), arguments.refine)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="FILE|NAME", help="a .tflite from stn-convert, or a bundled model (general)")
    group.add_argument("--threads", type=whole_number(1), default=1, metavar="N", help="threads of the interpreter (1)")
    group.add_argument(
        "--output",
        type=output,
        action="extend",
        nargs="+",
        metavar="frame|model|FILE",
        help="pixels of the rectified image: from the full-resolution frame (default) or from the graph; or a video "
        f"file to write ({' '.join(VIDEO_SUFFIXES)}); or both",
    )
    group.add_argument(
        "--output-size",
        type=size,
        metavar="WxH",
        help="size of the rectified image; Wx and xH keep the target's aspect (the target's own)",
    )
    group.add_argument(
        "--refine",
        type=whole_number(0, MAX_PASSES),
        metavar="N",
        help="further looks at the target, 0 for none (the model's own number)",
    )


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("targets")
    group.add_argument("--min-score", type=share, metavar="S", help="lowest score of a target, 0 to 1 (none)")
    group.add_argument(
        "--on-miss",
        choices=("pass", "skip"),
        default="pass",
        help="a frame without a target: pass it on unrectified (default), or skip it",
    )
    group.add_argument("--smooth", action="store_true", help="smooth the corners from frame to frame")
