"""The state of the machine for those who watch, asked only while somebody does, and never by the server's own loop."""

from __future__ import annotations

import threading
import time
from os import PathLike
from typing import Any

from stn_rectify.runtime.process.board import MachineState, machine_state

_FRESH_S = 10.0


class MachineWatch:
    """Knows the machine's state of a few seconds ago.

    Args:
        folder: whose disk counts.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self._folder = folder
        self._newest: MachineState | None = None
        self._asked_s: float | None = None
        self._asking = threading.Thread()
        self._lock = threading.Lock()

    def newest(self) -> MachineState | None:
        """What is known; None before the first time that somebody asked. It is asked anew in a thread of its own."""
        with self._lock:
            is_due = self._asked_s is None or time.monotonic() - self._asked_s > _FRESH_S
            if is_due and not self._asking.is_alive():  # a disk that hangs gives no answer
                self._asked_s = time.monotonic()
                self._asking = threading.Thread(target=self._ask, name="machine state", daemon=True)
                self._asking.start()
        return self._newest

    def values(self) -> dict[str, Any] | None:
        """The same in types that JSON has."""
        state = self.newest()
        if state is None:
            return None
        throttling = state.throttling
        return {
            "board": state.board,
            "temperature_c": None if state.temperature_c is None else round(state.temperature_c, 1),
            "throttled_now": None if throttling is None else throttling.now,
            "throttled_since_start": None if throttling is None else throttling.since_start,
            "disk": {
                "folder": state.folder,
                "free_bytes": state.disk_free_bytes,
                "total_bytes": state.disk_total_bytes,
            },
        }

    def _ask(self) -> None:
        self._newest = machine_state(self._folder)
