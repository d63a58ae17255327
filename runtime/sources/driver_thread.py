"""Threads that may hang in a driver or a network, out of which nobody can get them."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["DriverThread", "any_left"]


class DriverThread(threading.Thread):
    """A thread for calls of OpenCV that may hang; the process does not wait for it as it ends."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)


def any_left() -> bool:
    """Whether such a thread is still alive.

    A program should then end by `os._exit`: if OpenCV returns to the thread while Python is being torn down, Python
    ends the thread amid C++, which aborts the process ("FATAL: exception not rethrown", status 134).
    """
    return any(isinstance(thread, DriverThread) for thread in threading.enumerate())
