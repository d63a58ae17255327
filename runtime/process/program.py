"""The frame of a command: what comes before its work, and the end of its process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from stn_rectify.runtime.process.standard_streams import leave_stdout, prepare_standard_streams, say
from stn_rectify.runtime.process.starting import end_on_signals
from stn_rectify.runtime.process.stop_signals import INTERRUPTED, sigterm_as_ctrl_c

_FAILED = 1
_PACKAGE = "stn_rectify"


def run_program(main: Callable[[], int], *, ends_hard: Callable[[], bool] = lambda: False) -> NoReturn:
    """Runs a command, and ends the process with its status; with 130 where Ctrl-C or SIGTERM interrupts it.

    Args:
        main: the work; gives the exit status, or raises SystemExit.
        ends_hard: asked in the end whether something still runs that must not see Python being torn down.
    """
    end_on_signals()  # until the work takes them, and again when it is over
    prepare_standard_streams()
    logging.getLogger(_PACKAGE).addHandler(_LinesForPeople(logging.WARNING))
    try:
        with sigterm_as_ctrl_c():
            status = main()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as end:  # of the parser
        status = end.code if isinstance(end.code, int) else _FAILED if end.code else 0
    status = _flush_stdout(status)
    if ends_hard():
        os._exit(status)
    sys.exit(status)


def _flush_stdout(status: int) -> int:
    """Writes what is left to standard output; gives the exit status after that."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has what it wanted
        leave_stdout()
    except OSError as error:
        say(f"cannot write standard output: {error.strerror or error}; choose another place")
        leave_stdout()
        return status or _FAILED
    return status


class _LinesForPeople(logging.Handler):
    """What the package logs, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Says the message."""
        say(record.getMessage())
