"""Scenes for training, synthesised or annotated real frames, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.models.synthesis import SceneSynthesiser
from stn_rectify.models.synthesis.scenes import MAX_TARGETS
from stn_rectify.models.training.pools.real_frames import RealFrames
from stn_rectify.models.training.pools.real_scenes import real_scene
from stn_rectify.models.training.pools.stored_pool import DrawItem, StoredPool
from stn_rectify.runtime.arrays import Array

#: Width and height of the frames, pixels.
SCENE_SIZE = (480, 360)


class ScenePool(StoredPool):
    """Scenes with no, one or several targets, in a folder.

    Args:
        folder: see `StoredPool`; so ``count`` and ``jobs``.
        seed: seed of the synthesiser.
        backgrounds: folder of photographs, or None.
        negatives: folder of photographs without a target, or None.
        targets: folder of upright pictures of the only targets, or None.
        real: annotated frames that stand in the place of some scenes, with all of their targets; None for none.

    Attributes:
        frames: uint8 [N, 360, 480, 3] BGR.
        corners: float32 [N, `MAX_TARGETS`, 4, 2], frame pixels; NaN where there is no further target.
        plates: bool [N, `MAX_TARGETS`]: whether a target is a number plate.
        candidates: float32 [N, K, 4, 2], normalised: where a dense network sees targets, NaN for less than K
            (`stn_rectify.models.training.samples.dense_candidates`); None if none was asked.

    Raises:
        DataError: as `StoredPool` does.
    """

    candidates: Array | None = None

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        seed: int,
        backgrounds: Path | None = None,
        negatives: Path | None = None,
        targets: Path | None = None,
        real: RealFrames | None = None,
        jobs: int = 1,
    ) -> None:
        self._synthesiser = SceneSynthesiser(
            seed=seed, frame_size=SCENE_SIZE, backgrounds=backgrounds, negatives=negatives, targets=targets
        )
        self._real = real
        recipe = {
            "seed": seed,
            "backgrounds": backgrounds,
            "negatives": negatives,
            "targets": targets,
            "real": [real.share, real.sha256] if real else None,
        }
        super().__init__(folder, count=count, recipe=recipe, jobs=jobs)
        self.frames, self.corners = self.open_array("frames"), self.open_array("corners")
        self.plates = self.open_array("plates")

    def array_shapes(self) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
        """See `StoredPool.array_shapes`."""
        return {
            "frames": (np.uint8, (SCENE_SIZE[1], SCENE_SIZE[0], 3)),
            "corners": (np.float32, (MAX_TARGETS, 4, 2)),
            "plates": (np.bool_, (MAX_TARGETS,)),
        }

    def drawer(self) -> DrawItem:
        """See `StoredPool.drawer`."""
        return _DrawScene(self._synthesiser, self._real)


@dataclass
class _DrawScene:
    synthesiser: SceneSynthesiser
    real: RealFrames | None

    def __call__(self, index: int) -> Mapping[str, Any]:
        known = self.real.at(index) if self.real is not None else None
        if known is not None:
            return real_scene(known, SCENE_SIZE)
        scene = self.synthesiser(index)
        count = len(scene.corners)
        corners = np.full((MAX_TARGETS, 4, 2), np.nan)
        corners[:count] = scene.corners
        plates = np.array([kind == "plate" for kind in scene.kinds] + [False] * (MAX_TARGETS - count))
        return {"frames": scene.frame, "corners": corners, "plates": plates}
