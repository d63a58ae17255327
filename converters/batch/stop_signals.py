"""Ctrl-C and SIGTERM stop a batch, but not in the middle of a step that must not be torn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context manager: the first signal raises KeyboardInterrupt, later ones do not disturb the clearing up.

    Outside the main thread, where Python has no signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._held = False
        self._received = False
        self._raised = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes inside the block counts at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._raise()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        if not self._held:
            self._raise()

    def _raise(self) -> None:
        if self._received and not self._raised:
            self._raised = True
            raise KeyboardInterrupt
