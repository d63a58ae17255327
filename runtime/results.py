"""Results of one frame: where the target is, the rectified target, and the rule that tells targets from misses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_choice, check_real


@dataclass(frozen=True, eq=False)
class Rectification:
    """One frame's rectified target, and where it was.

    Image, corners and homography always belong together. Where the network gave no usable pose (crossed,
    mirrored, behind the camera, a few pixels small), `score` is 0, the corners are the frame's own outer
    corners, and the image is the frame resized.

    Attributes:
        image: uint8 [h, w, 3] BGR or [h, w] grey: the target upright. Pixels of the frame have the frame's
            channels, the graph's own pixels have the model's.
        corners: float64 [4, 2], frame pixels: top-left, top-right, bottom-right, bottom-left of the upright
            target. Without a margin they are the outer corners of the image, (-0.5, -0.5) and so on, mapped by
            `homography`. With a margin m they lie within it: that of x from m / (1 + 2m) to (1 + m) / (1 + 2m) of its
            width, and so that of y.
        homography: float64 [3, 3], ``[2, 2] = 1``: from pixels of `image` to pixels of the frame; (0, 0) is
            the centre of the first pixel in both. What ``cv2.warpPerspective`` takes with WARP_INVERSE_MAP. The image
            of a model with transform ``"tps"`` follows the bend of its target, which no homography does: there it is
            that of the four corners.
        score: 0 to 1, how sure the model is that a target is there, after refinement passes both its networks together;
            1.0 if the model has no score.
        latency_ms: what rectifying the frame took, milliseconds.
        label: what a recognizer says the target is; None without one, where `score` is 0, and where it says that the
            image shows nothing it knows.
        label_score: how sure it is, 0 to 1, that nothing is known included; None where it does not say.
        class_scores: float64 [K], how probable each class is, in the order of the file's labels; they add up to 1, but
            for recognizers that end with a sigmoid.
        top_labels: the best labels or texts with their scores, best first, where they were asked for
            (`RecognitionStage`).
        turn: by how many quarters the target was turned clockwise to be upright, 0 to 3: 1 if its top points to the
            left in the frame. The corners are in the order of the upright target. None where the model has no turn
            network, or is unsure; then nothing was turned.
        turn_score: how sure that is, 0 to 1; where ``turn`` is None, what was too little, or None if nobody asked.
        track: the target's number, which it keeps from frame to frame; None where targets are not followed.
        box: the row of the ``boxes`` that it was looked for in; None without boxes.
        read: what the recognizer itself said, where rules made another label of it, or none (`LabelRules`).
    """

    image: Image = field(repr=False)
    corners: FloatArray
    homography: FloatArray = field(repr=False)
    score: float
    latency_ms: float
    label: str | None = None
    label_score: float | None = None
    class_scores: FloatArray | None = field(default=None, repr=False)
    top_labels: tuple[tuple[str, float | None], ...] = field(default=(), repr=False)
    turn: int | None = None
    turn_score: float | None = None
    track: int | None = None
    box: int | None = None
    read: str | None = None


@dataclass(frozen=True, eq=False)
class Location:
    """The target's place in a frame: `Rectifier.locate` gives it, `Rectifier.sample` makes a `Rectification` of it.

    Attributes:
        corners: float64 [4, 2], frame pixels, as in `Rectification`: without a usable pose the frame's outer corners.
        score: 0 to 1, as in `Rectification`; 0 without a usable pose.
        latency_ms: what locating took, milliseconds.
        theta: float64 [6], [8] or [32], target → frame (`stn_rectify.runtime.geometry`). None without a usable pose:
            crossed, mirrored, behind the camera or a few pixels small.
        image: uint8 [h, w, 3] BGR or [h, w] grey: the graph's own rectified image, with ``output="model"``.
        label: what a recognizer in the model file says, as in `Rectification`; so ``label_score`` and ``class_scores``.
        turn: as in `Rectification`; so ``turn_score``, ``track`` and ``box``.
    """

    corners: FloatArray
    score: float
    latency_ms: float
    theta: FloatArray | None = field(default=None, repr=False)
    image: Image | None = field(default=None, repr=False)
    label: str | None = None
    label_score: float | None = None
    class_scores: FloatArray | None = field(default=None, repr=False)
    turn: int | None = None
    turn_score: float | None = None
    track: int | None = None
    box: int | None = None


#: The score above which something counts as found where neither the user nor the model says.
FOUND_SCORE = 0.5


@dataclass(frozen=True)
class MissRule:
    """The rule by which a frame shows no target, and what becomes of it then.

    Attributes:
        min_score: lowest score of a target, 0 to 1. None: that of the model, where its file names one
            (`with_default`); else only a score of 0 is a miss, as frames without a usable pose have it.
        on_miss: ``"pass"``: the frame is passed on, below a ``min_score`` given here unrectified
            (`Rectifier.unrectified`), else as `Rectifier.rectify` gave it. ``"skip"``: nothing is passed on.

    Raises:
        UsageError: if a value is out of range.
    """

    min_score: float | None = None
    on_miss: Literal["pass", "skip"] = "pass"

    def __post_init__(self) -> None:
        if self.min_score is not None:
            score = check_real("min_score", self.min_score, "a number from 0 to 1, or None", least=0, most=1)
            object.__setattr__(self, "min_score", score)
        check_choice("on_miss", self.on_miss, ("pass", "skip"))

    def with_default(self, min_score: float | None) -> MissRule:
        """The same rule, with this lowest score where it names none of its own.

        Args:
            min_score: 0 to 1, as `Metadata.min_score` of a model's file; None where the file names none.
        """
        return self if self.min_score is not None or min_score is None else replace(self, min_score=min_score)

    def is_miss(self, result: Rectification | Location) -> bool:
        """Tells whether there is nothing to rectify."""
        return result.score == 0 or (self.min_score is not None and result.score < self.min_score)

    def is_found(self, result: Rectification | Location) -> bool:
        """Tells whether a target counts as found: no miss, and without a ``min_score`` a score above 0.5."""
        return not self.is_miss(result) and (self.min_score is not None or result.score > FOUND_SCORE)
