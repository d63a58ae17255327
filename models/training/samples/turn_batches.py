"""Training samples for a turn network: rectified targets turned by quarters, their corners a little off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.models.synthesis.upright import UprightSynthesiser
from stn_rectify.models.training.pools.stored_pool import DrawItem, StoredPool
from stn_rectify.models.training.samples.frame_batches import network_colours
from stn_rectify.models.training.samples.refine_crops import perturbation
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.rectifying.crops import COARSE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.turning import letterbox_size, letterboxed

#: Side of the stored crops, pixels, and what they show beyond the target's edges.
CROP_SIDE, CROP_MARGIN = 160, 0.12
#: Standard deviation of the corners' errors, as a share of the target's side: those of the last refinement pass.
_SIGMA = (0.003, 0.05)
_QUARTERS = 4


class TurnPool(StoredPool):
    """Rectified targets, the right way up, in a folder.

    Args:
        folder: see `StoredPool`; so ``count`` and ``jobs``.
        seed: seed of the synthesiser.
        backgrounds: folder of photographs, or None.
        targets: folder of upright pictures of the only targets, or None.

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
        jobs: int = 1,
    ) -> None:
        self._synthesiser = UprightSynthesiser(
            seed=seed, size=CROP_SIDE, margin=CROP_MARGIN, backgrounds=backgrounds, targets=targets
        )
        folders = {"backgrounds": backgrounds, "targets": targets}
        recipe = {"seed": seed, **{name: str(path.resolve()) if path else None for name, path in folders.items()}}
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


@dataclass(frozen=True)
class TurnBatch:
    """One training batch.

    Attributes:
        frames: float32 [B, H, W, C] in [0, 1], RGB or grey.
        turns: int32 [B], 0 to 3: by how many quarters each must be turned clockwise to be upright.
    """

    frames: npt.NDArray[np.float32]
    turns: npt.NDArray[np.int32]


def turn_batches(
    pool: TurnPool, epoch: int, *, input_shape: tuple[int, int, int], batch_size: int, seed: int, first: int = 0
) -> Iterator[TurnBatch]:
    """The batches of one epoch, from batch ``first`` on; the same for the same arguments.

    Args:
        pool: the targets.
        epoch: number of the epoch, from 0.
        input_shape: height and width, which are the same, and channels (1 or 3) of the network's input.
        batch_size: samples in a batch; targets that do not fill one are left out.
        seed: decides order, turns and errors of the corners.
        first: number of the first batch.
    """
    side, _, channels = input_shape
    order = np.random.default_rng([seed, epoch]).permutation(len(pool))
    for number in range(first, len(pool) // batch_size):
        rng = np.random.default_rng([seed, epoch, number])
        chosen = order[number * batch_size : (number + 1) * batch_size]
        turns = rng.integers(_QUARTERS, size=batch_size)
        images = [
            network_colours(rng, turned_crop(rng, pool.frames[k], float(pool.aspects[k]), int(turn), side), channels)
            for k, turn in zip(chosen, turns, strict=True)
        ]
        yield TurnBatch(np.stack(images).astype(np.float32) / 255.0, turns.astype(np.int32))


def turned_crop(rng: np.random.Generator, stored: Image, aspect: float, turn: int, side: int) -> Image:
    """A stored crop as a turn network sees it.

    Args:
        rng: decides the errors of the corners.
        stored: uint8 [S, S, 3], upright, with `CROP_MARGIN`.
        aspect: width over height of the target.
        turn: by how many quarters the result must be turned clockwise to be upright again.
        side: of the result, pixels.

    Returns:
        uint8 [side, side, 3]: the target without a margin, its aspect kept.
    """
    pose = np.diag([1 / (1 + 2 * CROP_MARGIN)] * 2 + [1.0]) @ perturbation(rng, _SIGMA)
    seen = np.ascontiguousarray(np.rot90(stored, turn))
    size = letterbox_size(aspect if turn % 2 == 0 else 1 / aspect, side)
    return letterboxed(target_crop(seen, pose, size=size, margin=0.0, supersampling=COARSE_SUPERSAMPLING), side)
