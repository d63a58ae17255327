"""How long work took."""

from __future__ import annotations

import time


def milliseconds_since(started: float) -> float:
    """Milliseconds since a time that ``time.perf_counter()`` gave."""
    return (time.perf_counter() - started) * 1000
