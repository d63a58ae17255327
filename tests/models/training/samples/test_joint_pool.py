"""A joint pool: each sample is drawn by the part that holds it."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.models.training.samples.joint_pool import JointPool, draw_joint


def numbered(count, name):
    """A pool of so many items, and a draw that says which one of which pool was asked for."""

    def draw(rng, pool, k, size):
        assert 0 <= k < len(pool)
        return np.full((size[1], size[0], 3), k, np.uint8), np.full((4, 2), name)

    return range(count), draw


def test_each_part_draws_its_own_items():
    pool = JointPool([numbered(3, 10), numbered(2, 20)])
    assert len(pool) == 5
    drawn = [draw_joint(np.random.default_rng(0), pool, k, (4, 2)) for k in range(5)]
    assert [image[0, 0, 0] for image, _ in drawn] == [0, 1, 2, 0, 1]
    assert [corners[0, 0] for _, corners in drawn] == [10, 10, 10, 20, 20]
    with pytest.raises(IndexError):
        draw_joint(np.random.default_rng(0), pool, 5, (4, 2))
