"""Watches a Spatial Transformer that learns from a recognizer's loss for the two ways in which that goes wrong.

*Black outputs*: θ has moved off the frame or zoomed into a few empty pixels. There is no slope any more that would
lead back. *Dead θ*: the pose is the same for every frame, and the recognizer learns without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import theta_to_corners

_FLAT_SHARE = 0.1  # of the frame's contrast: a rectified image with less shows nothing
_OUTSIDE_SHARE = 0.75  # of the rectified pixels outside the frame: the target cannot be whole
_MOST_LOST = 0.5  # of the frames: from there on it does not come back
_LEAST_MOVE_PX = 0.05  # corners that stay within this over all frames do not depend on them


@dataclass(frozen=True)
class PoseWatchReport:
    """The state of the poses at one moment of a training, on the same frames each time; ``str()`` is half a line.

    Attributes:
        black: share of frames whose rectified image shows nothing.
        outside: share of frames whose rectified image lies for the most part outside the frame.
        lost: share of frames of either kind; all of them once θ is not finite.
        spread_px: standard deviation of the corners from frame to frame, pixels.
    """

    black: float
    outside: float
    lost: float
    spread_px: float

    @property
    def is_dead(self) -> bool:
        """Tells whether the pose is the same for every frame."""
        return self.spread_px < _LEAST_MOVE_PX

    def __str__(self) -> str:
        dead = " (dead: the same for every frame)" if self.is_dead else ""
        return (
            f"rectified black {100 * self.black:.1f} %, out of range {100 * self.outside:.1f} % · "
            f"pose varies by {self.spread_px:.1f} px{dead}"
        )

    def refuse_lost(self, when: str) -> None:
        """Ends a training that has run away.

        Raises:
            DataError: if most rectified images are black or out of range.
        """
        if self.lost > _MOST_LOST:
            raise DataError(
                f"{when} {100 * self.lost:.0f} % of the rectified images show nothing (black {100 * self.black:.0f} %, "
                f"out of range {100 * self.outside:.0f} %), and no slope leads back: give a lower --learning-rate, "
                "--pose-warm-up or --supervision both, and another --out"
            )


class PoseWatch:
    """Looks at what a model makes of the same frames again and again.

    Args:
        model: a model with layers ``grid``, ``rectified`` and ``theta``.
        frames: float32 [N, H, W, C].
    """

    def __init__(self, model: keras.Model, frames: npt.NDArray[np.float32]) -> None:
        theta, grid, rectified = (model.get_layer(name).output for name in ("theta", "grid", "rectified"))
        self._pose = keras.Model(model.input, theta)
        self._images = keras.Model(model.input, [grid, rectified])
        self._frames = frames

    def look(self) -> PoseWatchReport:
        """Runs the model with its present weights on the frames, and reports on its poses."""
        height, width = self._frames.shape[1:3]
        theta = keras.ops.convert_to_numpy(self._pose(self._frames, training=False)).astype(np.float64)
        if not np.isfinite(theta).all():  # no backend's sampler can be asked
            return PoseWatchReport(black=1.0, outside=1.0, lost=1.0, spread_px=0.0)
        images = self._images(self._frames, training=False)
        grid, rectified = (keras.ops.convert_to_numpy(image).astype(np.float64) for image in images)
        x, y = grid[..., 0], grid[..., 1]
        is_inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        outside = is_inside.reshape(len(grid), -1).mean(axis=1) < 1 - _OUTSIDE_SHARE
        black = ~(_contrast(rectified) >= _FLAT_SHARE * _contrast(self._frames))
        return PoseWatchReport(
            black=float(black.mean()),
            outside=float(outside.mean()),
            lost=float((black | outside).mean()),
            spread_px=float(np.std(theta_to_corners(theta, width, height), axis=0).mean()),
        )


def _contrast(images: Any) -> FloatArray:
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    return np.asarray(flat.max(axis=1) - flat.min(axis=1))
