"""Ctrl-C and SIGTERM end a run cleanly."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A source of frames, or other work that ends early when it is asked to."""

    def stop(self) -> None:
        """Ends it as soon as may be."""


class StopSignals:
    """Turns the first signal into `Stoppable.stop`, or into KeyboardInterrupt while there is no source yet.

    A second signal raises KeyboardInterrupt, for a run that does not end.
    """

    def __init__(self) -> None:
        self._source: Stoppable | None = None
        self._received = False

    def watch(self, source: Stoppable) -> None:
        """From now on a signal stops this source."""
        self._source = source

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._source is None or self._received:
            raise KeyboardInterrupt
        self._received = True
        self._source.stop()


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Handles SIGINT and SIGTERM inside the block (main thread only), and restores the handlers after it."""
    signals = StopSignals()
    handlers = {number: signal.signal(number, signals._handle) for number in _SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
