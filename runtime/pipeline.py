"""All that is done with a frame between its source and the sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.recognition.recognition import ImageRecognizer, Recognized
from stn_rectify.runtime.recognition.stage import RecognitionStage
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.smoothing import CornerSmoother
from stn_rectify.runtime.results import Location, MissRule, Rectification
from stn_rectify.runtime.sources import CapturedFrame, FrameView


@dataclass(frozen=True, eq=False)
class Processed:
    """A frame and what became of it.

    Attributes:
        frame: as seen through the view; the result's corners are pixels of it.
        result: of rectifying it, and of the stages behind.
        is_skipped: whether it shall not be passed on: it shows no target, and such frames are skipped.
    """

    frame: CapturedFrame
    result: Rectification
    is_skipped: bool


class Pipeline:
    """View, rectification, misses, smoothing, recognition: the frames of one source, one after the other.

    Args:
        rectifier: finds the target.
        view: what of each frame is looked at.
        rule: which frames are misses. These are not recognized, and smoothing and voting start afresh after them.
        smoother: smooths the corners; None for frames that do not follow one another.
        recognizer: reads the rectified image: a `Recognizer`, an object of your own with a method ``recognize``, or a
            function. It gets the image, BGR uint8 [h, w, 3] or grey [h, w], and returns a `Recognition`, a str, a (str,
            score from 0 to 1) or None where it reads nothing. In a `RecognitionStage`, with a schedule and a vote.

    Raises:
        UsageError: if the parts do not fit together.

    Example:
        >>> with Rectifier() as rectifier, CameraSource() as camera:  # doctest: +SKIP
        ...     pipeline = Pipeline(rectifier, rule=MissRule(0.5, "skip"), smoother=CornerSmoother())
        ...     for done in map(pipeline.process, camera):
        ...         if not done.is_skipped:
        ...             cv2.imwrite(f"{done.frame.index}.png", done.result.image)

        With a recognizer of your own, here Tesseract:

        >>> def read(image):  # doctest: +SKIP
        ...     return pytesseract.image_to_string(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), config="--psm 7").strip()
        >>> pipeline = Pipeline(rectifier, recognizer=read)
        >>> pipeline.process(frame).result.label
        'AB12 CD3'
    """

    def __init__(
        self,
        rectifier: Rectifier,
        *,
        view: FrameView | None = None,
        rule: MissRule | None = None,
        smoother: CornerSmoother | None = None,
        recognizer: RecognitionStage | ImageRecognizer | Callable[[Image], Recognized] | None = None,
    ) -> None:
        self._rectifier, self._view, self._rule = rectifier, view or FrameView(), rule or MissRule()
        self._smoother = smoother
        self._recognition = (
            recognizer if isinstance(recognizer, RecognitionStage | None) else RecognitionStage(recognizer)
        )
        self._check(rectifier)

    @property
    def rectifier(self) -> Rectifier:
        """Finds the target."""
        return self._rectifier

    @property
    def rule(self) -> MissRule:
        """The rule that tells misses from targets."""
        return self._rule

    def replace_rectifier(self, rectifier: Rectifier) -> Rectifier:
        """Takes another one from the next frame on; from the thread that calls `process`.

        Returns:
            The old one, for the caller to close.

        Raises:
            UsageError: if it does not fit the other parts; the old one stays.
        """
        self._check(rectifier)
        self._lose_target()
        old, self._rectifier = self._rectifier, rectifier
        return old

    def process(self, captured: CapturedFrame) -> Processed:
        """Takes the next frame.

        Raises:
            DataError: if the frame has the wrong type, dtype or shape.
        """
        frame = replace(captured, image=self._view.apply(captured.image))
        location = self._rectifier.locate(frame.image)
        if self._rule.is_miss(location):
            self._lose_target()
            is_skipped = self._rule.on_miss == "skip"
            is_passed_whole = not is_skipped and self._rule.min_score is not None
            result = (self._rectifier.unrectified if is_passed_whole else self._rectifier.sample)(frame.image, location)
            return Processed(frame, result, is_skipped)
        result = self._rectifier.sample(frame.image, location, corners=self._smooth_corners(frame, location))
        if self._recognition is not None:
            result = self._recognition.process(result, _seconds(frame))
        return Processed(frame, result, is_skipped=False)

    def _check(self, rectifier: Rectifier) -> None:
        if self._smoother is not None:
            rectifier.check_takes_corners()
        if self._rule.min_score is not None and rectifier.model.metadata.score is None:
            raise UsageError(
                f"model {rectifier.model.metadata.name!r} gives no score: leave min_score (--min-score) out"
            )

    def _lose_target(self) -> None:
        if self._smoother is not None:
            self._smoother.reset()
        if self._recognition is not None:
            self._recognition.reset()

    def _smooth_corners(self, frame: CapturedFrame, location: Location) -> FloatArray | None:
        """Gives the corners to take the image from instead; None for those of the target."""
        if self._smoother is None:
            return None
        corners = self._smoother.smooth(location.corners, _seconds(frame))
        return None if corners is location.corners else corners


def _seconds(frame: CapturedFrame) -> float:
    """Gives the time of the frame, seconds; a file is read faster or slower than it plays."""
    return frame.timestamp if frame.position_s is None else frame.position_s
