"""The end of several sinks: they end together, and each that fails says so."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from stn_rectify.runtime import CapturedFrame, JsonlSink, ResultSink, StnRectifyError
from stn_rectify.runtime.sinks.background import BackgroundSink
from stn_rectify.runtime.sinks.ending import OpenSinks, TimeToEnd
from stn_rectify.runtime.sinks.result_sink import cannot_write
from tests.runtime.sinks.test_background import Place, captured, result
from tests.waiting import wait_for


@pytest.fixture
def full_pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that is open for reading, and has no more room."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    size = fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    os.write(descriptor, bytes(size))
    yield path
    os.read(descriptor, size)  # a thread that writes goes on
    os.close(descriptor)


class Failing(ResultSink):
    """Raises this as it is closed."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def write(self, frame: CapturedFrame, result: object) -> None:
        raise AssertionError("nothing is written")

    def close(self) -> None:
        raise self._error


def test_an_output_behind_those_that_hang_has_its_end(full_pipe: Path) -> None:
    """It is slow: its last lines need most of the time that all have."""
    said: list[str] = []
    end = TimeToEnd(lambda: True, hurried_s=1.0)
    place = Place()
    outputs = OpenSinks(lambda error: said.append(str(error)))
    slow = outputs.add(BackgroundSink(lambda: place, "slow", report=said.append, end=end))
    pipes = [
        outputs.add(BackgroundSink(partial(JsonlSink, full_pipe), "pipe", report=said.append, end=end))
        for _ in range(2)
    ]
    place.may_go_on.clear()
    for sink in (slow, *pipes):
        for index in range(3):
            sink.write(captured(index), result())
    threading.Timer(0.3, place.may_go_on.set).start()
    outputs.close()
    assert said == ["pipe: does not take the last results, and is left to itself"] * 2
    assert (place.written, place.is_closed, slow.dropped) == ([0, 1, 2], True, 0)


def test_a_hurry_that_comes_late_leaves_time_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, hurry = [100.0], threading.Event()
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    end = TimeToEnd(hurry.is_set, hurried_s=2.0, longest_s=30.0)
    end.begin()
    now_s[0] = 120.0
    assert not end.is_over(100.0)
    hurry.set()
    assert not end.is_over(100.0)
    now_s[0] = 121.9
    assert not end.is_over(100.0)
    now_s[0] = 122.1
    assert end.is_over(121.0)


def test_time_begins_with_the_first_output_that_is_told(place: Place) -> None:
    said: list[str] = []
    place.may_go_on.clear()
    sink = BackgroundSink(lambda: place, "place", report=said.append, end=TimeToEnd(lambda: True, hurried_s=0.0))
    sink.write(captured(0), result())
    sink.begin_to_close()
    sink.begin_to_close()
    sink.write(captured(1), result())
    assert sink.dropped == 1
    sink.close()
    assert said == ["place: does not take the last results, and is left to itself"]
    place.may_go_on.set()
    wait_for("the thread", lambda: place.is_closed)


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.may_go_on.set()


_FULL = cannot_write("a", OSError(errno.ENOSPC, "full"))
_GONE = cannot_write("b", OSError(errno.ENOENT, "gone"))
_DEFECT = ValueError("a defect")


@pytest.mark.parametrize(
    ("errors", "raised", "told"),
    [
        pytest.param([_FULL], _FULL, [], id="one"),
        pytest.param([_FULL, _GONE], _FULL, [_GONE], id="two"),  # the last one is closed first
        pytest.param([_FULL, _DEFECT, _GONE], _FULL, [_GONE, _DEFECT], id="a-defect-among-them"),
        pytest.param([BrokenPipeError(), _FULL], _FULL, [], id="the-reader-of-standard-output-has-left-as-well"),
        pytest.param([_FULL, KeyboardInterrupt(), _GONE], KeyboardInterrupt, [_GONE, _FULL], id="ctrl-c"),
    ],
)
def test_each_error_is_told_or_raised(
    errors: list[BaseException], raised: BaseException | type[BaseException], told: list[Exception]
) -> None:
    heard: list[Exception] = []
    outputs = OpenSinks(heard.append)
    for error in errors:
        outputs.add(Failing(error))
    last = outputs.add(Place())
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - of three kinds
        outputs.close()
    assert caught.value is raised or type(caught.value) is raised
    assert (heard, last.is_closed) == (told, True)
    outputs.close()


def end_of_block(outputs: OpenSinks, sinks: list[Failing], error: BaseException) -> None:
    with outputs:
        for sink in sinks:
            outputs.add(sink)
        raise error


def test_what_ends_a_block_stays_what_it_raises() -> None:
    heard: list[Exception] = []
    again = cannot_write("a", OSError(errno.ENOSPC, "full"))  # whose line is there already
    with pytest.raises(StnRectifyError) as caught:
        end_of_block(OpenSinks(heard.append), [Failing(_GONE), Failing(again)], _FULL)
    assert (caught.value, heard) == (_FULL, [_GONE])


def test_a_reader_that_has_left_does_not_hide_an_output_that_fails() -> None:
    heard: list[Exception] = []
    with pytest.raises(StnRectifyError) as caught:
        end_of_block(OpenSinks(heard.append), [Failing(_FULL)], BrokenPipeError())
    assert (caught.value, heard) == (_FULL, [])
