"""What a run amounted to: frames, drops, latency, and how often a target was found."""

from __future__ import annotations

import math
import time

import numpy as np

from stn_rectify.runtime.misses import MissRule
from stn_rectify.runtime.rectification import Rectification

__all__ = ["RunSummary"]

# Latencies are counted in bins 1 % wide, so that a run of months needs no more memory than one of seconds.
_SMALLEST_MS = 0.01
_RATIO = 1.01
_BINS = 2048  # up to 0.01 ms · 1.01^2048, about two months


class RunSummary:
    """Collects results; `str` gives the closing line.

    Args:
        rule: says which frames are misses. Where it is not the default the line says how many there were.

    Attributes:
        frames: results so far.
        failed: frames that could not be read or rectified; the caller counts them.
        dropped: frames that the source dropped; the caller sets it.
        misses: frames without a target, so far.
    """

    def __init__(self, rule: MissRule | None = None) -> None:
        self.frames = 0
        self.failed = 0
        self.dropped = 0
        self.misses = 0
        self._rule = rule or MissRule()
        self._found = 0
        self._started = time.monotonic()
        self._bins = np.zeros(_BINS, np.int64)

    def add(self, result: Rectification) -> None:
        """Counts one result, skipped or not; whether its target is found, `MissRule.is_found` says."""
        self.frames += 1
        self.misses += self._rule.is_miss(result)
        self._found += self._rule.is_found(result)
        position = math.log(max(result.latency_ms, _SMALLEST_MS) / _SMALLEST_MS) / math.log(_RATIO)
        self._bins[min(_BINS - 1, int(position))] += 1

    def latency_ms(self, percentile: float) -> float:
        """The latency that ``percentile`` % of the frames do not exceed, to 1 %; NaN without frames."""
        if not self.frames:
            return math.nan
        rank = max(1, math.ceil(self.frames * percentile / 100))
        position = int(np.searchsorted(np.cumsum(self._bins), rank))
        return float(_SMALLEST_MS * _RATIO ** (position + 0.5))

    def __str__(self) -> str:
        elapsed_s = time.monotonic() - self._started
        duration = f"{elapsed_s:.0f} s" if elapsed_s >= 10 else f"{elapsed_s:.1f} s"
        counts = f"{_count(self.frames, 'frame')} in {duration}, {self.dropped} dropped"
        counts += f", {self.failed} failed" if self.failed else ""
        if not self.frames:
            return counts
        p50, p99 = self.latency_ms(50), self.latency_ms(99)
        found = round(100 * self._found / self.frames)
        line = f"{counts} · latency p50 {p50:.1f} ms, p99 {p99:.1f} ms · target found in {found} %"
        if self._rule == MissRule():
            return line
        fate = "skipped" if self._rule.on_miss == "skip" else "passed on unrectified"
        return f"{line}, {_count(self.misses, 'frame')} without one {fate}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
