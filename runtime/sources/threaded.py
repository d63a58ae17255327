"""Frames read in a thread of their own: a slow device blocks nobody, a slow reader sees the newest frame.

A `DriverThread` may hang in a driver or a network, out of which nobody can get it.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import SourceError, StnRectifyError
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource


class DriverThread(threading.Thread):
    """A thread for calls of OpenCV that may hang; the process does not wait for it as it ends."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)


def any_left() -> bool:
    """Tells whether a `DriverThread` is still alive.

    A program should then end by `os._exit`: if OpenCV returns to the thread while Python is being torn down, Python
    ends the thread amid C++, which aborts the process ("FATAL: exception not rethrown", status 134).
    """
    return any(isinstance(thread, DriverThread) for thread in threading.enumerate())


_POLL_S = 0.1  # how soon `stop` is noticed; it may come from a signal handler, which must not take a lock


class ThreadedSource(FrameSource):
    """A source whose `_read` runs in a thread; subclasses add `_read` and `_release`, and `_join_s` for slow ones.

    The thread also releases the device, so that this never happens under a read that is stuck in a driver.

    Args:
        name: the `CapturedFrame.source` of its frames.
        live: hand over only the newest frame and count the others as dropped; else hand over every frame.
        timeout_s: longest wait for a frame.
    """

    _join_s = 0.5  # how long `close` waits for the thread; with the poll above, an end within a second

    def __init__(self, name: str, *, live: bool, timeout_s: float) -> None:
        super().__init__()
        self._name, self._timeout_s = name, timeout_s
        self.is_live = live
        self._changed = threading.Condition()
        self._newest: CapturedFrame | None = None
        self._error: StnRectifyError | None = None
        self._ended = False
        self._thread: DriverThread | None = None

    @property
    def is_stuck(self) -> bool:
        """Tells whether the source is closed and its thread has not come back from the driver yet."""
        return self._stopping and self._thread is not None and self._thread.is_alive()

    @abstractmethod
    def _read(self) -> Image | None:
        """The next frame, None at the end; called in the thread. Raises SourceError."""

    def _position_s(self) -> float | None:
        """The `CapturedFrame.position_s` of the frame that `_read` gave last."""
        return None

    @abstractmethod
    def _release(self) -> None:
        """Frees the device; called once, when no `_read` is running."""

    def __iter__(self) -> Iterator[CapturedFrame]:
        if self._thread is None and not self._stopping:
            self._thread = DriverThread(self._capture, f"capture {self._name}")
            self._thread.start()
        while (frame := self._take()) is not None:
            yield frame

    def close(self) -> None:
        """Ends the thread and releases the device; if the thread is stuck in a driver, once it comes back."""
        self.stop()
        if self._thread is None:  # never iterated: a thread that ends at once
            self._thread = DriverThread(self._capture, f"release {self._name}")
            self._thread.start()
        self._thread.join(self._join_s)

    def _capture(self) -> None:
        index = 0
        try:
            while not self._stopping and (image := self._read()) is not None:
                position_s, is_live = self._position_s(), self.is_live
                self._hand_over(CapturedFrame(self._name, index, time.time(), image, position_s, is_live=is_live))
                index += 1
        except StnRectifyError as error:
            self._error = error
        except Exception as error:  # an exception must not vanish with its thread
            self._error = SourceError(f"{self._name}: {error!r}")
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._release()

    def _hand_over(self, frame: CapturedFrame) -> None:
        with self._changed:
            while self._newest is not None and not self.is_live and not self._stopping:
                self._changed.wait(_POLL_S)
            if self._newest is not None and not self._stopping:
                self.dropped += 1
            self._newest = frame
            self._changed.notify_all()

    def _take(self) -> CapturedFrame | None:
        deadline = time.monotonic() + self._timeout_s
        with self._changed:
            while not self._stopping:
                if self._newest is not None:
                    frame, self._newest = self._newest, None
                    self._changed.notify_all()
                    return frame
                if self._error is not None:
                    try:
                        raise self._error
                    finally:
                        self._error = None  # its traceback holds self and a frame: a cycle, which may stay for hours
                if self._ended:
                    return None
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{self._name} has delivered no frame for {self._timeout_s:g} s: check that it is connected"
                    )
                self._changed.wait(_POLL_S)
        return None
