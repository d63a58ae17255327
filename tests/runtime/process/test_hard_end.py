"""A process ends soon after a signal, whatever it hangs in."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from stn_rectify.runtime.process.hard_end import hard_end
from tests.waiting import DEADLINE_S

# Handlers that never run, as in a driver: OpenCV's and the interpreter's calls give Python's lock away as these do.
_PROGRAM = """
import ctypes, os, signal, time
from stn_rectify.runtime.process.hard_end import hard_end
seen = []
signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
with hard_end("program", patience_s={patience_s}):
    print("ready", flush=True)
    {hangs}
    print("after", flush=True)
    {then}
print("end", flush=True)
"""
# Not `signal.pause`: a signal may come before it.
_UNTIL_SEEN = "while not seen: time.sleep(0.01)"


def run(hangs: str, then: str = "pass", *, patience_s: float = 0.3, signals: int = 1) -> tuple[int, str, str]:
    """Sends SIGTERM as soon as it hangs; gives status and what it said."""
    code = _PROGRAM.format(hangs=hangs, then=then, patience_s=patience_s)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said, errors


def test_a_call_out_of_python_that_hangs() -> None:
    status, said, errors = run("for _ in range(10**6): ctypes.CDLL(None).usleep(900_000)")
    assert (status, said) == (1, "")
    assert errors.startswith("program: error: it has not ended 0 s after SIGTERM, and is cut off in <module>")
    assert len(errors.splitlines()) == 1


def test_python_that_goes_on() -> None:
    assert run("while True: time.sleep(0.01)")[0] == 1


def test_several_signals() -> None:
    assert run("while True: time.sleep(0.01)", signals=5)[0] == 1


def test_an_end_in_time_is_left_alone() -> None:
    assert run("for _ in range(30): time.sleep(0.01)", patience_s=5.0) == (0, "after\nend\n", "")


def test_what_comes_after_the_block_is_left_alone() -> None:
    assert run(_UNTIL_SEEN, "pass\ntime.sleep(1.2)", patience_s=0.5) == (0, "after\nend\n", "")


def test_code_that_holds_pythons_lock_is_cut_off_without_python() -> None:
    """The watch has seen the signal before that, but gets no turn to say anything."""
    status, said, errors = run(_UNTIL_SEEN, "time.sleep(0.2); ctypes.PyDLL(None).sleep(100)", patience_s=0.5)
    assert (status, said, errors) == (1, "after\n", "")


def test_without_a_signal_nothing_happens() -> None:
    ended: list[int] = []
    with hard_end("program", end=ended.append, patience_s=0.0):
        pass
    assert not ended
    assert "hard end" not in [thread.name for thread in threading.enumerate()]


def test_other_signals_do_not_count() -> None:
    ended: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        with hard_end("program", end=ended.append, patience_s=0.0):
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not ended


def test_outside_the_main_thread_it_does_nothing() -> None:
    entered: list[bool] = []

    def enter() -> None:
        with hard_end("program"):
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


@pytest.fixture(autouse=True)
def wakeup_descriptor_is_restored() -> object:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    yield
    after = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(after)
    assert before == after
