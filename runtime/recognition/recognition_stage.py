"""What a pipeline does with a target once it is upright: recognizes it, now and then, and says what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.label_vote import LabelVote
from stn_rectify.runtime.recognition.recognition import (
    ImageRecognizer,
    Recognition,
    Recognized,
    as_recognition,
    labelled,
)
from stn_rectify.runtime.recognition.recognition_schedule import RecognitionSchedule
from stn_rectify.runtime.recognition.target_track import TargetTrack
from stn_rectify.runtime.rectification import Rectification

__all__ = ["RecognitionStage"]


class RecognitionStage:
    """A recognizer with a schedule and a vote, for frames that follow one another.

    A frame that the schedule leaves out keeps the label of the target, as long as it is the same target. Where the
    recognizer reads nothing (None), an earlier label of the vote stays, else there is none.

    Args:
        recognizer: a `Recognizer`, another object with a method ``recognize``, or a function. It gets the rectified
            image, BGR uint8 [h, w, 3] or grey [h, w], and returns a `Recognition`, a str, a (str, score from 0 to 1) or
            None. Errors it raises are its own.
        schedule: which frames are recognized; None for all.
        vote: None for the label of each recognition by itself.
        track: when a target is another one.
        top_k: how many of the best labels results get as ``top_labels``.

    Raises:
        UsageError: the recognizer is none, or ``top_k`` is below 0.

    Example:
        >>> stage = RecognitionStage(  # doctest: +SKIP
        ...     Recognizer("plates.recognizer.tflite"), schedule=RecognitionSchedule(every=3), vote=LabelVote(5)
        ... )
        >>> pipeline = Pipeline(rectifier, recognizer=stage)  # doctest: +SKIP
    """

    def __init__(
        self,
        recognizer: ImageRecognizer | Callable[[npt.NDArray[np.uint8]], Recognized],
        *,
        schedule: RecognitionSchedule | None = None,
        vote: LabelVote | None = None,
        track: TargetTrack | None = None,
        top_k: int = 0,
    ) -> None:
        read = getattr(recognizer, "recognize", recognizer)
        if not callable(read):
            raise UsageError(f"{recognizer!r:.80} is no recognizer: give a Recognizer, or a function of an image")
        if top_k < 0:
            raise UsageError(f"top_k is {top_k}: must be 0 or more")
        self._read: Callable[[npt.NDArray[np.uint8]], Recognized] = read
        self._schedule, self._vote, self._track = schedule or RecognitionSchedule(), vote, track or TargetTrack()
        self._top_k = top_k
        self._last: Recognition | None = None

    def process(self, result: Rectification, timestamp: float) -> Rectification:
        """The result of the next frame with its label; `Rectification.latency_ms` counts what that took.

        Args:
            result: of a frame with a target. Frames without one are not given: call `reset`.
            timestamp: of the frame, seconds from any beginning.

        Raises:
            UsageError: the recognizer said what it may not, or is closed.
        """
        started = time.perf_counter()
        if not self._track.follows(result.corners, timestamp):
            self._forget()
        if self._schedule.is_due(result):
            found = as_recognition(self._read(result.image))
            if self._vote is None:
                self._last = found
            elif found is not None:
                self._last = self._vote.add(found)
        labels = labelled(result, self._last, self._top_k)
        return replace(labels, latency_ms=result.latency_ms + (time.perf_counter() - started) * 1000)

    def reset(self) -> None:
        """A frame without a target: the next target is another one."""
        self._track.reset()
        self._forget()

    def _forget(self) -> None:
        self._last = None
        self._schedule.reset()
        if self._vote is not None:
            self._vote.reset()
