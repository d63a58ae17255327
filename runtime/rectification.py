"""The result of rectifying one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Rectification"]


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
            target. The outer corners of the image: (-0.5, -0.5) and so on, mapped by `homography`.
        homography: float64 [3, 3], ``[2, 2] = 1``: from pixels of `image` to pixels of the frame; (0, 0) is
            the centre of the first pixel in both. What ``cv2.warpPerspective`` takes with WARP_INVERSE_MAP. The image
            of a model with transform ``"tps"`` follows the bend of its target, which no homography does: there it is
            that of the four corners.
        score: 0 to 1, how sure the model is that a target is there, after refinement passes both its networks together;
            1.0 if the model has no score.
        latency_ms: what rectifying the frame took, milliseconds.
        label: what a recognizer says the target is; None without one, and where `score` is 0.
        label_score: how sure it is, 0 to 1.
        class_scores: float64 [K], how probable each class is, in the order of the file's labels; they add up to 1, but
            for recognizers that end with a sigmoid.
        top_labels: the best labels or texts with their scores, best first, where they were asked for
            (`RecognitionStage`).
    """

    image: npt.NDArray[np.uint8] = field(repr=False)
    corners: npt.NDArray[np.float64]
    homography: npt.NDArray[np.float64] = field(repr=False)
    score: float
    latency_ms: float
    label: str | None = None
    label_score: float | None = None
    class_scores: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    top_labels: tuple[tuple[str, float], ...] = field(default=(), repr=False)
