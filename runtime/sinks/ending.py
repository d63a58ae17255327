"""The end of several sinks: they end together, and one that hangs or fails takes nothing from the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.sinks.result_sink import ResultSink

_Sink = TypeVar("_Sink", bound=ResultSink)


class TimeToEnd:
    """The time that several outputs have, all at once, to write what is left. It begins when the first is told to end.

    Args:
        is_hurried: tells whether the run was asked to end soon; None: it is not.
        hurried_s: seconds then, from that request on where it comes later.
        longest_s: seconds without anything written, else.
    """

    def __init__(
        self, is_hurried: Callable[[], bool] | None = None, *, hurried_s: float = 2.0, longest_s: float = 30.0
    ) -> None:
        self._is_hurried = is_hurried or (lambda: False)
        self._hurried_s, self._longest_s = hurried_s, longest_s
        self._began_s: float | None = None
        self._hurried_since_s: float | None = None

    @property
    def is_hurried(self) -> bool:
        """Tells whether the run was asked to end soon."""
        return self._is_hurried()

    def begin(self) -> None:
        """An output is told to end. Of several calls the first one counts."""
        self._began()

    def is_over(self, last_written_s: float) -> bool:
        """Tells whether an output has to be left to itself.

        Args:
            last_written_s: when it last wrote something, or was told to end, `time.monotonic`.
        """
        began_s = self._began()
        if self._hurried_since_s is not None:
            return time.monotonic() - self._hurried_since_s > self._hurried_s
        return time.monotonic() - max(began_s, last_written_s) > self._longest_s

    def _began(self) -> float:
        """When it began, with a look at the hurry."""
        now = time.monotonic()
        if self._began_s is None:
            self._began_s = now
        if self._hurried_since_s is None and self._is_hurried():
            self._hurried_since_s = now
        return self._began_s


class OpenSinks(Closing):
    """Closes the sinks of a run: all are told to end before the first one is waited for, and no error is lost.

    Of several errors the last one is raised, and the others are passed on, one by one. Ctrl-C goes before the errors of
    outputs; that the reader of standard output has left comes after them, and is never passed on.

    Args:
        tell: called with each error that is not raised.
    """

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        self._tell = tell
        self._sinks: list[ResultSink] = []

    def add(self, sink: _Sink) -> _Sink:
        """Takes a sink that is open, and gives it back."""
        self._sinks.append(sink)
        return sink

    def begin_to_close(self) -> None:
        """Tells all to end, and waits for none; from any thread."""
        for sink in list(self._sinks):
            sink.begin_to_close()

    def close(self) -> None:
        """Closes all, the last one first. Closing twice does no harm.

        Raises:
            StnRectifyError: what the last of them that fails raises.
            BrokenPipeError: if nothing else fails than that the reader of standard output has left.
        """
        errors = sorted(self._close_all(), key=_weight)
        if errors:
            self._tell_all(errors[:-1])
            raise errors[-1]

    def close_after(self, error: BaseException) -> None:
        """Closes all where this error has ended their use, and is to be raised; what else fails is passed on.

        Args:
            error: whose line is not repeated.
        """
        self._tell_all(other for other in self._close_all() if str(other) != str(error))

    def __exit__(self, *exception: object) -> None:
        error = exception[1]
        if isinstance(error, BaseException) and not isinstance(error, BrokenPipeError):
            self.close_after(error)
        else:
            self.close()

    def _close_all(self) -> list[BaseException]:
        """What closing them raises."""
        self.begin_to_close()
        errors: list[BaseException] = []
        while self._sinks:
            try:
                self._sinks.pop().close()
            except BaseException as error:  # the others have their end first
                errors.append(error)
        return errors

    def _tell_all(self, errors: Iterable[BaseException]) -> None:
        for error in errors:
            if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):
                self._tell(error)


def _weight(error: BaseException) -> int:
    """The greater, the more an error says about the run."""
    return 2 if not isinstance(error, Exception) else 0 if isinstance(error, BrokenPipeError) else 1
