"""Samples to try a network on: none that its training has seen, and nothing of them stays."""

from __future__ import annotations

import pytest

from stn_rectify.models.training.course.held_out import held_out_batch
from stn_rectify.runtime.errors import DataError


class Samples:
    """A course whose samples are the numbers from its pool's seed on."""

    seed = 3

    def pool(self, folder, count, seed, jobs):
        folder.mkdir()
        if count > 9:
            raise DataError("the disk is full")
        return range(seed, seed + count)

    def batches(self, pool, epoch, *, batch_size=None):
        yield list(pool)[: batch_size or 2]


def test_they_are_of_another_seed_and_all_in_one_batch(tmp_path):
    course, trained_on = Samples(), range(3, 3 + 100_000)
    batch = held_out_batch(course, 5, tmp_path / "held-out", jobs=1)
    assert len(batch) == 5
    assert not set(batch) & set(trained_on)
    assert batch == held_out_batch(course, 5, tmp_path / "held-out", jobs=1)


@pytest.mark.parametrize("count", [5, 10], ids=["made", "not made"])
def test_their_folder_goes(tmp_path, count):
    try:
        held_out_batch(Samples(), count, tmp_path / "held-out", jobs=1)
    except DataError:
        assert count == 10
    assert not (tmp_path / "held-out").exists()
