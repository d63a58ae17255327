"""Synthesised frames that many tests of training begin with: making them takes longer than training on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stn_rectify.models.training.pools.frame_pool import FramePool


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> FramePool:
    """The frames of a course of 200 samples, seed 0, for a network that sees 32×32 pixels of whole frames."""
    return FramePool(tmp_path_factory.mktemp("pool"), count=200, size=64, seed=0)


@pytest.fixture(scope="session")
def with_frames(pool: FramePool) -> Callable[[Path], Path]:
    """Gives the model's file back, and beside it the frames, as a run that was stopped after it had made them."""

    def give(out: Path) -> Path:
        shutil.copytree(pool.folder, out.with_suffix(".training") / "frames")
        return out

    return give
