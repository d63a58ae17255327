"""Results written in a thread of their own: a place that blocks or fails holds up neither the run nor its end."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.runtime.checks import check_positive, check_whole
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.ending import TimeToEnd
from stn_rectify.runtime.sinks.pictures import SaveSink
from stn_rectify.runtime.sinks.result_sink import Job, OutputError, ResultSink
from stn_rectify.runtime.sources import CapturedFrame
from stn_rectify.runtime.sources.threaded import DriverThread

_MOST_JOBS, _MOST_BYTES = 256, 32_000_000
_IDLE_S = 0.5  # how often a place is asked for what has waited long enough
_POLL_S, _CLOSE_POLL_S = 0.1, 0.05  # how soon the end of a wait is noticed
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0  # between attempts at a place that fails
_QUIET_S = 10.0  # without a dropped result, before a place is said to keep up again
_BUTTON_S = 1.0


@dataclass(frozen=True)
class _Waiting:
    """A job in the queue; those of weight 0 are no results, and never dropped."""

    job: Job
    weight: int = 0


class BackgroundSink(ResultSink):
    """Hands results to another sink in a thread of its own, for frames that do not wait, as those of a camera.

    Results wait in a queue, and those that find it full are dropped and counted. So are those that cannot be written: a
    full disk or a folder that is gone may be mended, so the sink says so in a line, goes on trying, and says when it
    works again. What cannot pass by itself (the reader of a pipe that has left, a file at its size limit) is raised by
    the next `write`, and by `close`.

    Args:
        open_sink: opens the sink that writes; closed with this one. What it raises goes on to the caller, but for a
            full disk, which may be freed.
        name: of the place, for the lines.
        report: called with lines for people, from the thread as well.
        end: the time that is left to it in the end; None: half a minute without progress.
        waits: whether the results of frames that are not live wait for room in the queue, those of photographs before a
            camera; else none does.
        most_jobs: results that may wait.
        most_bytes: what their pictures may take, together, bytes.

    Raises:
        StnRectifyError: what ``open_sink`` raises.

    Attributes:
        name: of the place.
        dropped: results that were not written.
        fault: why nothing can be written at the moment; None where it can.
    """

    def __init__(
        self,
        open_sink: Callable[[], ResultSink],
        name: str,
        *,
        report: Callable[[str], None] | None = None,
        end: TimeToEnd | None = None,
        waits: bool = False,
        most_jobs: int = _MOST_JOBS,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self.name, self.dropped = name, 0
        self.fault: str | None = None
        self._waits = waits
        self._open_sink, self._report, self._end = open_sink, report or (lambda line: None), end or TimeToEnd()
        self._most_jobs = check_whole("most_jobs", most_jobs, 1)
        self._most_bytes = check_positive("most_bytes", most_bytes)
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._is_closing = self._is_closed = self._is_over = False
        self._told_s = 0.0  # when it was told to end: before that it may have had nothing to write
        self._last_written_s = self._last_overflow_s = -float("inf")
        self._overflow: int | None = None  # what was dropped before the queue became too short
        self._pause_s, self._failed_at = _FIRST_PAUSE_S, -float("inf")
        self._dropped_before = 0
        self._sink: ResultSink | None = None
        try:
            self._sink = open_sink()
        except OutputError as error:
            if not error.is_full:
                raise
            self._note_fault(error)
        self._thread = DriverThread(self._work, f"output {name}")
        self._thread.start()

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Puts the result into the queue; see `write_targets`."""
        self.write_targets(frame, result, (result,), MissRule())

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Puts the results into the queue, or drops them.

        Raises:
            BrokenPipeError: if the reader of standard output has left.
            StnRectifyError: if nothing can be written any more.
        """
        self._raise_error()
        sink = self._sink
        if sink is None:
            self._count_dropped()
            if not self._queue:
                self._put(_Waiting(lambda: None))  # has the thread try to open it
            return
        job = sink.job(frame, result, targets, rule)
        if job is not None:
            waiting = _Waiting(job, sink.weight(frame, result, targets))
            if self._waits and not frame.is_live:
                self._wait_for_room(waiting)
            self._put(waiting)

    def skip(self, frame: CapturedFrame) -> None:
        """Has the sink hear of the frame in the thread, if it is one that wants to."""
        sink = self._sink
        if sink is not None and type(sink).skip is not ResultSink.skip:
            self._put(_Waiting(lambda: sink.skip(frame)))

    def do_soon(self, job: Job, *, wait_s: float = _BUTTON_S) -> None:
        """Has something else done in the thread, behind what waits already.

        Args:
            job: what is done.
            wait_s: how long its end is waited for, seconds.

        Raises:
            StnRectifyError: if it fails within that time, or is not done by then.
        """
        done = threading.Event()
        errors: list[StnRectifyError] = []

        def job_and_note() -> None:
            try:
                job()
            except StnRectifyError as error:
                errors.append(error)
                if isinstance(error, OutputError):
                    raise  # the place still fails
            finally:
                done.set()

        self._put(_Waiting(job_and_note))
        if not done.wait(wait_s):
            raise StnRectifyError(f"{self.name} does not answer yet: it is done as soon as it does")
        if errors:
            raise errors[0]

    def reopen(self) -> None:
        """Has the sink open its files anew, in the thread; a line says what goes wrong."""

        def reopen() -> None:
            try:
                if self._sink is not None:
                    self._sink.reopen()
            except StnRectifyError as error:
                self._report(f"reload: {error}")

        self._put(_Waiting(reopen))

    def begin_to_close(self) -> None:
        """Has the thread write what waits and close the sink, and takes no more results."""
        with self._changed:
            if not self._is_closing:
                self._is_closing, self._told_s = True, time.monotonic()
                self._end.begin()
                self._changed.notify_all()

    def close(self) -> None:
        """Writes what waits, as long as there is time, and closes the sink. A sink that hangs is left to itself.

        Raises:
            StnRectifyError: what writing or closing has raised; or if the time is over though nothing hurries the run.
        """
        self.begin_to_close()
        while self._thread.is_alive() and not self._end.is_over(max(self._told_s, self._last_written_s)):
            self._thread.join(_CLOSE_POLL_S)
        was_closed, self._is_closed = self._is_closed, True
        if was_closed:
            return
        if self._thread.is_alive():
            with self._changed:
                self._drop_queue()
            left = f"{self.name}: does not take the last results, and is left to itself"
            if not self._end.is_hurried:
                raise StnRectifyError(left)
            self._report(left)
        self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _is_full(self, waiting: _Waiting) -> bool:
        return len(self._queue) >= self._most_jobs or (
            bool(self._queue) and self._bytes + waiting.weight > self._most_bytes
        )

    def _wait_for_room(self, waiting: _Waiting) -> None:
        """Until the run is to end."""
        with self._changed:
            while self._is_full(waiting) and not (self._is_over or self._end.is_hurried):
                self._changed.wait(_POLL_S)

    def _put(self, waiting: _Waiting) -> None:
        with self._changed:
            is_full = self._is_full(waiting)
            if not (self._is_closing or self._is_over or (is_full and waiting.weight)):
                self._queue.append(waiting)
                self._bytes += waiting.weight
                self._changed.notify_all()
                return
            self._count_dropped(bool(waiting.weight))
            is_news = is_full and self._overflow is None
            if is_news:
                self._overflow = self.dropped - 1
            self._last_overflow_s = time.monotonic() if is_full else self._last_overflow_s
        if is_news and self.fault is None:
            self._report(f"{self.name}: does not keep up or hangs: results that find no room are dropped and counted")

    def _count_dropped(self, count: int = 1) -> None:
        with self._changed:
            self.dropped += count

    def _drop_queue(self) -> None:
        with self._changed:
            self._count_dropped(sum(1 for waiting in self._queue if waiting.weight))
            self._queue.clear()
            self._bytes = 0

    # What follows runs in the thread.

    def _work(self) -> None:
        try:
            while (waiting := self._next()) is not None:
                if waiting.weight and self._rests():
                    self._count_dropped()
                else:
                    self._do(waiting)
            self._close_sink()
        except BaseException as error:  # the run's own thread raises it
            self._error = error
            with self._changed:
                self._is_over = True
                self._drop_queue()
            try:
                self._close_sink()
            except StnRectifyError as other:
                self._report(str(other))

    def _close_sink(self) -> None:
        try:
            if self._sink is not None:
                self._sink.close()
        except OutputError as error:
            self._count_dropped(error.lost)
            raise

    def _next(self) -> _Waiting | None:
        """The next job, None for the end."""
        while True:
            with self._changed:
                if not self._queue and not self._is_closing:
                    self._changed.wait(_IDLE_S)
                if self._queue:
                    waiting = self._queue.popleft()
                    self._bytes -= waiting.weight
                    self._changed.notify_all()
                    return waiting
                if self._is_closing:
                    return None
            self._try(_Waiting(self._settle))
            self._note_end_of_overflow()

    def _settle(self) -> None:
        if self._sink is not None:
            self._sink.settle()

    def _do(self, waiting: _Waiting) -> None:
        if self._sink is None and not self._rests():
            try:
                self._sink = self._open_sink()
                self._note_end_of_fault()
            except OutputError as error:
                self._note_fault(error)
        if self._try(waiting):
            self._last_written_s = time.monotonic()

    def _try(self, waiting: _Waiting) -> bool:
        try:
            waiting.job()
        except OutputError as error:
            if error.may_pass:
                self._note_fault(error)
            self._count_dropped(max(error.lost, bool(waiting.weight)))  # what is lost has this result among it
            if not error.may_pass:
                raise
            return False
        if waiting.weight:
            self._note_end_of_fault()
        return True

    def _rests(self) -> bool:
        """Tells whether it is too soon to try again."""
        return self.fault is not None and time.monotonic() - self._failed_at < self._pause_s and not self._is_closing

    def _note_fault(self, error: OutputError) -> None:
        if self.fault is None:
            self._dropped_before, self._pause_s = self.dropped, _FIRST_PAUSE_S
            self._report(f"{error}; results are dropped and counted until it can be written")
        else:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self.fault = error.reason
        self._failed_at = time.monotonic()

    def _note_end_of_fault(self) -> None:
        """Something was written."""
        if self.fault is None:
            return
        self.fault = None
        lost = self.dropped - self._dropped_before
        self._report(f"{self.name} can be written again; results dropped: {lost}")

    def _note_end_of_overflow(self) -> None:
        with self._changed:
            if self._overflow is None or time.monotonic() - self._last_overflow_s < _QUIET_S:
                return
            lost, self._overflow = self.dropped - self._overflow, None
        self._report(f"{self.name}: keeps up again; results dropped: {lost}")


class BackgroundSaveSink(BackgroundSink):
    """The same for a `SaveSink`, of whose pictures some are asked for by hand."""

    @property
    def folder(self) -> Path:
        """Where the pictures are."""
        return self._sink.folder if isinstance(self._sink, SaveSink) else Path(self.name)

    @property
    def saved(self) -> int:
        """Results that were written; see `SaveSink`."""
        return self._sink.saved if isinstance(self._sink, SaveSink) else 0

    def save(
        self,
        frame: CapturedFrame,
        result: Rectification,
        targets: Sequence[Rectification] = (),
        rule: MissRule | None = None,
    ) -> None:
        """Has a `SaveSink` save these results whatever its pace; see `SaveSink.save`.

        Raises:
            StnRectifyError: if they cannot be written, or are not written within a second.
        """

        def save() -> None:
            self._pictures().save(frame, result, targets, rule)
            self._note_end_of_fault()

        self.do_soon(save)

    def _pictures(self) -> SaveSink:
        if not isinstance(self._sink, SaveSink):
            raise StnRectifyError(f"cannot write {self.name}: {self.fault}; it is tried again until that is mended")
        return self._sink
