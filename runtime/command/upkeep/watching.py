"""A run under the eyes of a service manager: it is told what goes on, and ends the process when nothing does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.process.service_manager import ServiceManager
from stn_rectify.runtime.sinks.background import BackgroundSink
from stn_rectify.runtime.sources import FrameSource
from stn_rectify.runtime.summary import RunSummary

_STATUS_S = 10.0  # between two lines of status


class RunWatch(Closing):
    """Tells the service manager of a run's progress: of frames, and of a source that is known to be away.

    Nothing else is a sign of life, so a run that hangs, wherever it does, is ended and started again.

    Args:
        summary: of the run.

    Attributes:
        outputs: those that may drop results, for the summary; the caller sets them.
    """

    def __init__(self, summary: RunSummary) -> None:
        self.outputs: Sequence[BackgroundSink] = ()
        self._summary, self._manager = summary, ServiceManager()
        self._source: FrameSource | None = None
        self._last_status_s = -_STATUS_S

    def begin(self, source: FrameSource) -> None:
        """All is open, and frames are to come."""
        self._source = source
        if source.framerate:
            self._manager.wait_longer(1 / source.framerate)
        self._manager.ready()
        self._manager.status("waiting for the first frame")

    def frame_done(self) -> None:
        """A frame has gone all its way."""
        self._manager.alive()
        if self._status_is_due():
            counts = self._summary.counts()
            share = f", target found in {100 * counts.found / counts.frames:.0f} %" if counts.frames else ""
            self.count_unwritten()
            self._manager.status(f"{counts.frames} frames, {counts.frames_per_s:.1f} a second{share}{self._trouble()}")

    def away(self) -> None:
        """There is no frame, and the reason is known."""
        self._manager.alive()
        if self._status_is_due():
            source = "" if self._source is None else f" for {self._source.description}"
            self._manager.status(f"{self._summary.frames} frames, waiting{source}{self._trouble()}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """The options are read anew inside the block."""
        self._manager.reloading()
        try:
            yield
        finally:
            self._manager.ready()

    def end(self) -> None:
        """No further frame will come."""
        self._manager.stopping()

    def count_unwritten(self) -> None:
        """Notes in the summary what outputs have not written."""
        self._summary.unwritten = {output.name: output.dropped for output in self.outputs}

    @property
    def is_failing(self) -> bool:
        """Tells whether an output cannot be written to at the moment."""
        return any(output.fault is not None for output in self.outputs)

    def close(self) -> None:
        """Says no more."""
        self._manager.close()

    def _status_is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_status_s < _STATUS_S:
            return False
        self._last_status_s = now
        return True

    def _trouble(self) -> str:
        faults = [f"; {output.name}: {output.fault}" for output in self.outputs if output.fault is not None]
        unwritten = sum(output.dropped for output in self.outputs)
        return "".join(faults) + (f"; {unwritten} results not written" if unwritten else "")
