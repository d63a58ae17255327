"""Several pools as one, each with its own way to draw samples of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stn_rectify.models.training.pools.stored_pool import StoredPool
from stn_rectify.models.training.samples.frame_batches import Draw
from stn_rectify.runtime.arrays import FloatArray, Image


class JointPool:
    """The items of several pools, one pool after the other.

    Args:
        parts: the pools, each with the function that draws a sample of it.
    """

    def __init__(self, parts: Sequence[tuple[StoredPool, Draw]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(pool) for pool, _ in self._parts)

    def sample(self, rng: np.random.Generator, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
        """A sample of item ``k`` of them all; see `stn_rectify.models.training.samples.frame_batches.Draw`."""
        for pool, draw in self._parts:
            if k < len(pool):
                return draw(rng, pool, k, size)
            k -= len(pool)
        raise IndexError(k)


def draw_joint(rng: np.random.Generator, pool: JointPool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
    """Draws item ``k`` of a `JointPool` as its part asks for; it is a `Draw`."""
    return pool.sample(rng, k, size)
