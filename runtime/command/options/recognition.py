"""The options of recognition, and the recognizer, the rules for its texts and the schedule that they ask for."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias, get_args

from stn_rectify.runtime.command.options.values import seconds
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag, option
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.recognition.label_rules import LabelRules, check_format, read_known, read_names
from stn_rectify.runtime.recognition.readers import CommandRecognizer, load_recognizer
from stn_rectify.runtime.recognition.readers.guarded import GuardedRecognizer
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.schedule import RecognitionSchedule, When
from stn_rectify.runtime.recognition.stage import LabelVote, RecognitionStage

#: The options that frames which do not follow one another have no use for.
OF_FOLLOWING_FRAMES = ("every", "recognize-when", "vote")
#: What all others need.
NEEDED = "--recognizer or --recognizer-command"

#: What reads the targets of a run: a file of ours as it is, all else behind a guard.
RunRecognizer: TypeAlias = Recognizer | GuardedRecognizer


def label_format(text: str) -> str:
    """A regular expression."""
    try:
        return check_format(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@dataclass(frozen=True)
class RecognitionOptions(OptionGroup):
    """The recognizer, and what becomes a label of what it says."""

    title: ClassVar[str] = "recognition"

    recognizer: str | None = option(
        None,
        "says what the rectified image shows: rapidocr or tesseract (extras ocr, tesseract); a .tflite (a classifier, "
        "or a CTC network that reads a text), or a bundled one (digits, plates), which without --output and "
        "--output-size gets the image at the size it reads; PACKAGE.MODULE:FUNCTION; a name that another package has "
        "brought",
        metavar="NAME|FILE",
    )
    recognizer_command: str | None = option(
        None,
        "a program that reads: {} is the path of a picture, what it prints is the text",
        metavar="'PROGRAM {}'",
    )
    recognizer_timeout: float = option(
        10.0, "seconds that the program may take for a picture (10)", seconds, metavar="S"
    )
    text: Literal["line", "block"] | None = option(
        None,
        "what is to be read: one line, without a search for it (line), or several (block); for rapidocr and tesseract "
        "(line)",
        choices=("line", "block"),
    )
    labels: str | None = option(
        None, "of a .tflite: names of its classes, one a line (those in its file)", metavar="FILE"
    )
    recognizer_sha256: str | None = option(
        None,
        "of a .tflite: the SHA-256 that its file must have, as sha256sum prints it (that of FILE.sha256, if any)",
        metavar="HEX",
    )
    beam_width: int = option(
        1,
        "of a CTC network: search for the most probable text among N; 1 takes the most probable alignment (1)",
        whole_number(1),
        metavar="N",
    )
    label_characters: str | None = option(
        None, "leave all others out of labels, such as A-Z0-9, which makes capitals of small letters", metavar="SET"
    )
    known: str | None = option(
        None, "labels that there are, one a line: a text becomes the nearest of them", metavar="FILE"
    )
    known_distance: int = option(
        1, "characters that may be wrong, missing or too many for that (1)", whole_number(0), metavar="K"
    )
    min_label_length: int = option(0, "throw shorter labels away, in characters (0)", whole_number(0), metavar="N")
    label_format: str | None = option(
        None,
        "throw labels away that do not match this as a whole, such as '[A-Z]{2}[0-9]{4}'",
        label_format,
        metavar="REGEX",
    )
    lookalikes: bool = flag(
        "exchange characters that look alike, such as 0 and O, where a label matches --label-format only then",
        default=True,
    )
    label_map: str | None = option(
        None, "other names of labels, which are given in their place: lines LABEL = NAME, or JSON", metavar="FILE"
    )

    @property
    def is_named(self) -> bool:
        """Tells whether there is to be a recognizer."""
        return self.recognizer is not None or self.recognizer_command is not None

    def check_together(self) -> None:
        """Checks that the options go together.

        Raises:
            UsageError: if they do not, or one is of no use.
        """
        if self.recognizer is not None and self.recognizer_command is not None:
            raise UsageError("--recognizer and --recognizer-command exclude each other: keep one of them")
        self.check_needed(NEEDED, is_there=self.is_named)
        changed = self.changed()
        if self.recognizer_command is None and "recognizer-timeout" in changed:
            raise UsageError("--recognizer-timeout needs --recognizer-command")
        if self.recognizer_command is not None:
            for name in ("text", "labels", "beam-width", "recognizer-sha256"):
                if name in changed:
                    raise UsageError(f"--{name} has no meaning for --recognizer-command: leave it out")
        if self.known is None and "known-distance" in changed:
            raise UsageError("--known-distance needs --known FILE")
        if self.label_format is None and not self.lookalikes:
            raise UsageError("--no-lookalikes needs --label-format REGEX")


@dataclass(frozen=True)
class ScheduleOptions(OptionGroup):
    """When the recognizer is asked, and what is made of its answers."""

    title: ClassVar[str] = "recognition from frame to frame"

    top_k: int | None = option(None, "give the K best labels, too (none)", whole_number(1), metavar="K")
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
    options: RecognitionOptions,
    *,
    threads: int,
    stack: contextlib.ExitStack,
    on_failure: Callable[[StnRectifyError], None],
    limits: ModelLimits | None = None,
) -> RunRecognizer | None:
    """The recognizer that the options ask for, if they do.

    Args:
        options: of recognition.
        threads: that networks compute with.
        stack: closes it.
        on_failure: called with the first failure of a recognizer that is not ours; see `GuardedRecognizer`.
        limits: how much a .tflite may unpack to; None for the default ones.

    Raises:
        ModelFileError: if the file is missing, damaged or no recognizer, or the labels do not fit it.
        UsageError: if the labels cannot be read, or an option does not fit the recognizer.
        StnRectifyError: if something that it needs is not installed.
    """
    if options.recognizer_command is not None:
        command = CommandRecognizer(options.recognizer_command, timeout_s=options.recognizer_timeout)
        return GuardedRecognizer(stack.enter_context(command), on_failure)
    if options.recognizer is None:
        return None
    recognizer = load_recognizer(
        options.recognizer,
        threads=threads,
        text=options.text,
        labels=options.labels,
        beam_width=options.beam_width,
        sha256=options.recognizer_sha256,
        limits=limits,
    )
    close = getattr(recognizer, "close", None)
    if callable(close):
        stack.callback(close)
    return recognizer if isinstance(recognizer, Recognizer) else GuardedRecognizer(recognizer, on_failure)


def label_rules(options: RecognitionOptions) -> LabelRules:
    """The rules that the options ask for.

    Raises:
        UsageError: if a file cannot be read, or says nothing.
    """
    return LabelRules(
        characters=options.label_characters or "",
        min_length=options.min_label_length,
        format=options.label_format or "",
        lookalikes=options.lookalikes,
        known=() if options.known is None else read_known(Path(options.known)),
        known_distance=options.known_distance,
        names={} if options.label_map is None else read_names(Path(options.label_map)),
    )


def recognition_stage(
    recognizer: RunRecognizer | None, rules: LabelRules, schedule: ScheduleOptions
) -> RecognitionStage | None:
    """The recognizer with the rules, and the schedule and the vote that the options ask for."""
    if recognizer is None:
        return None
    return RecognitionStage(
        recognizer,
        schedule=RecognitionSchedule(schedule.every, schedule.recognize_when),
        vote=LabelVote(schedule.vote) if schedule.vote > 1 else None,
        top_k=schedule.top_k or 0,
        rules=rules,
    )
