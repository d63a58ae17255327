"""Training samples for a turn network: rectified targets turned by quarters, their corners a little off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stn_rectify.models.training.pools.turn_pool import CROP_MARGIN, TurnPool
from stn_rectify.models.training.samples.frame_batches import network_colours
from stn_rectify.models.training.samples.refine_crops import perturbation
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.rectifying.pixels.crops import COARSE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.refining.target_looks import letterbox_size, letterboxed

#: Standard deviation of the corners' errors, as a share of the target's side: those of the last refinement pass.
_SIGMA = (0.003, 0.05)
_QUARTERS = 4


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
