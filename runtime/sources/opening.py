"""Opening a source in a thread of its own, because drivers and networks may hang in it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stn_rectify.runtime.errors import SourceError, StnRectifyError
from stn_rectify.runtime.sources.threaded import DriverThread, ThreadedSource

_POLL_S = 0.1  # how soon a signal's exception gets through


def open_in_thread(open_source: Callable[[], ThreadedSource]) -> ThreadedSource:
    """Opens a source, however long that takes; unlike a call of OpenCV the wait ends at a signal that raises.

    Raises:
        StnRectifyError: what ``open_source`` raises.
    """
    opening = Opening(open_source)
    try:
        while not opening.wait(_POLL_S):
            pass
        return opening.take()
    finally:
        opening.leave()


class Opening:
    """An attempt to open a source.

    Args:
        open_source: returns the open source, or raises a `StnRectifyError`.
    """

    def __init__(self, open_source: Callable[[], ThreadedSource]) -> None:
        self._open_source = open_source
        self._source: ThreadedSource | None = None
        self._error: StnRectifyError | None = None
        self._is_left = False
        self._lock = threading.Lock()
        self._thread = DriverThread(self._run, "open source")
        self._thread.start()

    @property
    def is_stuck(self) -> bool:
        """Tells whether the opening is still going on."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Waits for its end; False if that has not come yet."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self) -> ThreadedSource:
        """The open source, after the end; the caller closes it. Raises the error of opening it."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds self: a cycle, which may stay for hours
        source, self._source = self._source, None
        if source is None:
            raise RuntimeError("there is nothing to take: it has not ended, or was taken")
        return source

    def leave(self) -> None:
        """Gives up: what nobody has taken is closed, now or when it is open at last."""
        with self._lock:
            self._is_left = True
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def _run(self) -> None:
        try:
            source = self._open_source()
        except StnRectifyError as error:
            self._error = error
            return
        except Exception as error:  # an exception must not vanish with its thread
            self._error = SourceError(f"cannot open it: {error!r}")
            return
        with self._lock:
            if not self._is_left:
                self._source = source
                return
        source.close()
