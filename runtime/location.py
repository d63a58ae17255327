"""Where the network found the target in one frame, before the rectified image is taken from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Location"]


@dataclass(frozen=True, eq=False)
class Location:
    """What `Rectifier.locate` says of a frame, and `Rectifier.sample` makes a `Rectification` of.

    Attributes:
        corners: float64 [4, 2], frame pixels, as in `Rectification`: without a usable pose the frame's outer corners.
        score: 0 to 1, as in `Rectification`; 0 without a usable pose.
        latency_ms: what locating took, milliseconds.
        theta: float64 [6], [8] or [32], target → frame (`stn_rectify.runtime.geometry`). None without a usable pose:
            crossed, mirrored, behind the camera or a few pixels small.
        image: uint8 [h, w, 3] BGR or [h, w] grey: the graph's own rectified image, with ``output="model"``.
        label: what a recognizer in the model file says, as in `Rectification`; so ``label_score`` and ``class_scores``.
    """

    corners: npt.NDArray[np.float64]
    score: float
    latency_ms: float
    theta: npt.NDArray[np.float64] | None = field(default=None, repr=False)
    image: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    label: str | None = None
    label_score: float | None = None
    class_scores: npt.NDArray[np.float64] | None = field(default=None, repr=False)
