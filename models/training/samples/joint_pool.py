"""Several pools as one, each with its own way to draw samples of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.models.training.pools.stored_pool import StoredPool
from stn_rectify.models.training.samples.frame_batches import Draw
from stn_rectify.runtime.arrays import FloatArray, Image


@dataclass(frozen=True)
class JointPool:
    """The items of several pools, one pool after the other.

    Attributes:
        parts: the pools, each with the function that draws a sample of it.
    """

    parts: Sequence[tuple[StoredPool, Draw]]

    def __len__(self) -> int:
        return sum(len(pool) for pool, _ in self.parts)


def draw_joint(rng: np.random.Generator, pool: JointPool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
    """Draws item ``k`` of them all as its part asks for; it is a `Draw`."""
    for part, draw in pool.parts:
        if k < len(part):
            return draw(rng, part, k, size)
        k -= len(part)
    raise IndexError(k)
