"""The three programs as a shell starts them: Ctrl-C and SIGTERM end each without a word from its first moment on.

The functions are the console scripts. Each takes care of the signals before it imports its command: the import takes
seconds on a small machine, and an exception in the middle of it comes out of NumPy as another one. So this module
imports next to nothing itself, and names the commands, which are of rooms and packages above this one, as text.
"""

from __future__ import annotations

import importlib
import os
import signal
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130  # as in `stop_signals`, which would be an import


def rectify() -> NoReturn:
    """``stn-rectify``."""
    _start("stn_rectify.runtime.command.cli")


def train() -> NoReturn:
    """``stn-train``."""
    _start("stn_rectify.models.command.cli")


def convert() -> NoReturn:
    """``stn-convert``."""
    _start("stn_rectify.converters.cli")


def end_on_signals() -> None:
    """From now on a signal ends the process at once, with status 130: for when nothing is open that wants closing.

    A signal that is ignored, as Ctrl-C is in what a shell runs in the background, stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _start(module: str) -> NoReturn:
    end_on_signals()
    importlib.import_module(module).command()
    raise AssertionError(f"{module}.command has ended without ending the process")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(_INTERRUPTED)
