"""Results written in a thread of their own, to places that block, fail, or stop."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, ResultSink, SaveSink, StnRectifyError
from stn_rectify.runtime.sinks import Pace, background
from stn_rectify.runtime.sinks.background import BackgroundSaveSink, BackgroundSink
from stn_rectify.runtime.sinks.ending import TimeToEnd
from stn_rectify.runtime.sinks.result_sink import cannot_write
from tests.waiting import wait_for


def captured(index: int) -> CapturedFrame:
    return CapturedFrame("/dev/video0", index, 1700000000.0 + index, np.zeros((8, 12, 3), np.uint8))


def result() -> Rectification:
    corners = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 6.0], [1.0, 6.0]])
    return Rectification(np.zeros((6, 8, 3), np.uint8), corners, np.eye(3), 0.9, 1.5)


class Place(ResultSink):
    """A place that does what a test tells it."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.fails_with: int | None = None
        self.is_closed = self.is_reopened = False
        self.threads: set[str] = set()

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        self.threads.add(threading.current_thread().name)
        self.may_go_on.wait()
        if self.fails_with is not None:
            raise cannot_write("place", OSError(self.fails_with, "no luck"))
        self.written.append(frame.index)

    def reopen(self) -> None:
        self.is_reopened = True

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.is_closed = True


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.may_go_on.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that fail are tried again at once."""
    monkeypatch.setattr(background, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(background, "_LONGEST_PAUSE_S", 0.01)


def test_all_results_are_written_in_order_by_one_other_thread(place: Place) -> None:
    with BackgroundSink(lambda: place, "place") as sink:
        for index in range(200):
            sink.write(captured(index), result())
    assert place.written == list(range(200))
    assert (sink.dropped, place.is_closed, place.threads) == (0, True, {"output place"})


def test_a_place_that_blocks_costs_what_finds_no_room(place: Place) -> None:
    said: list[str] = []
    place.may_go_on.clear()
    with BackgroundSink(lambda: place, "place", report=said.append, most_jobs=10) as sink:
        for index in range(50):
            sink.write(captured(index), result())
        assert 39 <= sink.dropped <= 40  # one may be in the thread's hands
        place.may_go_on.set()
    assert place.written == list(range(50 - sink.dropped))
    assert said == ["place: does not keep up or hangs: results that find no room are dropped and counted"]


def test_pictures_that_wait_take_bounded_memory(place: Place) -> None:
    place.may_go_on.clear()
    weight = captured(0).image.nbytes + result().image.nbytes
    with BackgroundSink(lambda: place, "place", most_bytes=5 * weight) as sink:
        for index in range(50):
            sink.write(captured(index), result())
        assert 44 <= sink.dropped <= 45
        place.may_go_on.set()


def test_the_end_does_not_wait_for_a_place_that_hangs(place: Place) -> None:
    said: list[str] = []
    place.may_go_on.clear()
    sinks = [
        BackgroundSink(lambda: place, "place", report=said.append, end=TimeToEnd(lambda: True, hurried_s=0.2))
        for _ in range(2)
    ]
    for sink in sinks:
        for index in range(5):
            sink.write(captured(index), result())
        sink.close()
        sink.close()
    assert said == ["place: does not take the last results, and is left to itself"] * 2
    assert all(4 <= sink.dropped <= 5 for sink in sinks)
    assert not place.is_closed


def test_a_run_that_nobody_hurries_and_that_loses_its_last_results_ends_in_an_error(place: Place) -> None:
    place.may_go_on.clear()
    sink = BackgroundSink(lambda: place, "place", end=TimeToEnd(longest_s=0.2))
    sink.write(captured(0), result())
    sink.write(captured(1), result())
    with pytest.raises(StnRectifyError, match=r"^place: does not take the last results"):
        sink.close()
    assert sink.dropped == 1  # the other one is being written
    sink.close()


def test_an_output_has_its_time_to_end_though_another_one_took_longer_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several outputs the last one to be closed has written nothing for as long as the others took."""
    place, end = Place(), TimeToEnd(longest_s=0.4)
    monkeypatch.setattr(place, "close", lambda: threading.Event().wait(0.1))
    sink = BackgroundSink(lambda: place, "place", end=end)
    sink.write(captured(0), result())
    wait_for("the result", lambda: place.written)
    end.is_over(time.monotonic())  # the first one is closed
    threading.Event().wait(0.6)
    sink.close()
    assert sink.dropped == 0


def test_a_place_that_may_be_mended_is_tried_again(place: Place) -> None:
    said: list[str] = []
    with BackgroundSink(lambda: place, "place", report=said.append) as sink:
        place.fails_with = errno.ENOSPC
        for index in range(20):
            sink.write(captured(index), result())
        wait_for("the drops", lambda: sink.dropped == 20)
        assert sink.fault == "no luck"
        place.fails_with = None
        index = 20
        while sink.fault is not None:
            sink.write(captured(index), result())
            index += 1
            threading.Event().wait(0.005)
    assert place.written[-1] == index - 1
    assert len(place.written) + sink.dropped == index
    assert said == [
        "cannot write place: no luck; free space there or choose another place; results are dropped and counted until "
        "it can be written",
        f"place can be written again; results dropped: {sink.dropped}",
    ]


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EFBIG])
def test_what_does_not_pass_by_itself_is_raised(place: Place, number: int) -> None:
    place.fails_with = number
    sink = BackgroundSink(lambda: place, "place")
    sink.write(captured(0), result())
    wait_for("the end of the thread", lambda: place.is_closed)
    with pytest.raises(StnRectifyError, match="cannot write place: no luck"):
        sink.write(captured(1), result())
    sink.close()
    assert sink.dropped == 1


def test_an_error_of_the_last_results_is_raised_by_the_end(place: Place) -> None:
    place.fails_with = errno.EPIPE
    sink = BackgroundSink(lambda: place, "place")
    place.may_go_on.clear()
    sink.write(captured(0), result())
    place.may_go_on.set()
    with pytest.raises(StnRectifyError, match="cannot write place"):
        sink.close()
    sink.close()


def test_a_full_disk_at_the_start_is_waited_for(place: Place) -> None:
    errors = [cannot_write("place", OSError(errno.ENOSPC, "full")) for _ in range(2)]

    def open_it() -> Place:
        if errors:
            raise errors.pop()
        return place

    with BackgroundSink(open_it, "place") as sink:
        assert sink.fault == "full"
        for index in range(1000):
            sink.write(captured(index), result())
            threading.Event().wait(0.005)
            if place.written:
                break
    assert sink.fault is None
    assert sink.dropped >= 2


def test_a_disk_that_is_full_from_the_start_is_not_asked_for_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_PAUSE_S", 3600.0)
    attempts: list[float] = []

    def open_it() -> Place:
        attempts.append(time.monotonic())
        raise cannot_write("place", OSError(errno.ENOSPC, "full"))

    with BackgroundSink(open_it, "place") as sink:
        for index in range(50):
            sink.write(captured(index), result())
            threading.Event().wait(0.002)
        assert (len(attempts), sink.dropped) == (1, 50)


@pytest.mark.parametrize("ask", [lambda sink: sink.reopen(), lambda sink: sink.do_soon(lambda: None)])
def test_only_a_result_that_is_written_ends_a_fault(place: Place, ask: Callable[[BackgroundSink], None]) -> None:
    with BackgroundSink(lambda: place, "place") as sink:
        place.fails_with = errno.ENOSPC
        sink.write(captured(0), result())
        wait_for("the fault", lambda: sink.fault)
        ask(sink)
        sink.do_soon(lambda: None)  # the thread has done what was asked for
        assert sink.fault == "no luck"
        place.fails_with = None
        sink.write(captured(1), result())
        wait_for("its end", lambda: sink.fault is None)


def test_another_fault_at_the_start_is_raised() -> None:
    def open_it() -> Place:
        raise cannot_write("place", OSError(errno.ENOENT, "not there"))

    with pytest.raises(StnRectifyError, match="not there"):
        BackgroundSink(open_it, "place")


def test_opening_anew_happens_behind_what_waits(place: Place) -> None:
    place.may_go_on.clear()
    with BackgroundSink(lambda: place, "place", most_jobs=1) as sink:
        sink.write(captured(0), result())
        sink.reopen()  # a full queue does not drop it
        assert not place.is_reopened
        place.may_go_on.set()
    assert place.is_reopened


def test_a_sink_that_wants_to_hears_of_skipped_frames_in_their_order() -> None:
    class Hearing(Place):
        def skip(self, frame: CapturedFrame) -> None:
            self.threads.add(threading.current_thread().name)
            self.written.append(-frame.index)

    place = Hearing()
    with BackgroundSink(lambda: place, "place") as sink:
        sink.write(captured(1), result())
        sink.skip(captured(2))
        sink.write(captured(3), result())
    assert (place.written, place.threads) == ([1, -2, 3], {"output place"})


def test_the_pace_is_that_of_the_frames(tmp_path: Path) -> None:
    with BackgroundSaveSink(lambda: SaveSink(tmp_path, pace=Pace(every=5), commit_s=60), "pictures") as sink:
        for index in range(20):
            sink.write(captured(index), result())
        sink.save(captured(33), result())  # asked for by hand: it is there at once, and so is what waited
        assert len(list(tmp_path.glob("video0-*.png"))) == sink.saved == 5
        assert sink.folder == tmp_path
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        f"video0-{index:06d}.rectified.png" for index in (0, 5, 10, 15, 33)
    ]


def test_a_picture_asked_for_by_hand_says_when_it_cannot_be_saved(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with BackgroundSaveSink(lambda: SaveSink(stick / "pictures"), "pictures") as sink:
        shutil.rmtree(stick)
        with pytest.raises(StnRectifyError, match=r"cannot write .*No such file"):
            sink.save(captured(0), result())


def test_a_picture_that_cannot_be_saved_does_not_end_the_fault(tmp_path: Path) -> None:
    stick, said = tmp_path / "stick", list[str]()
    with BackgroundSaveSink(lambda: SaveSink(stick / "pictures"), "pictures", report=said.append) as sink:
        shutil.rmtree(stick)
        sink.write(captured(0), result())
        wait_for("the fault", lambda: sink.fault is not None)
        with pytest.raises(StnRectifyError, match="cannot write"):
            sink.save(captured(1), result())
        sink.reopen()
        wait_for("what was put", lambda: not sink._queue)
        assert sink.fault == "No such file or directory"
        assert len(said) == 1
        stick.mkdir()
        sink.save(captured(2), result())
        assert sink.fault is None
    assert said[1:] == ["pictures can be written again; results dropped: 1"]


def test_a_picture_asked_for_before_the_folder_can_be_made_says_why(tmp_path: Path) -> None:
    def open_it() -> SaveSink:
        raise cannot_write("pictures", OSError(errno.ENOSPC, "full"))

    with BackgroundSaveSink(open_it, "pictures") as sink:
        for _ in range(2):
            with pytest.raises(StnRectifyError, match="cannot write pictures: full"):
                sink.save(captured(0), result())
        assert sink.fault == "full"


def test_pictures_that_waited_and_are_lost_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    sink = BackgroundSaveSink(lambda: SaveSink(folder, commit_s=60), "pictures")
    for index in range(4):
        sink.write(captured(index), result())
    wait_for("pictures that wait", lambda: len(list(folder.glob(".*.partial"))) == 8)
    folder.rename(tmp_path / "away")
    with pytest.raises(StnRectifyError, match=r"cannot write .*/pictures/video0-\S+: No such file"):
        sink.close()
    assert (sink.dropped, sink.saved) == (4, 0)


def test_a_picture_that_the_disk_does_not_take_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", fsync)
    with BackgroundSaveSink(lambda: SaveSink(tmp_path), "pictures") as sink:
        sink.write(captured(0), result())
        wait_for("the fault", lambda: sink.fault)
        with pytest.raises(StnRectifyError, match="full"):
            sink.save(captured(1), result())
    assert (sink.dropped, sink.saved) == (2, 0)
    assert not list(tmp_path.iterdir())


def test_photographs_before_a_camera_wait_for_room_and_the_camera_does_not(place: Place) -> None:
    place.may_go_on.clear()
    frames = [replace(captured(index), is_live=index > 9) for index in range(20)]
    hurry = threading.Event()
    with BackgroundSink(lambda: place, "place", waits=True, most_jobs=2, end=TimeToEnd(hurry.is_set)) as sink:

        def write_all() -> None:
            for frame in frames:
                sink.write(frame, result())

        writing = threading.Thread(target=write_all)
        writing.start()
        writing.join(0.3)
        assert (writing.is_alive(), sink.dropped) == (True, 0), "it waits"
        place.may_go_on.set()
        writing.join()
    assert place.written[:10] == list(range(10))
    assert len(place.written) + sink.dropped == 20


def test_a_wait_for_room_ends_with_the_run(place: Place) -> None:
    place.may_go_on.clear()
    hurry = threading.Event()
    end = TimeToEnd(hurry.is_set, hurried_s=0.0)
    with BackgroundSink(lambda: place, "place", waits=True, most_jobs=1, end=end) as sink:
        threading.Timer(0.2, hurry.set).start()
        for index in range(5):
            sink.write(captured(index), result())
        assert sink.dropped >= 3
