"""Saving that can be switched off and on while a run goes on."""

from __future__ import annotations

from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sinks import ResultSink, SaveSink
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["SavingSwitch"]


class SavingSwitch(ResultSink):
    """Saves while it is on.

    Args:
        sink: saves; closed with this.
        is_on: whether it is on to begin with.

    Attributes:
        is_on: any thread may set it.
    """

    def __init__(self, sink: SaveSink, *, is_on: bool = True) -> None:
        self._sink = sink
        self.is_on = is_on

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Saves the result if saving is on and it is its turn.

        Raises:
            StnRectifyError: it cannot be written, and why.
        """
        if self.is_on:
            self._sink.write(frame, result)

    def snapshot(self, frame: CapturedFrame, result: Rectification) -> None:
        """Saves this result whatever the switch says; from the thread that calls `write`.

        Raises:
            StnRectifyError: it cannot be written, and why.
        """
        self._sink.save(frame, result)

    def close(self) -> None:
        """Closes the sink."""
        self._sink.close()
