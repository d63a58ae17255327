"""The common part of the workstation's commands, ``stn-train`` and ``stn-convert``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

from stn_rectify.runtime.command.messages import warning_lines
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.process.installation import install_command
from stn_rectify.runtime.process.standard_streams import leave_stdout, say
from stn_rectify.runtime.process.stop_signals import INTERRUPTED


def require_tensorflow() -> None:
    """Checks that the packages of the workstation side are installed.

    Raises:
        StnRectifyError: if one of them is missing; the message says how to install it.
    """
    if all(
        importlib.util.find_spec(package)
        for package in ("tensorflow", "keras", "flatbuffers", "tqdm", "matplotlib", "wrapt")
    ):
        return
    if sys.version_info >= (3, 13):
        raise StnRectifyError(
            "TensorFlow 2.19 has no wheel for Python 3.13: train and convert in an environment of Python 3.10 to 3.12"
        )
    raise StnRectifyError(f"the workstation side is not installed: {install_command('train')}")


def run_command(program: str, work: Callable[[], int], *, when_stopped: str, debug: bool) -> int:
    """Runs a command's work; an error is one line.

    Args:
        program: name of the command.
        work: does the work, and gives the exit status.
        when_stopped: the text of the line after Ctrl-C or SIGTERM.
        debug: if true, errors pass through, with their traceback.

    Returns:
        The work's exit status; 1 after an error, 2 after wrong usage, 130 after Ctrl-C or SIGTERM, 0 if the reader of
        standard output has left.
    """
    try:
        with warning_lines(program):
            require_tensorflow()
            return work()
    except StnRectifyError as error:
        if debug:
            raise
        say(f"{program}: error: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        say(f"{program}: {when_stopped}")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of standard output has what it wanted
        leave_stdout()
        return 0
