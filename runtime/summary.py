"""The summary of a run: frames, drops, latency, and how often a target was found."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from stn_rectify.runtime.arrays import IntArray
from stn_rectify.runtime.results import MissRule, Rectification

# Latencies are counted in bins 1 % wide, so that a run of months needs no more memory than one of seconds.
_SMALLEST_MS = 0.01
_RATIO = 1.01
_BINS = 2048  # up to 0.01 ms · 1.01^2048, about two months
_RATE_FRAMES = 64  # the frame rate is that of so many frames, a few seconds


@dataclass(frozen=True, eq=False)
class RunCounts:
    """The numbers of a run at one moment.

    Attributes:
        frames: results.
        failed: frames that could not be read or rectified.
        dropped: frames that the source dropped.
        misses: frames without a target.
        found: frames whose target, or the best of whose targets, counts as found.
        targets: targets of all frames together, where several were looked for in a frame.
        elapsed_s: from the beginning of the run to now or to its end, seconds.
        frames_per_s: results per second of late; falls to 0 where none come.
        latency_sum_ms: latency of all results together, milliseconds.
        bins: int64 [2048], how many results had which latency; see `latency_ms` and `up_to`.
    """

    frames: int
    failed: int
    dropped: int
    misses: int
    found: int
    elapsed_s: float
    frames_per_s: float
    latency_sum_ms: float
    bins: IntArray
    targets: int = 0

    def latency_ms(self, percentile: float) -> float:
        """The latency that ``percentile`` % of the frames do not exceed, to 1 %; NaN without frames."""
        frames = int(self.bins.sum())
        if not frames:
            return math.nan
        rank = max(1, math.ceil(frames * percentile / 100))
        position = int(np.searchsorted(np.cumsum(self.bins), rank))
        return float(_SMALLEST_MS * _RATIO ** (position + 0.5))

    def up_to(self, latency_ms: float) -> int:
        """Gives the number of results that had at most this latency, which counts to 1 %."""
        return int(self.bins[: _bin(latency_ms) + 1].sum())

    def latencies_since(self, earlier: RunCounts) -> RunCounts:
        """The same numbers with the latencies of those results only that came after ``earlier``."""
        return replace(
            self,
            bins=self.bins - earlier.bins,
            latency_sum_ms=self.latency_sum_ms - earlier.latency_sum_ms,
        )


class RunSummary:
    """Collects results; `str` gives the closing line. Other threads may ask for `counts` while one adds.

    Args:
        rule: says which frames are misses, unless results come with a rule of their own. Where it is not the default
            the line says how many there were.

    Attributes:
        frames: results so far.
        failed: frames that could not be read or rectified; the caller counts them.
        unread: targets on which the recognizer failed; the caller counts them.
        dropped: frames that the source dropped; the caller sets it.
        reconnections: how often the source was opened again; the caller sets it.
        not_begun: files that a run which was stopped has not begun; the caller sets it.
        unwritten: results that outputs have not written, by the outputs' names; the caller sets it.
        frozen_s: for how long a live picture has stayed the same, seconds, 0 as long as that is short; the caller sets
            it.
        faults: why outputs cannot be written to at the moment, by the outputs' names; the caller sets it.
        misses: frames without a target, so far.
    """

    def __init__(self, rule: MissRule | None = None) -> None:
        self.frames = 0
        self.failed = 0
        self.unread = 0
        self.dropped = 0
        self.reconnections = 0
        self.not_begun = 0
        self.unwritten: dict[str, int] = {}
        self.frozen_s = 0.0
        self.faults: dict[str, str] = {}
        self.misses = 0
        self._rule = rule or MissRule()
        # The model's own score, which comes with the results, leaves pictures and corners as they were found.
        self._keeps_found = self._rule.min_score is None
        self._found = 0
        self._targets: int | None = None
        self._started = time.monotonic()
        self._ended: float | None = None
        self._bins = np.zeros(_BINS, np.int64)
        self._latency_sum_ms = 0.0
        self._added: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._lock = threading.Lock()

    def is_found(self, result: Rectification) -> bool:
        """Tells whether the result's target counts as found; see `MissRule.is_found`."""
        return self._rule.is_found(result)

    def troubles(self) -> list[str]:
        """What is wrong at the moment, although the run goes on; without names of files, for whoever may ask."""
        troubles = [f"an output cannot be written to ({reason})" for reason in self.faults.values()]
        return [*troubles, *([f"the picture has not changed for {self.frozen_s:.0f} s"] if self.frozen_s else [])]

    def add(self, result: Rectification, *, targets: int | None = None, rule: MissRule | None = None) -> None:
        """Counts one result, skipped or not.

        Args:
            result: of the frame, or of the best of its targets.
            targets: the number of the frame's targets that are no miss, where several are looked for.
            rule: the one that told whether the frame is a miss, which may change with the model; None for that of
                before.
        """
        with self._lock:
            self._rule = rule or self._rule
            if targets is not None:
                self._targets = (self._targets or 0) + targets
            self.frames += 1
            self.misses += self._rule.is_miss(result)
            self._found += self._rule.is_found(result)
            self._bins[_bin(result.latency_ms)] += 1
            self._latency_sum_ms += result.latency_ms
            self._added.append(time.monotonic())

    def end(self) -> None:
        """No further frame will come: time from now on does not count."""
        self._ended = time.monotonic()

    def counts(self) -> RunCounts:
        """The numbers so far."""
        with self._lock:
            now = time.monotonic()
            since_first = now - self._added[0] if self._added else 0.0
            return RunCounts(
                frames=self.frames,
                failed=self.failed,
                dropped=self.dropped,
                misses=self.misses,
                found=self._found,
                elapsed_s=self._elapsed_s(),
                frames_per_s=(len(self._added) - 1) / since_first if since_first > 0 else 0.0,
                latency_sum_ms=self._latency_sum_ms,
                bins=self._bins.copy(),
                targets=self._targets or 0,
            )

    def latency_ms(self, percentile: float) -> float:
        """The latency that ``percentile`` % of the frames do not exceed, to 1 %; NaN without frames."""
        return self.counts().latency_ms(percentile)

    def __str__(self) -> str:
        elapsed_s = self._elapsed_s()
        duration = f"{elapsed_s:.0f} s" if elapsed_s >= 10 else f"{elapsed_s:.1f} s"
        counts = f"{_count(self.frames, 'frame')} in {duration}, {self.dropped} dropped"
        counts += f", {self.failed} failed" if self.failed else ""
        counts += f", stopped before {_count(self.not_begun, 'more file')}" if self.not_begun else ""
        counts += f", recognizer failed on {self.unread}" if self.unread else ""
        counts += f", source opened again {self.reconnections}×" if self.reconnections else ""
        unwritten = ", ".join(f"{count} to {name}" for name, count in self.unwritten.items() if count)
        counts += f", results not written: {unwritten}" if unwritten else ""
        if not self.frames:
            return counts
        p50, p99 = self.latency_ms(50), self.latency_ms(99)
        found_percent = round(100 * self._found / self.frames)
        line = f"{counts} · latency p50 {p50:.1f} ms, p99 {p99:.1f} ms · target found in {found_percent} %"
        if self._targets is not None:
            line += f", {self._targets / self.frames:.2f} targets a frame"
        if self._rule == MissRule():
            return line
        passed = "passed on" if self._keeps_found else "passed on unrectified"
        fate = "skipped" if self._rule.on_miss == "skip" else passed
        return f"{line}, {_count(self.misses, 'frame')} without one {fate}"

    def _elapsed_s(self) -> float:
        return (time.monotonic() if self._ended is None else self._ended) - self._started


def _bin(latency_ms: float) -> int:
    position = math.log(max(latency_ms, _SMALLEST_MS) / _SMALLEST_MS) / math.log(_RATIO)
    return min(_BINS - 1, int(position))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
