"""The end of the process some seconds after a signal, whatever it hangs in.

Python handles a signal between two of its own instructions. A driver that hangs, a disk that does not answer, or a
network of seconds keeps it from that. The watch here has a thread of its own, which the kernel's signal wakes through a
pipe, and a second net that does not need Python at all.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stn_rectify.runtime.process.standard_streams import say

#: Seconds from the first signal to the end of the process at the latest.
LIMIT_S = 5.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HANGS_S = 2.5  # after which what is not done by itself has to begin; a clean end has mostly been by then
_PATIENCE_S = 3.8  # after which it is said; a line nobody reads may hang in turn
_NET_S = 4.4  # after which faulthandler ends the process, even if some code holds Python's lock
_FAILED = 1


@contextmanager
def hard_end(
    program: str,
    *,
    at_hang: Callable[[], object] = lambda: None,
    end: Callable[[int], object] = os._exit,
    patience_s: float = _PATIENCE_S,
) -> Iterator[None]:
    """Inside the block what goes on 4 s after SIGINT or SIGTERM is ended where it stands, with a line and status 1.

    It needs handlers for these signals, and does nothing outside the main thread. Code that holds Python's lock all the
    time, from the signal on, keeps the watch from seeing it; then only the SIGKILL of a service manager is left.

    Args:
        program: whose name the line begins with.
        at_hang: called 2.5 s after the signal, in the thread of the watch, for what can still be saved while the main
            thread hangs; it must not wait.
        end: ends the process with a status.
        patience_s: seconds from the signal to the line.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    over = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(reading, over, program, at_hang, end, patience_s), name="hard end", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)  # the end for a watch that reads
        watch.join()
        os.close(reading)


def _watch(
    reading: int,
    over: threading.Event,
    program: str,
    at_hang: Callable[[], object],
    end: Callable[[int], object],
    patience_s: float,
) -> None:
    """Waits for a signal, and then for the end of the block."""
    number = 0
    while number not in _SIGNALS:
        content = os.read(reading, 1)
        if not content:
            return
        number = content[0]
    with open(os.devnull, "w") as nowhere:
        if end is os._exit:
            faulthandler.dump_traceback_later(patience_s + _NET_S - _PATIENCE_S, exit=True, file=nowhere)
        try:
            hangs_s = min(_HANGS_S, patience_s)
            if over.wait(hangs_s):
                return
            with suppress(Exception):  # the end comes all the same
                at_hang()
            if over.wait(patience_s - hangs_s):
                return
            say(
                f"{program}: error: it has not ended {patience_s:.0f} s after {signal.Signals(number).name}, and is "
                f"cut off in {_place()}: what was not written by then is lost"
            )
            end(_FAILED)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _place() -> str:
    """Where the main thread is, for the line."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is None:
        return "the end of the process"
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
