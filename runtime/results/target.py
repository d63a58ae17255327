"""What a located and a rectified target tell of themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.drawing import marked
from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError
from stn_rectify.runtime.images.given import ImageLike, given_image
from stn_rectify.runtime.process.installation import pip_command
from stn_rectify.runtime.results.line import line_values
from stn_rectify.runtime.results.miss_rule import MissRule
from stn_rectify.runtime.sources import CapturedFrame


class FoundTarget:
    """The common part of `Rectification` and `Location`, which have these attributes."""

    corners: FloatArray
    score: float
    latency_ms: float
    label: str | None = None
    label_score: float | None = None
    top_labels: tuple[tuple[str, float | None], ...] = ()
    read: str | None = None
    turn: int | None = None
    turn_score: float | None = None
    track: int | None = None
    rule: MissRule = MissRule()
    frame: CapturedFrame | None = None

    @property
    def found(self) -> bool:
        """Tells whether a target counts as found: by the lowest score of the model's file, else above 0.5.

        In a `Pipeline` its own rule tells.
        """
        return self.rule.is_found(self)

    def to_dict(self) -> dict[str, Any]:
        """Gives the result as values of types that JSON has, with the keys of the JSON lines.

        Returns:
            What `stn_rectify.runtime.sinks.result_values` gives; ``source``, ``frame`` and ``timestamp`` are None
            where the frame was handed over as an array.
        """
        return line_values(self, self.frame)

    def draw(self, frame: ImageLike | None = None) -> Image:
        """Draws the target into a copy of its frame: the corners, the score and the label.

        Args:
            frame: the frame that the result is of, as `Rectifier.rectify` takes it; None for the one that the result
                holds (``self.frame``), as those of files and streams do.

        Returns:
            uint8 [H, W, 3] BGR, a new array: green where the target counts as found, else red; a dot marks the
            top-left corner of the upright target.

        Raises:
            UsageError: if there is no frame, and the result holds none.
            DataError: if the frame is no picture.
            SourceError: if it is a path or bytes of something that cannot be read.
        """
        pixels = self._pixels(frame)
        return marked(pixels, self.corners, target_caption(self), is_found=self.found)

    def to_supervision(self) -> Any:
        """Gives the target as supervision's ``Detections``, which its annotators and trackers take.

        Returns:
            One row; none where the frame shows no target. ``xyxy`` is the box around the target, in pixels from the
            frame's edge as `Rectifier.locate_all` takes boxes, ``confidence`` the score, ``tracker_id`` the track.
            ``class_id`` is 0, by which annotators colour.
            ``data`` has ``"xyxyxyxy"``, the corners [1, 4, 2] where supervision looks for them, the same as
            ``"corners"``, and ``"class_name"``, the label, empty where there is none. Those of several targets:
            ``supervision.Detections.merge([target.to_supervision() for target in targets])``.

        Raises:
            StnRectifyError: if supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            command = pip_command("install", "supervision")
            raise StnRectifyError(f"to_supervision needs the package supervision: {command}") from error
        if self.rule.is_miss(self):
            return supervision.Detections.empty()
        corners = self.corners.astype(np.float32)[None]
        edges = corners + 0.5  # the centre of the first pixel is (0, 0) here, its outer corner there
        return supervision.Detections(
            xyxy=np.concatenate([edges.min(axis=1), edges.max(axis=1)], axis=1),
            confidence=np.array([self.score], np.float32),
            class_id=np.zeros(1, int),
            tracker_id=None if self.track is None else np.array([self.track]),
            data={"xyxyxyxy": corners, "corners": corners.copy(), "class_name": np.array([self.label or ""])},
        )

    def _pixels(self, frame: ImageLike | None) -> Image:
        if frame is None:
            if self.frame is None:
                raise UsageError("the result holds no frame, as it was made of an array: pass the frame, draw(frame)")
            return np.asarray(self.frame.image)
        given = given_image(frame)
        return checked_picture(frame if given is None else given.pixels)


def checked_picture(frame: object) -> Image:
    """Checks that something can be drawn into.

    Raises:
        DataError: if it is not uint8 [H, W] or [H, W, C] with at least one pixel.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3) or frame.dtype != np.uint8 or not frame.size:
        raise DataError(f"the frame is {type(frame).__name__}, no picture: pass BGR uint8 [H, W, 3] or grey [H, W]")
    return frame


def target_caption(target: FoundTarget) -> str:
    """Score and label, as pictures show them."""
    label = "" if target.label is None else "  " + " / ".join(filter(None, map(str.strip, target.label.splitlines())))
    return f"{target.score:.2f}{label}"
