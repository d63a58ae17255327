"""The processor cores that this process may use."""

from __future__ import annotations

import os

from stn_rectify.runtime.errors import warn


def usable_cores() -> int:
    """Gives the number of cores that this process may run on, 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(threads: int) -> int:
    """Bounds a number of threads by the cores: more of them wait for each other, and a frame takes many times as long.

    A number that is too large is a `StnRectifyWarning`.

    Args:
        threads: how many are asked for, 1 or more.
    """
    cores = usable_cores()
    if threads > cores:
        number = threads if threads < 10**6 else "over a million"
        has = "one core" if cores == 1 else f"{cores} cores"
        warn(f"threads is {number}, but this process has {has}: it computes with {cores}")
    return min(threads, cores)
