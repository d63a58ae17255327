"""Frames for training, synthesised or annotated real ones, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.models.training.pools.real_frames import RealFrames
from stn_rectify.models.training.pools.stored_pool import DrawItem, StoredPool
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.geometry import pixels_to_normalised, transform_points

_FRAME_SIZE = (320, 240)
_EMPTY_SHARE = 0.2


class FramePool(StoredPool):
    """Frames in a folder: memory-mapped, resumable, the same for the same arguments.

    Frames are stored stretched to a square of ``size`` pixels, so that a network's input is a plain reduction of them.

    Args:
        folder: the folder of the pool; it is made when missing and may be deleted when training is over.
        count: number of frames in the pool.
        size: side of the stored frames, pixels.
        seed: seed of the synthesiser.
        backgrounds: folder of photographs, or None.
        targets: folder of upright pictures of the only targets, or None.
        real: annotated frames that stand in the place of some; of each, the largest target is the one to find. None for
            none.
        jobs: number of processes that synthesise.

    Attributes:
        frames: uint8 [N, size, size, 3] BGR.
        corners: float32 [N, 4, 2], normalised; NaN where there is no target.
        scan_poses: float64 [N, 3, 3], the poses that a scan network gives the frames
            (`stn_rectify.models.training.samples.scan_poses`); None if no scan network is used.

    Raises:
        DataError: if the folder holds other or damaged frames, or they cannot be synthesised, read or written.
    """

    scan_poses: FloatArray | None = None

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        size: int,
        seed: int,
        backgrounds: Path | None = None,
        targets: Path | None = None,
        real: RealFrames | None = None,
        jobs: int = 1,
    ) -> None:
        self._synthesiser = FrameSynthesiser(
            seed=seed,
            frame_size=_FRAME_SIZE,
            backgrounds=backgrounds,
            targets=targets,
            empty_fraction=_EMPTY_SHARE,
        )
        self._size, self._real = size, real
        recipe = {
            "size": size,
            "seed": seed,
            "backgrounds": backgrounds,
            "targets": targets,
            "real": [real.share, real.sha256] if real else None,
        }
        super().__init__(folder, count=count, recipe=recipe, jobs=jobs)
        self.frames, self.corners = self.open_array("frames"), self.open_array("corners")

    def array_shapes(self) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
        """See `StoredPool.array_shapes`."""
        return {"frames": (np.uint8, (self._size, self._size, 3)), "corners": (np.float32, (4, 2))}

    def drawer(self) -> DrawItem:
        """See `StoredPool.drawer`."""
        return _DrawFrame(self._synthesiser, self._size, self._real)


@dataclass
class _DrawFrame:
    synthesiser: FrameSynthesiser
    size: int
    real: RealFrames | None

    def __call__(self, index: int) -> Mapping[str, Any]:
        known = self.real.at(index) if self.real is not None else None
        if known is None:
            sample = self.synthesiser(index)
            image, corners = sample.frame, sample.corners
        else:
            image, corners = known.read(), known.largest.corners if known.largest is not None else None
        frame = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        to_normalised = pixels_to_normalised(image.shape[1], image.shape[0])
        return {"frames": frame, "corners": np.nan if corners is None else transform_points(to_normalised, corners)}
