"""The processor cores that this process may use."""

from __future__ import annotations

import logging
import os

_LOG = logging.getLogger(__name__)
_told: set[int] = set()


def usable_cores() -> int:
    """Gives the number of cores that this process may run on, 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(threads: int) -> int:
    """Bounds a number of threads by the cores: more of them wait for each other, and a frame takes many times as long.

    A number that is too large is a warning of the module's logger, once.

    Args:
        threads: how many are asked for, 1 or more.
    """
    cores = usable_cores()
    if threads <= cores:
        return threads
    if threads not in _told:
        _told.add(threads)
        _LOG.warning(
            "threads is %s, but this process has %d core%s: it computes with %d",
            threads if threads < 10**6 else "over a million",
            cores,
            "" if cores == 1 else "s",
            cores,
        )
    return cores
