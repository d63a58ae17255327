"""Samples that no training has seen, to try a network on: synthesised of another seed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

#: Keeps the held-out samples apart from all that a training of another seed sees.
_HOLD_OUT_SEED = 2_000_000

_Batch = TypeVar("_Batch", covariant=True)


class SynthesisedSamples(Protocol[_Batch]):
    """A course of training whose samples are all synthesised."""

    @property
    def seed(self) -> int:
        """The seed of the training."""

    def pool(self, folder: Path, count: int, seed: int, jobs: int) -> Any:
        """Synthesises so many samples into a folder.

        Raises:
            DataError: see `stn_rectify.models.training.pools.stored_pool.StoredPool`.
        """

    def batches(self, pool: Any, epoch: int, *, batch_size: int | None = None) -> Iterator[_Batch]:
        """The batches of an epoch."""


def held_out_batch(course: SynthesisedSamples[_Batch], count: int, work: Path, jobs: int) -> _Batch:
    """Gives one batch of samples of another seed than the training's.

    Args:
        course: the training.
        count: of the samples.
        work: a folder for them, which is removed.
        jobs: processes that synthesise them.

    Raises:
        DataError: if they cannot be synthesised or written.
    """
    try:
        pool = course.pool(work, count, course.seed + _HOLD_OUT_SEED, jobs)
        return next(course.batches(pool, 0, batch_size=count))
    finally:
        shutil.rmtree(work, ignore_errors=True)
