"""Who reads the rectified image, and when: the options, and the recognizer they ask for."""

from __future__ import annotations

import argparse
from typing import get_args

from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.schedule import RecognitionSchedule, When
from stn_rectify.runtime.recognition.stage import LabelVote, RecognitionStage

__all__ = [
    "OF_FOLLOWING_FRAMES",
    "add_recognition_options",
    "check_recognition_options",
    "open_recognizer",
    "recognition_stage",
]

#: The options that frames which do not follow one another have no use for, as arguments are called.
OF_FOLLOWING_FRAMES = ("every", "recognize_when", "vote")

_DEFAULTS = {"labels": None, "top_k": None, "beam_width": 1, "every": 1, "recognize_when": "always", "vote": 1}


def add_recognition_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of recognition."""
    group = parser.add_argument_group("recognition")
    group.add_argument(
        "--recognizer",
        metavar="FILE|NAME",
        help="a .tflite that says what the rectified image shows (a classifier, or a CTC network that reads a text), "
        "or a bundled one (digits); without --output and --output-size it gets the image at the size it reads",
    )
    group.add_argument("--labels", metavar="FILE", help="names of its classes, one a line (those in its file)")
    group.add_argument("--top-k", type=whole_number(1), metavar="K", help="give the K best labels, too (none)")
    group.add_argument(
        "--beam-width",
        type=whole_number(1),
        default=_DEFAULTS["beam_width"],
        metavar="N",
        help="of a CTC network: search for the most probable text among N; 1 takes the most probable alignment (1)",
    )
    group.add_argument(
        "--every",
        type=whole_number(1),
        default=_DEFAULTS["every"],
        metavar="K",
        help="recognize a target in every K-th frame, at most; it keeps its label in between (1)",
    )
    group.add_argument(
        "--recognize-when",
        choices=get_args(When),
        default=_DEFAULTS["recognize_when"],
        help="recognize always (default), only while the target is steady, or only when its picture has changed",
    )
    group.add_argument(
        "--vote",
        type=whole_number(1),
        default=_DEFAULTS["vote"],
        metavar="N",
        help="the label is the majority of the target's last N recognitions (1)",
    )


def check_recognition_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: options do not go together.
    """
    for key, default in _DEFAULTS.items():
        if getattr(arguments, key) == default:
            continue
        option = f"--{key.replace('_', '-')}"
        if arguments.recognizer is None:
            raise UsageError(f"{option} needs --recognizer")
        if key in OF_FOLLOWING_FRAMES and arguments.camera is None and arguments.video is None:
            raise UsageError(f"{option} needs --camera or --video: images do not follow one another")


def open_recognizer(arguments: argparse.Namespace) -> Recognizer | None:
    """The recognizer that the options ask for."""
    if arguments.recognizer is None:
        return None
    return Recognizer(
        arguments.recognizer, threads=arguments.threads, labels=arguments.labels, beam_width=arguments.beam_width
    )


def recognition_stage(arguments: argparse.Namespace, recognizer: Recognizer | None) -> RecognitionStage | None:
    """The recognizer with the schedule and the vote that the options ask for."""
    if recognizer is None:
        return None
    return RecognitionStage(
        recognizer,
        schedule=RecognitionSchedule(arguments.every, arguments.recognize_when),
        vote=LabelVote(arguments.vote) if arguments.vote > 1 else None,
        top_k=arguments.top_k or 0,
    )
