"""Ctrl-C and SIGTERM end a run cleanly, and soon."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

#: The exit status that shells give for a program that Ctrl-C has killed.
INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 1.0  # for what is going on to look whether it shall stop; a second more is left to the end
_received: list[int] = []  # by any of this process; a lock has no place in a signal handler


class Stoppable(Protocol):
    """A source of frames, or other work that ends early when it is asked to."""

    def stop(self) -> None:
        """Ends it as soon as may be."""


class Stopped(KeyboardInterrupt):
    """Work that was asked to stop hung in a wait, and was taken out of it; a clean end is still possible."""


class StopSignals:
    """Turns the first signal into `Stoppable.stop`, or into KeyboardInterrupt while there is no work yet.

    Work that has not ended a second later waits for something, such as the reader of a pipe: `Stopped` is raised in it.
    A second signal raises KeyboardInterrupt, for a run that does not end.
    """

    def __init__(self) -> None:
        self._work: Stoppable | None = None
        self._received = False
        self._is_over = False
        self._patience_s = _PATIENCE_S

    @contextmanager
    def stopping(self, work: Stoppable, *, patience_s: float = _PATIENCE_S) -> Iterator[None]:
        """Inside the block a signal stops this work; what comes after it, such as closing files, it leaves alone.

        Args:
            work: what is stopped.
            patience_s: seconds after which `Stopped` is raised; 0 for work that never waits, of which nothing may be
                lost.
        """
        self._work, self._patience_s = work, patience_s
        try:
            yield
        finally:
            self._is_over = True
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        _received.append(number)
        if self._work is None or self._received:
            raise KeyboardInterrupt
        self._received = True
        self._work.stop()
        if not self._is_over:
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)  # 0 sets none

    def _handle_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._received and not self._is_over:
            raise Stopped


def was_asked_to_stop() -> bool:
    """Tells whether a signal has come to any `StopSignals` of this process."""
    return bool(_received)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Handles SIGINT, SIGTERM and SIGALRM inside the block (main thread only), and restores the handlers after it."""
    signals = StopSignals()
    handlers = {number: signal.signal(number, signals._handle) for number in _SIGNALS}
    handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, signals._handle_alarm)
    try:
        yield signals
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Inside the block SIGTERM raises KeyboardInterrupt, as Ctrl-C does; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
