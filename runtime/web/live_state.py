"""The run as the web view knows it: its newest frame, its numbers, its health."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.pipeline import Processed
from stn_rectify.runtime.sinks.jsonl import result_values
from stn_rectify.runtime.sources import FrameSource
from stn_rectify.runtime.summary import RunCounts, RunSummary
from stn_rectify.runtime.web.certificate import ServerCertificate
from stn_rectify.runtime.web.controls import Controls
from stn_rectify.runtime.web.machine_watch import MachineWatch
from stn_rectify.runtime.web.readings import Readings

_HEALTHY_S = 10.0  # a camera that hangs is noticed and opened again within this time


class LiveState:
    """Takes references from the thread of the run, and answers the server's.

    Args:
        source: where the frames come from.
        summary: the numbers of the run.
        controls: saving, models and settings.
        machine: the state of the machine.
        certificate: of the server under TLS.

    Attributes:
        newest: number of the newest frame from 1, and the frame; None before the first.
        passed_on: the newest one that was not skipped.
        all_done: whether no further frame will come.
        readings: the last ones.
        machine: the state of the machine.
        certificate: of the server; None on plain HTTP.
    """

    def __init__(
        self,
        source: FrameSource,
        summary: RunSummary,
        controls: Controls,
        machine: MachineWatch,
        certificate: ServerCertificate | None = None,
    ) -> None:
        self.newest: tuple[int, Processed] | None = None
        self.passed_on: Processed | None = None
        self.all_done = False
        self.readings, self.machine, self.certificate = Readings(), machine, certificate
        self._source, self._summary, self._controls = source, summary, controls
        self._shown_s = time.monotonic()
        self._baseline: RunCounts | None = None

    def show(self, done: Processed) -> None:
        """Takes the next frame; copies nothing and waits for nobody."""
        self.newest = (1 if self.newest is None else self.newest[0] + 1, done)
        if not done.is_skipped:
            self.passed_on = done
        self.readings.add(done)
        self._shown_s = time.monotonic()

    def start_latencies_anew(self) -> None:
        """Leaves the frames so far out of the percentiles, as after a change of the model."""
        self._baseline = self._summary.counts()

    def counts(self) -> RunCounts:
        """The numbers of the run."""
        return self._summary.counts()

    @property
    def reconnections(self) -> int:
        """The number of times that the source was opened again."""
        return self._source.reconnections

    @property
    def dropped(self) -> int:
        """Frames that the source dropped."""
        return self._source.dropped

    def ill_because(self) -> str | None:
        """Gives the reason why the run is not healthy; None if it is."""
        if self.all_done:
            return "all frames are done"
        silent_s = time.monotonic() - self._shown_s
        if silent_s <= _HEALTHY_S and self.newest is not None:
            return None
        return "no frame yet" if self.newest is None else f"no frame for {silent_s:.0f} s"

    def warnings(self) -> list[str]:
        """What is wrong although the run goes on: outputs, a picture that stays the same, board, certificate."""
        machine = self.machine.newest()
        throttling = [] if machine is None or machine.throttling is None else machine.throttling.now
        expiring = None if self.certificate is None else self.certificate.warning()
        return [
            *self._summary.troubles(),
            *([f"the board: {', '.join(throttling)}"] if throttling else []),
            *([] if expiring is None else [expiring]),
        ]

    @property
    def unwritten(self) -> dict[str, int]:
        """Results that outputs have not written, by the outputs' names."""
        return self._summary.unwritten

    @property
    def failing_outputs(self) -> int:
        """The number of outputs that cannot be written to at the moment."""
        return len(self._summary.faults)

    @property
    def frozen_s(self) -> float:
        """For how long a live picture has stayed the same, seconds; 0 as long as that is short."""
        return self._summary.frozen_s

    def result(self, done: Processed) -> dict[str, Any]:
        """The result of a frame as a JSON line has it."""
        return result_values(done.frame, done.result, done.targets if self._controls.has_several_targets else None)

    def values(self, newest: tuple[int, Processed] | None) -> dict[str, Any]:
        """All that a page shows beside the pictures, in types that JSON has.

        Args:
            newest: the frame that it shows.
        """
        done = None if newest is None else newest[1]
        height, width = (0, 0) if done is None else done.frame.image.shape[:2]
        size, region = (width, height), (0, 0, width, height)
        if done is not None and done.captured is not None:
            size = done.view.whole_size(done.captured.image)
            region = done.view.region_in(*size)
        controls = self._controls
        return {
            "latest": None if done is None else self.result(done),
            "found": done is not None and done.is_found,
            "skipped": done is not None and done.is_skipped,
            "frame_size": [width, height],
            "picture": {"size": list(size), "region": list(region)},
            "all_done": self.all_done,
            "silent_s": round(time.monotonic() - self._shown_s, 1),
            "source": self._source.description,
            "model": controls.model,
            "models": controls.models,
            "saving": controls.saving_values(),
            "settings": controls.settings(),
            "readings": self.readings.revision,
            "machine": self.machine.values(),
            "notice": vars(controls.notice),
            "stats": self._stats(),
        }

    def _stats(self) -> dict[str, Any]:
        counts = self.counts()
        latencies = counts if self._baseline is None else counts.latencies_since(self._baseline)
        p50, p99 = latencies.latency_ms(50), latencies.latency_ms(99)
        return {
            "frames": counts.frames,
            "frames_per_s": round(counts.frames_per_s, 1),
            "latency_p50_ms": None if math.isnan(p50) else round(p50, 2),
            "latency_p99_ms": None if math.isnan(p99) else round(p99, 2),
            "dropped": self.dropped,
            "misses": counts.misses,
            "failed": counts.failed,
            "reconnections": self.reconnections,
            "elapsed_s": round(counts.elapsed_s, 1),
            **({"targets": counts.targets} if self._controls.has_several_targets else {}),
        }


def picture(done: Processed) -> Image:
    """The frame as it is shown: flipped and rotated, and whole, also where only a region of it is looked at.

    Returns:
        uint8 [H, W, 3] BGR or [H, W] grey.
    """
    if done.captured is None or done.view.whole == done.view:
        return np.asarray(done.frame.image, np.uint8)
    return done.view.whole.apply(done.captured.image)
