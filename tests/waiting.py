"""Waiting for what a program or a thread does: with a deadline, and an error that says what was awaited."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Value = TypeVar("_Value")

#: Longer than anything here takes on a machine that has other things to do; only a failing test waits so long.
DEADLINE_S = 120.0


def wait_for(awaited: str, look: Callable[[], _Value], *, told: Callable[[], object] | None = None) -> _Value:
    """Looks again and again until there is something.

    Args:
        awaited: what is looked for, for the error.
        look: gives something true once it is there.
        told: gives what there is instead, for the error; what ``look`` gave if None.

    Returns:
        What ``look`` gave in the end.

    Raises:
        AssertionError: if nothing has come after `DEADLINE_S`.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_S:g} s in vain for {awaited}: {value if told is None else told()}")
        time.sleep(0.02)
    return value


def sleeps(process: subprocess.Popen[bytes]) -> bool:
    """Tells whether its main thread waits in the kernel."""
    stat = Path(f"/proc/{process.pid}/task/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def wait_until_it_waits(process: subprocess.Popen[bytes]) -> None:
    """Waits until the main thread of a process has been seen to wait many times in a row."""
    asleep = 0

    def has_slept() -> bool:
        nonlocal asleep
        asleep = asleep + 1 if sleeps(process) else 0
        return asleep == 20

    wait_for("a process that waits", has_slept)
