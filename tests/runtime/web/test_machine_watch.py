"""The machine's state for those who watch."""

from __future__ import annotations

import threading

import pytest

from stn_rectify.runtime.process.board import MachineState
from stn_rectify.runtime.web import machine_watch
from stn_rectify.runtime.web.machine_watch import MachineWatch
from tests.waiting import wait_for


def test_a_disk_that_hangs_is_asked_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    state = MachineState(None, 50.0, None, "/out", 1, 2)
    asked, may_answer = list[str](), threading.Event()

    def hanging(folder: str) -> MachineState:
        asked.append(folder)
        may_answer.wait()
        return state

    monkeypatch.setattr(machine_watch, "_FRESH_S", 0.0)
    monkeypatch.setattr(machine_watch, "machine_state", hanging)
    watch = MachineWatch("/out")
    try:
        assert [watch.values() for _ in range(5)] == [None] * 5
        wait_for("the question", lambda: asked)
        assert asked == ["/out"]
    finally:
        may_answer.set()
    wait_for("the answer", lambda: watch.newest() == state)
