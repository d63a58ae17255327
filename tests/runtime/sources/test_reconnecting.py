from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from stn_rectify.runtime import ReconnectingSource, SourceError
from stn_rectify.runtime.sources.threaded import ThreadedSource
from tests.runtime.sources.frame_sources import CountingSource, drain, stop_when
from tests.waiting import DEADLINE_S

UNPLUGGED = SourceError("the camera was unplugged")
LONG_S = 60.0  # longer than a test would wait


def scripted(*steps: CountingSource | SourceError) -> Callable[[], ThreadedSource]:
    """Opens one source after the other; an error is a try that fails."""
    left = iter(steps)

    def open_source() -> ThreadedSource:
        step = next(left)
        if isinstance(step, SourceError):
            raise step
        return step

    return open_source


def lost(count: int) -> CountingSource:
    return CountingSource(count, live=True, period_s=0.01, ending=UNPLUGGED)


@pytest.fixture
def hanging() -> Iterator[Callable[[], CountingSource]]:
    """Makes sources that hang after a frame, and lets them go afterwards."""
    made: list[CountingSource] = []

    def make() -> CountingSource:
        made.append(CountingSource(1, live=True, ending="hang", timeout_s=0.5))
        return made[-1]

    yield make
    for source in made:
        source.unhang.set()


def test_frames_are_numbered_on_over_a_reconnection() -> None:
    sources = [lost(3), lost(2), lost(4)]
    source = ReconnectingSource(scripted(*sources), first_delay_s=0.01)
    frames = []
    with source:
        for frame in source:
            frames.append(frame)
            if len(frames) + source.dropped == 9:
                source.stop()
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert indices[-1] == 8
    assert {frame.source for frame in frames} == {"counter"}
    assert source.reconnections == 2
    assert all(one.released.is_set() for one in sources)


def test_a_lost_source_and_its_last_frame_are_freed_without_the_garbage_collector() -> None:
    class Unplugged(CountingSource):
        def _read(self) -> npt.NDArray[np.uint8] | None:
            image = super()._read()
            if image is None:
                raise SourceError("unplugged")  # a new error each time, as a camera's
            return image

    freed: list[weakref.ref[CountingSource]] = []

    def open_source() -> ThreadedSource:
        source = Unplugged(2, live=True, period_s=0.01)
        freed.append(weakref.ref(source))
        return source

    gc.disable()
    try:
        with ReconnectingSource(open_source, first_delay_s=0.01, longest_delay_s=0.01) as source:
            for _ in source:
                if source.reconnections == 3:
                    break
            assert [one() is None for one in freed] == [True, True, True, False]
    finally:
        gc.enable()


def test_the_log_says_why_it_is_lost_and_when_it_is_back_and_does_not_repeat_itself() -> None:
    gone, busy = SourceError("there is no such camera"), SourceError("the camera is in use")
    events: list[str] = []
    last = CountingSource(1, live=True, period_s=0.01, ending="hang")
    open_source = scripted(lost(1), gone, gone, gone, busy, busy, last)
    with ReconnectingSource(open_source, on_event=events.append, first_delay_s=0.01, longest_delay_s=0.02) as source:
        for _ in itertools.islice(source, 2):
            pass
    last.unhang.set()
    assert events[:3] == [
        "the camera was unplugged; trying again until it is back",
        "there is no such camera; still trying",
        "the camera is in use; still trying",
    ]
    assert events[3].startswith("back after ")
    assert events[3].endswith(" s: a counter")
    assert len(events) == 4


def test_a_source_that_opens_and_gives_no_frame_is_not_back() -> None:
    events: list[str] = []
    last = CountingSource(1, live=True, period_s=0.01, ending="hang")
    open_source = scripted(lost(1), lost(0), lost(0), last)
    with ReconnectingSource(open_source, on_event=events.append, first_delay_s=0.01) as source:
        for _ in itertools.islice(source, 2):
            pass
    last.unhang.set()
    assert events[0] == "the camera was unplugged; trying again until it is back"
    assert events[1].startswith("back after ")
    assert len(events) == 2
    assert source.reconnections == 1


def test_what_cannot_be_opened_at_first_is_an_error_at_once() -> None:
    with pytest.raises(SourceError, match="unplugged"):
        ReconnectingSource(scripted(UNPLUGGED), first_delay_s=LONG_S)


def test_an_unforeseen_error_of_opening_is_told() -> None:
    def open_source() -> ThreadedSource:
        raise ValueError("oops")

    with pytest.raises(SourceError, match="oops"):
        ReconnectingSource(open_source)


def test_tries_become_rarer() -> None:
    tries: list[float] = []

    def open_source() -> ThreadedSource:
        tries.append(time.monotonic())
        if len(tries) == 1:
            return lost(1)
        if len(tries) == 6:
            source.stop()
        raise SourceError("gone")

    source = ReconnectingSource(open_source, first_delay_s=0.02, longest_delay_s=0.08)
    assert drain(source) == (1, None)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert all(wait >= least for wait, least in zip(waits, (0.02, 0.04, 0.08, 0.08, 0.08), strict=True))


def test_it_gives_up_when_told_to_with_the_last_reason() -> None:
    first = iter([lost(2)])

    def open_source() -> ThreadedSource:
        for source in first:
            return source
        raise SourceError("gone")

    received, error = drain(ReconnectingSource(open_source, timeout_s=0.2, first_delay_s=0.02))
    assert received >= 1
    assert str(error) == "gone; given up after 0.2 s without a frame"


def test_a_read_that_hangs_is_left_behind_and_the_camera_opened_anew(hanging: Callable[[], CountingSource]) -> None:
    first, second, events = hanging(), lost(1), []
    source = ReconnectingSource(scripted(first, second), on_event=events.append, first_delay_s=0.01)
    assert [frame.index for frame in itertools.islice(source, 2)] == [0, 1]
    assert (
        events[0]
        == "counter has delivered no frame for 0.5 s: check that it is connected; trying again until it is back"
    )
    assert not first.released.is_set()
    first.unhang.set()
    assert first.released.wait(DEADLINE_S)
    source.close()


def test_with_four_threads_left_in_a_driver_it_gives_up(hanging: Callable[[], CountingSource]) -> None:
    source = ReconnectingSource(hanging, first_delay_s=0.01, longest_delay_s=0.01)
    received, error = drain(source)
    assert received == 4
    assert "4 threads hang in its driver" in str(error)


def test_an_opening_that_hangs_is_left_behind_and_closed_when_it_succeeds_after_all() -> None:
    unhang, late, opened = threading.Event(), lost(1), []

    def open_source() -> ThreadedSource:
        opened.append(1)
        if len(opened) == 2:
            unhang.wait()
            return late
        return lost(1)

    events: list[str] = []
    source = ReconnectingSource(open_source, on_event=events.append, first_delay_s=0.01, open_timeout_s=0.2)
    assert [frame.index for frame in itertools.islice(source, 2)] == [0, 1]
    assert any("opening it takes longer than 0.2 s" in event for event in events)
    assert not late.released.is_set()
    unhang.set()
    assert late.released.wait(DEADLINE_S)
    source.close()


@pytest.mark.parametrize("state", ["hung", "waiting", "opening"])
def test_stop_ends_it_in_every_state(state: str) -> None:
    unhang, opening, waiting = threading.Event(), threading.Event(), threading.Event()
    opened = CountingSource(1, live=True, ending="hang") if state == "hung" else lost(1)
    first = iter([opened])

    def open_source() -> ThreadedSource:
        for source in first:
            return source
        opening.set()
        unhang.wait()
        return lost(1)

    source = ReconnectingSource(
        open_source, first_delay_s=LONG_S if state == "waiting" else 0.01, on_event=lambda event: waiting.set()
    )
    frames = iter(source)
    assert next(frames).index == 0
    stop_when({"hung": opened.hangs, "waiting": waiting, "opening": opening}[state], source)
    assert next(frames, None) is None
    unhang.set()
    opened.unhang.set()
    source.close()


@pytest.mark.parametrize("error", [None, SourceError("cut short")])
def test_what_is_not_live_passes_through(error: SourceError | None) -> None:
    source = ReconnectingSource(scripted(CountingSource(3, live=False, ending=error)))
    received, raised = drain(source)
    assert received == 3
    assert raised is error
