"""A run under the eyes of a service manager: it is told what goes on, and ends the process when nothing does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.command.upkeep.frozen_picture import FrozenPicture
from stn_rectify.runtime.process.service_manager import ServiceManager
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.sinks.background import BackgroundSink
from stn_rectify.runtime.sources import CapturedFrame, FrameSource
from stn_rectify.runtime.summary import RunSummary

_STATUS_S = 10.0  # between two lines of status


class RunWatch(Closing):
    """Tells the service manager of a run's progress: of frames, and of a source that is known to be away.

    Nothing else is a sign of life, so a run that hangs, wherever it does, is ended and started again.

    What is wrong all the same is said in the status, and noted in the summary: outputs that cannot be written to, a
    picture that stays the same.

    Args:
        summary: of the run.
        frozen_after_s: after how long a picture of a live source that stays the same is worth a word; 0: never.

    Attributes:
        outputs: those that may drop results; the caller sets them.
    """

    def __init__(self, summary: RunSummary, *, frozen_after_s: float = 0.0) -> None:
        self.outputs: Sequence[BackgroundSink] = ()
        self._summary, self._manager = summary, ServiceManager()
        self._frozen = FrozenPicture(frozen_after_s, self._say_of_source)
        self._source: FrameSource | None = None
        self._last_status_s = -_STATUS_S

    def begin(self, source: FrameSource) -> None:
        """All is open, and frames are to come."""
        self._source = source
        if source.framerate:
            self._manager.wait_longer(1 / source.framerate)
        self._manager.ready()
        self._manager.status("waiting for the first frame")

    def frame_done(self, frame: CapturedFrame) -> None:
        """A frame, as the source gave it, has gone all its way."""
        self._manager.alive()
        if frame.is_live:
            self._frozen.look(frame.image)
        self.note_troubles()
        if self._status_is_due():
            counts = self._summary.counts()
            share = f", target found in {100 * counts.found / counts.frames:.0f} %" if counts.frames else ""
            self._manager.status(f"{counts.frames} frames, {counts.frames_per_s:.1f} a second{share}{self._trouble()}")

    def away(self) -> None:
        """There is no frame, and the reason is known."""
        self._manager.alive()
        self.note_troubles()
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

    def note_troubles(self) -> None:
        """Notes in the summary what outputs have not written, and what is wrong at the moment."""
        self._summary.unwritten = {output.name: output.dropped for output in self.outputs}
        self._summary.frozen_s = self._frozen.since_s
        self._summary.faults = {output.name: output.fault for output in self.outputs if output.fault is not None}

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
        unwritten = sum(self._summary.unwritten.values())
        lines = [*self._summary.troubles(), *([f"{unwritten} results not written"] if unwritten else [])]
        return "".join(f"; {line}" for line in lines)

    def _say_of_source(self, line: str) -> None:
        say(line if self._source is None else f"{self._source.description}: {line}")
