"""The stage behind rectification: follows a target, has it recognized now and then, and votes on what it is."""

from __future__ import annotations

import copy
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_instance, check_positive, check_whole
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.errors import UsageError, shown
from stn_rectify.runtime.geometry import corner_error
from stn_rectify.runtime.recognition.label_rules import LabelRules
from stn_rectify.runtime.recognition.readers.by_name import load_recognizer
from stn_rectify.runtime.recognition.recognition import (
    ImageRecognizer,
    ImageSize,
    Recognition,
    Recognized,
    as_recognition,
    labelled,
)
from stn_rectify.runtime.recognition.schedule import RecognitionSchedule
from stn_rectify.runtime.results import Rectification


class TargetTrack:
    """Follows a target from frame to frame by its corners; after a frame without one call `reset`.

    Args:
        jump: mean distance of the corners from where they were in the frame before, in sizes of the target (its mean
            diagonal), from which on it is another target. As of `CornerSmoother`: at 10 frames/s a target that crosses
            twice its own size in a second is still followed, and targets that lie side by side are told apart.
        max_gap_s: time without a frame after which it is another target, seconds.

    Raises:
        UsageError: if an argument is out of range.
    """

    def __init__(self, jump: float = 0.2, max_gap_s: float = 2.0) -> None:
        self._jump = check_positive("jump", jump, infinite=True)
        self._max_gap_s = check_positive("max_gap_s", max_gap_s, infinite=True)
        self._last: tuple[FloatArray, float] | None = None

    def follows(self, corners: FloatArray, timestamp: float) -> bool:
        """Takes the target of the next frame, and says whether it is the same as before.

        Args:
            corners: float64 [4, 2], frame pixels.
            timestamp: of the frame, seconds from any beginning.
        """
        last, self._last = self._last, (corners, timestamp)
        if last is None or not 0 <= timestamp - last[1] <= self._max_gap_s:
            return False
        return float(corner_error(corners, last[0])) <= self._jump

    def reset(self) -> None:
        """Forgets the target: the next one is another."""
        self._last = None


class LabelVote:
    """The majority of the last recognitions. For another target call `reset`.

    The label that most of them gave wins; of labels that as many gave, the one with the higher scores in sum, then the
    newer one. Its score is the sum of the scores that it was given over the number of recognitions, so each that said
    otherwise lowers it. Without a score a recognition counts like a sure one, and the label that it gave has none.

    Args:
        size: how many recognitions vote, 1 or more.

    Raises:
        UsageError: if ``size`` is out of range.

    Example:
        >>> vote = LabelVote(3)
        >>> for label, score in (("B", 0.9), ("8", 0.6), ("B", 0.6)):
        ...     majority = vote.add(Recognition(label, score))
        >>> majority.label, round(majority.score, 2)
        ('B', 0.5)
    """

    def __init__(self, size: int) -> None:
        size = check_whole("size", size, 1)
        self._votes: deque[tuple[str | None, float | None]] = deque(maxlen=size)

    def add(self, found: Recognition) -> Recognition:
        """Takes a recognition, and gives it back with the label and the score of the vote."""
        self._votes.append((found.label, found.score))
        counts = Counter(label for label, _ in self._votes)
        scores = {label: [score for other, score in self._votes if other == label] for label in counts}
        sums = {label: sum(1.0 if score is None else score for score in given) for label, given in scores.items()}
        newest_first = dict.fromkeys(label for label, _ in reversed(self._votes))
        label = max(newest_first, key=lambda label: (counts[label], sums[label]))  # the first of equals
        score = None if None in scores[label] else sums[label] / len(self._votes)
        return replace(found, label=label, score=score)

    def reset(self) -> None:
        """Forgets all votes."""
        self._votes.clear()


class RecognitionStage:
    """A recognizer with a schedule and a vote, for frames that follow one another.

    A frame that the schedule leaves out keeps the label of the target, as long as it is the same target. Where the
    recognizer reads nothing (None), an earlier label of the vote stays, else there is none.

    Args:
        recognizer: a `Recognizer`, another object with a method ``recognize``, a function, or the name of one, as
            `load_recognizer` takes it. It gets the rectified image, BGR uint8 [h, w, 3] or grey [h, w], at the size of
            its attribute ``image_size``, if it has one, and returns a `Recognition`, a str, a (str, score from 0 to 1
            or None) or None. Errors it raises are its own.
        schedule: which frames are recognized; None for all.
        vote: None for the label of each recognition by itself.
        track: when a target is another one.
        top_k: how many of the best labels results get as ``top_labels``.
        rules: what is made of a text before it votes; None to leave it.

    Raises:
        UsageError: if the recognizer is none, or ``top_k`` is below 0.
        StnRectifyError: as `load_recognizer` raises it.

    Example:
        >>> stage = RecognitionStage(  # doctest: +SKIP
        ...     Recognizer("plates.recognizer.tflite"), schedule=RecognitionSchedule(every=3), vote=LabelVote(5)
        ... )
        >>> pipeline = Pipeline(rectifier, recognizer=stage)  # doctest: +SKIP
    """

    def __init__(
        self,
        recognizer: ImageRecognizer | Callable[[Image], Recognized] | str,
        *,
        schedule: RecognitionSchedule | None = None,
        vote: LabelVote | None = None,
        track: TargetTrack | None = None,
        top_k: int = 0,
        rules: LabelRules | None = None,
    ) -> None:
        if isinstance(recognizer, str):
            recognizer = load_recognizer(recognizer)
        read = getattr(recognizer, "recognize", recognizer)
        if not callable(read):
            raise UsageError(f"{shown(recognizer)} is no recognizer: give a Recognizer, or a function of an image")
        top_k = check_whole("top_k", top_k, 0)
        for name, value, kind in (
            ("schedule", schedule, RecognitionSchedule),
            ("vote", vote, LabelVote),
            ("track", track, TargetTrack),
            ("rules", rules, LabelRules),
        ):
            check_instance(name, value, kind | None, f"a {kind.__name__} or None")
        self._read: Callable[[Image], Recognized] = read
        self._image_size: ImageSize | None = getattr(recognizer, "image_size", None)
        self._rules = rules if rules is not None and rules.has_rules else None
        self._schedule, self._vote = schedule or RecognitionSchedule(), vote
        self._track: TargetTrack | None = track or TargetTrack()
        self._top_k = top_k
        self._last: Recognition | None = None

    def process(
        self, result: Rectification, timestamp: float, image_at: Callable[[ImageSize], Image] | None = None
    ) -> Rectification:
        """The result of the next frame with its label; `Rectification.latency_ms` counts what that took.

        Args:
            result: of a frame with a target. Frames without one are not given: call `reset`.
            timestamp: of the frame, seconds from any beginning.
            image_at: takes the target out of the frame at the size that the recognizer wants (`Rectifier.sample_at`);
                None where there is no frame any more: then the result's own image is read.

        Raises:
            UsageError: if the recognizer gave what it may not, or is closed.
        """
        started = time.perf_counter()
        if self._track is not None and not self._track.follows(result.corners, timestamp):
            self._forget()
        refused = None
        if self._schedule.is_due(result):
            image = result.image
            if image_at is not None and self._image_size is not None:
                image = image_at(self._image_size)
            recognition = as_recognition(self._read(image))
            if recognition is not None and self._rules is not None:
                refused = recognition.label
                recognition = self._rules.apply(recognition)
            if self._vote is None:
                self._last = recognition
            elif recognition is not None:
                self._last = self._vote.add(recognition)
        labels = labelled(result, self._last, self._top_k)
        if self._last is None and refused is not None:
            labels = replace(labels, read=refused)
        return replace(labels, latency_ms=result.latency_ms + milliseconds_since(started))

    def reset(self) -> None:
        """A frame without a target: the next target is another one."""
        if self._track is not None:
            self._track.reset()
        self._forget()

    @property
    def follows_targets(self) -> bool:
        """Tells whether what it says of a frame depends on those before: on its schedule, or on votes."""
        return self._vote is not None or self._schedule.follows_targets

    def for_one_track(self) -> RecognitionStage:
        """A stage of the same recognizer and the same settings, for one of several targets.

        It does not look itself whether a target is the same as before: whoever gives it targets knows
        (`stn_rectify.runtime.rectifying.tracking.tracks`).
        """
        other = copy.copy(self)
        other._schedule, other._vote, other._track = copy.deepcopy(self._schedule), copy.deepcopy(self._vote), None
        other.reset()
        return other

    def _forget(self) -> None:
        self._last = None
        self._schedule.reset()
        if self._vote is not None:
            self._vote.reset()
