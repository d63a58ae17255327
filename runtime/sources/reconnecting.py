"""A camera or stream that is opened again when it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from stn_rectify.runtime.checks import check_positive
from stn_rectify.runtime.errors import SourceError, UsageError, shown
from stn_rectify.runtime.sources.opening import Opening
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource
from stn_rectify.runtime.sources.threaded import ThreadedSource

_POLL_S = 0.1
_STABLE_S = 5.0  # what has worked for so long is tried again soon when it is lost
_MAX_STUCK = 4


class ReconnectingSource(FrameSource):
    """The frames of a live source, which is opened again, for ever if need be, when it fails or ends.

    Frame indices go on where they were, and so does the name. The first opening is not tried again: at that moment a
    wrong name is likelier than a late camera.

    Opening and reading run in threads. One that hangs in a driver cannot be ended; it is left behind, and releases its
    device when it comes back. With four of them only a new process helps, so that is an error.

    A source that is not live, such as a video file behind a URL, passes through: its end is the end.

    Args:
        open_source: opens the source, and opens it again; called in a thread.
        timeout_s: without a frame for so long it gives up; None never does.
        on_event: called with a line for people when the source is lost, why it is still gone if the reason changes,
            and when a frame came again. Called by whoever iterates.
        on_waiting: called about ten times a second while the source is lost, by whoever iterates.
        first_delay_s: wait before the first try. It doubles with each, and starts afresh when frames came for 5 s.
        longest_delay_s: where it stops doubling.
        open_timeout_s: longest wait for ``open_source``.

    Raises:
        SourceError: if the source cannot be opened. While iterating: if it gives up, or a source
            that is not live fails.

    Example:
        >>> source = ReconnectingSource(lambda: CameraSource(0), on_event=print)  # doctest: +SKIP
    """

    def __init__(
        self,
        open_source: Callable[[], ThreadedSource],
        *,
        timeout_s: float | None = None,
        on_event: Callable[[str], None] | None = None,
        on_waiting: Callable[[], None] | None = None,
        first_delay_s: float = 0.5,
        longest_delay_s: float = 10.0,
        open_timeout_s: float = 30.0,
    ) -> None:
        super().__init__()
        for name, value in (("open_source", open_source), ("on_event", on_event), ("on_waiting", on_waiting)):
            if not callable(value) and (name == "open_source" or value is not None):
                raise UsageError(f"{name} is {shown(value)}: must be a function")
        timeout_s = None if timeout_s is None else check_positive("timeout_s", timeout_s, infinite=True)
        first_delay_s = check_positive("first_delay_s", first_delay_s)
        longest_delay_s = check_positive("longest_delay_s", longest_delay_s)
        open_timeout_s = check_positive("open_timeout_s", open_timeout_s)
        self._open_source, self._timeout_s, self._open_timeout_s = open_source, timeout_s, open_timeout_s
        self._on_event, self._on_waiting = on_event or (lambda line: None), on_waiting or (lambda: None)
        self._delay_s, self._first_delay_s, self._longest_delay_s = first_delay_s, first_delay_s, longest_delay_s
        self._left_behind: list[Opening | ThreadedSource] = []
        self._reason = ""
        self._lost_at: float | None = None
        source = self._open()
        assert source is not None  # nobody can have stopped it yet
        self._source = source
        self._connected_at = self._last_frame_at = time.monotonic()
        self._describe()

    def __iter__(self) -> Iterator[CapturedFrame]:
        name: str | None = None
        index = -1
        while not self._stopping:
            first_index, dropped_before = index + 1, self.dropped
            try:
                for frame in self._source:
                    self._say_back()
                    name = name or frame.source
                    index = first_index + frame.index
                    self.dropped = dropped_before + self._source.dropped
                    yield replace(frame, source=name, index=index)
                    self._last_frame_at = time.monotonic()  # only now, for it may have been looked at for long
                reason = f"{self.description}: it has ended"
            except SourceError as error:
                if not self.is_live:
                    raise
                reason = str(error)
            if self._stopping or not self.is_live or not self._connect_again(reason):
                return

    def stop(self) -> None:
        """Ends the iteration within 0.1 s, also while it is waiting for the source. It only sets flags."""
        super().stop()
        self._source.stop()

    def close(self) -> None:
        """Releases the source."""
        self.stop()
        self._source.close()

    def _connect_again(self, reason: str) -> bool:
        """Waits and tries until the source is open; False if it was stopped."""
        if self._lost_at is not None:  # it was opened, but no frame came
            self._still_lost(reason)
        else:
            self._lost_at = time.monotonic()
            if self._last_frame_at - self._connected_at >= _STABLE_S:
                self._delay_s = self._first_delay_s
            self._on_event(f"{reason}; trying again until it is back")
            self._reason = reason
        self._source.close()
        if self._source.is_stuck:
            self._left_behind.append(self._source)
        while self._wait(self._delay_s):
            self._delay_s = min(2 * self._delay_s, self._longest_delay_s)
            try:
                source = self._open()
            except SourceError as error:
                self._still_lost(str(error))
                continue
            if source is None:
                return False
            self._source = source
            self._connected_at = time.monotonic()
            self._describe()
            return True
        return False

    def _say_back(self) -> None:
        """With the first frame: many a stream is opened and gives none."""
        if self._lost_at is None:
            return
        self.reconnections += 1
        self._on_event(f"back after {time.monotonic() - self._lost_at:.1f} s: {self.description}")
        self._lost_at = None

    def _still_lost(self, reason: str) -> None:
        if reason != self._reason:  # a camera that is away for a week shall not fill the log
            self._on_event(f"{reason}; still trying")
        self._reason = reason

    def _wait(self, delay_s: float) -> bool:
        """Waits before a try; False if it was stopped. Raises SourceError when it is time to give up."""
        self._left_behind = [one for one in self._left_behind if one.is_stuck]
        if len(self._left_behind) >= _MAX_STUCK:
            raise SourceError(f"{self._reason}; given up: {_MAX_STUCK} threads hang in its driver, start again")
        end = time.monotonic() + delay_s
        while not self._stopping:
            now = time.monotonic()
            if self._timeout_s is not None and now - self._last_frame_at > self._timeout_s:
                raise SourceError(f"{self._reason}; given up after {self._timeout_s:g} s without a frame")
            if now >= end:
                return True
            self._on_waiting()
            time.sleep(min(_POLL_S, end - now))
        return False

    def _open(self) -> ThreadedSource | None:
        """Opens the source in a thread; None if it was stopped meanwhile. Raises SourceError."""
        opening = Opening(self._open_source)
        try:
            deadline = time.monotonic() + self._open_timeout_s
            while not self._stopping and time.monotonic() < deadline:
                if opening.wait(_POLL_S):
                    return opening.take()
                self._on_waiting()
        finally:
            opening.leave()
        if self._stopping:
            return None
        self._left_behind.append(opening)
        raise SourceError(f"opening it takes longer than {self._open_timeout_s:g} s: its driver or network hangs")

    def _describe(self) -> None:
        self.description = self._source.description
        self.framerate, self.is_live = self._source.framerate, self._source.is_live
