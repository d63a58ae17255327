"""The options of recognition, and the recognizer and its schedule that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from stn_rectify.runtime.command.option_groups import OptionGroup, option
from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.schedule import RecognitionSchedule, When
from stn_rectify.runtime.recognition.stage import LabelVote, RecognitionStage

#: The options that frames which do not follow one another have no use for.
OF_FOLLOWING_FRAMES = ("every", "recognize-when", "vote")


@dataclass(frozen=True)
class RecognitionOptions(OptionGroup):
    """The recognizer, and what it needs to be of use."""

    title: ClassVar[str] = "recognition"

    recognizer: str | None = option(
        None,
        "a .tflite that says what the rectified image shows (a classifier, or a CTC network that reads a text), "
        "or a bundled one (digits); without --output and --output-size it gets the image at the size it reads",
        metavar="FILE|NAME",
    )
    recognizer_sha256: str | None = option(
        None,
        "the SHA-256 that its file must have, as sha256sum prints it (that of FILE.sha256, where there is one)",
        metavar="HEX",
    )
    labels: str | None = option(None, "names of its classes, one a line (those in its file)", metavar="FILE")
    top_k: int | None = option(None, "give the K best labels, too (none)", whole_number(1), metavar="K")
    beam_width: int = option(
        1,
        "of a CTC network: search for the most probable text among N; 1 takes the most probable alignment (1)",
        whole_number(1),
        metavar="N",
    )
    every: int = option(
        1,
        "recognize a target in every K-th frame, at most; it keeps its label in between (1)",
        whole_number(1),
        metavar="K",
    )
    recognize_when: When = option(
        "always",
        "recognize always (default), only while the target is steady, or only when its picture has changed",
        choices=get_args(When),
    )
    vote: int = option(
        1, "the label is the majority of the target's last N recognitions (1)", whole_number(1), metavar="N"
    )


def open_recognizer(
    options: RecognitionOptions, *, threads: int, limits: ModelLimits | None = None
) -> Recognizer | None:
    """The recognizer that the options ask for, if they do.

    Args:
        options: ask for it.
        threads: that it computes with.
        limits: how much its file may unpack to; None for the default ones.

    Raises:
        ModelFileError: if the file is missing, damaged or no recognizer, or the labels do not fit it.
        UsageError: if the labels cannot be read, or the beam width does not fit the recognizer.
        StnRectifyError: if no interpreter works in this environment.
    """
    if options.recognizer is None:
        return None
    return Recognizer(
        options.recognizer,
        threads=threads,
        labels=options.labels,
        beam_width=options.beam_width,
        sha256=options.recognizer_sha256,
        limits=limits,
    )


def recognition_stage(options: RecognitionOptions, recognizer: Recognizer | None) -> RecognitionStage | None:
    """The recognizer with the schedule and the vote that the options ask for."""
    if recognizer is None:
        return None
    return RecognitionStage(
        recognizer,
        schedule=RecognitionSchedule(options.every, options.recognize_when),
        vote=LabelVote(options.vote) if options.vote > 1 else None,
        top_k=options.top_k or 0,
    )
