"""Rectified targets for turn networks, the right way up, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.models.synthesis.upright import UprightSynthesiser
from stn_rectify.models.training.pools.stored_pool import DrawItem, StoredPool

#: Side of the stored crops, pixels, and what they show beyond the target's edges.
CROP_SIDE, CROP_MARGIN = 160, 0.12


class TurnPool(StoredPool):
    """Rectified targets, the right way up, in a folder.

    Args:
        folder: see `StoredPool`; so ``count`` and ``jobs``.
        seed: seed of the synthesiser.
        backgrounds: folder of photographs, or None.
        targets: folder of upright pictures of the only targets, or None.
        fonts: folder of further faces for words, or None.

    Attributes:
        frames: uint8 [N, 160, 160, 3] BGR; the target and `CROP_MARGIN` around it.
        aspects: float32 [N], width over height of each target.

    Raises:
        DataError: as `StoredPool` does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        seed: int,
        backgrounds: Path | None = None,
        targets: Path | None = None,
        fonts: Path | None = None,
        jobs: int = 1,
    ) -> None:
        self._synthesiser = UprightSynthesiser(
            seed=seed, size=CROP_SIDE, margin=CROP_MARGIN, backgrounds=backgrounds, targets=targets, fonts=fonts
        )
        recipe = {"seed": seed, "backgrounds": backgrounds, "targets": targets, "fonts": fonts}
        super().__init__(folder, count=count, recipe=recipe, jobs=jobs)
        self.frames, self.aspects = self.open_array("frames"), self.open_array("aspects")

    def array_shapes(self) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
        """See `StoredPool.array_shapes`."""
        return {"frames": (np.uint8, (CROP_SIDE, CROP_SIDE, 3)), "aspects": (np.float32, ())}

    def drawer(self) -> DrawItem:
        """See `StoredPool.drawer`."""
        return _DrawUpright(self._synthesiser)


@dataclass
class _DrawUpright:
    synthesiser: UprightSynthesiser

    def __call__(self, index: int) -> Mapping[str, Any]:
        sample = self.synthesiser(index)
        return {"frames": sample.crop, "aspects": sample.aspect}
