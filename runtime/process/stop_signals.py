"""Ctrl-C and SIGTERM end a run cleanly, and soon.

None of it raises in the middle of an import, out of which an exception may come as another one (NumPy's is an
ImportError), or not at all: it waits for the import's end, for a second, after which the process is ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, TypeAlias

#: The exit status that shells give for a program that Ctrl-C has killed.
INTERRUPTED = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 1.0  # for what is going on to look whether it shall stop; a second more is left to the end
_IMPORT_PATIENCE_S = 1.0  # for the import in whose middle a signal comes
_IMPORT_POLL_S = 0.02
_IMPORT_CODE = "<frozen importlib._bootstrap>"

_Handler: TypeAlias = Callable[[int, FrameType | None], None]

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
        self._at_hang: Callable[[], object] | None = None

    def set_at_hang(self, job: Callable[[], object]) -> None:
        """Names what can still be done where the main thread hangs after a signal; see `hang`."""
        self._at_hang = job

    def hang(self) -> None:
        """Has it done, in the thread that has noticed it."""
        if self._at_hang is not None:
            self._at_hang()

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
            _interrupt_when_imported(frame)
            return
        self._received = True
        self._work.stop()
        if not self._is_over:
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)  # 0 sets none

    def _handle_alarm(self, number: int, frame: FrameType | None) -> None:
        if _waiting.until_s is not None:
            _interrupt_when_imported(frame)
        elif self._received and not self._is_over:
            if not _is_importing(frame):
                raise Stopped
            signal.setitimer(signal.ITIMER_REAL, _IMPORT_POLL_S)


def was_asked_to_stop() -> bool:
    """Tells whether a signal has come that asked this process to stop."""
    return bool(_received)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Handles SIGINT, SIGTERM and SIGALRM inside the block (main thread only), and restores the handlers after it."""
    signals = StopSignals()
    with _handling({**dict.fromkeys(_SIGNALS, signals._handle), signal.SIGALRM: signals._handle_alarm}):
        yield signals


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Inside the block SIGTERM raises KeyboardInterrupt, as Ctrl-C does; outside the main thread nothing changes.

    A signal that is ignored, as Ctrl-C is in what a shell runs in the background, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with _handling({**dict.fromkeys(heard, _interrupt), signal.SIGALRM: _interrupt_waiting}):
        yield


class _Waiting:
    """An interrupt that waits for the end of an import; handlers of signals may nest, but the process has one of it.

    Attributes:
        until_s: when the process is ended, on the monotonic clock; None where nothing waits.
    """

    until_s: float | None = None


_waiting = _Waiting()


@contextmanager
def _handling(handlers: Mapping[int, _Handler]) -> Iterator[None]:
    """Handles signals, SIGALRM among them, inside the block. An interrupt that still waits then is raised."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        if _waiting.until_s is not None:
            _waiting.until_s = None
            raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    _interrupt_when_imported(frame)


def _interrupt_waiting(number: int, frame: FrameType | None) -> None:
    if _waiting.until_s is not None:
        _interrupt_when_imported(frame)


def _interrupt_when_imported(frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, or sets the timer that asks again."""
    if not _is_importing(frame):
        _waiting.until_s = None
        raise KeyboardInterrupt
    now_s = time.monotonic()
    if _waiting.until_s is None:
        _waiting.until_s = now_s + _IMPORT_PATIENCE_S
    if now_s >= _waiting.until_s:
        os._exit(INTERRUPTED)
    signal.setitimer(signal.ITIMER_REAL, _IMPORT_POLL_S)


def _is_importing(frame: FrameType | None) -> bool:
    """Tells whether an import is among the calls that led to a place."""
    while frame is not None and frame.f_code.co_filename != _IMPORT_CODE:
        frame = frame.f_back
    return frame is not None
