from __future__ import annotations

import re
import subprocess
import sys

import pytest

from stn_rectify.runtime import SourceError
from tests.runtime.sources.frame_sources import CountingSource, drain, stop_when
from tests.waiting import DEADLINE_S


def test_a_live_source_hands_over_the_newest_frame_and_counts_the_others() -> None:
    """The reader takes one of 50 frames, and looks away until the device has delivered the last one, and hangs."""
    with CountingSource(50, live=True, ending="hang") as source:
        frames = iter(source)
        taken = [next(frames).index]
        assert source.hangs.wait(DEADLINE_S)
        if taken != [49]:  # a reader that was late has the newest one already
            taken.append(next(frames).index)
        assert taken[-1] == 49
        assert source.dropped == 50 - len(taken)
        source.unhang.set()
        assert list(frames) == []
    assert source.released.is_set()


def test_a_source_that_hangs_is_an_error_not_a_hang() -> None:
    source = CountingSource(3, live=False, ending="hang", timeout_s=0.5)
    frames = iter(source)
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"no frame for 0\.5 s"):
        next(frames)
    source.unhang.set()
    source.close()


def test_a_device_is_never_released_under_a_read_that_hangs_in_its_driver() -> None:
    source = CountingSource(1, live=True, ending="hang", timeout_s=0.5)
    assert drain(source)[0] == 1
    source.close()
    assert source.is_stuck
    assert not source.released.is_set()
    source.unhang.set()
    assert source.released.wait(DEADLINE_S)


def test_a_source_that_was_never_iterated_is_released() -> None:
    source = CountingSource(1, live=True)
    source.close()
    assert source.released.is_set()
    assert list(source) == []


@pytest.mark.parametrize(
    ("error", "message"), [(SourceError("unplugged"), "unplugged"), (ValueError("oops"), r"counter: .*oops")]
)
def test_an_error_in_the_thread_reaches_the_reader(error: Exception, message: str) -> None:
    with CountingSource(2, live=False, ending=error) as source:
        received, raised = drain(source)
    assert received == 2
    assert re.search(message, str(raised))


def test_stop_ends_a_blocked_reader_without_an_error() -> None:
    source = CountingSource(1, live=True, ending="hang")
    frames = iter(source)
    assert next(frames).index == 0
    stop_when(source.hangs, source)
    assert list(frames) == []
    source.unhang.set()
    source.close()


@pytest.mark.parametrize("is_stuck", [True, False])
def test_the_command_does_not_tear_python_down_under_a_thread_in_a_driver(is_stuck: bool) -> None:
    program = f"""
import atexit, sys, threading
from stn_rectify.runtime.command.cli import command
from stn_rectify.runtime.sources.threaded import DriverThread
atexit.register(print, "torn down")
if {is_stuck}:
    DriverThread(threading.Event().wait, "stuck").start()
sys.argv = ["stn-rectify", "--demo", "--width", "5", "--print-config"]
command()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert "--width needs --camera" in done.stderr
    assert ("torn down" in done.stdout) != is_stuck
