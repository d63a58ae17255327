"""All that is done with a frame between its source and the sinks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.misses import MissRule
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.rectifier import Rectifier
from stn_rectify.runtime.smoothing import CornerSmoother
from stn_rectify.runtime.sources import CapturedFrame, FrameView

__all__ = ["Pipeline", "Processed"]


@dataclass(frozen=True, eq=False)
class Processed:
    """What became of a frame.

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
        rule: which frames are misses. These are not recognized, and smoothing starts afresh after them.
        smoother: smooths the corners; None for frames that do not follow one another.
        recognizer: reads the rectified image.

    Raises:
        UsageError: the parts do not fit together.

    Example:
        >>> with Rectifier() as rectifier, CameraSource() as camera:  # doctest: +SKIP
        ...     pipeline = Pipeline(rectifier, rule=MissRule(0.5, "skip"), smoother=CornerSmoother())
        ...     for done in map(pipeline.process, camera):
        ...         if not done.is_skipped:
        ...             cv2.imwrite(f"{done.frame.index}.png", done.result.image)
    """

    def __init__(
        self,
        rectifier: Rectifier,
        *,
        view: FrameView | None = None,
        rule: MissRule | None = None,
        smoother: CornerSmoother | None = None,
        recognizer: Recognizer | None = None,
    ) -> None:
        self._rectifier, self._view, self._rule = rectifier, view or FrameView(), rule or MissRule()
        self._smoother, self._recognizer = smoother, recognizer
        if smoother is not None:
            rectifier.check_takes_corners()
        if self._rule.min_score is not None and rectifier.model.metadata.score is None:
            raise UsageError(
                f"model {rectifier.model.metadata.name!r} gives no score: leave min_score (--min-score) out"
            )

    def process(self, captured: CapturedFrame) -> Processed:
        """Takes the next frame.

        Raises:
            DataError: the frame has the wrong type, dtype or shape.
        """
        frame = replace(captured, image=self._view.apply(captured.image))
        result = self._rectifier.rectify(frame.image)
        if self._rule.is_miss(result):
            if self._smoother is not None:
                self._smoother.reset()
            is_skipped = self._rule.on_miss == "skip"
            if not is_skipped and self._rule.min_score is not None:
                result = self._rectifier.unrectified(frame.image, result)
            return Processed(frame, result, is_skipped)
        if self._smoother is not None:
            result = self._smoothed(frame, result, self._smoother)
        if self._recognizer is not None:
            result = self._recognizer.label(result)
        return Processed(frame, result, is_skipped=False)

    def _smoothed(self, frame: CapturedFrame, result: Rectification, smoother: CornerSmoother) -> Rectification:
        # A file is read faster or slower than it plays.
        seconds = frame.timestamp if frame.position_s is None else frame.position_s
        corners = smoother.smooth(result.corners, seconds)
        return result if corners is result.corners else self._rectifier.at_corners(frame.image, result, corners)
