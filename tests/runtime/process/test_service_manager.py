"""What a service manager is told, on a socket of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stn_rectify.runtime.process.service_manager import ServiceManager


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.setblocking(False)
        yield bound


def told(manager_socket: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager_socket.recv(4096).decode())
        except BlockingIOError:
            return messages


def environment(manager_socket: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager_socket.getsockname(), "PATH": "/bin", **more}


def test_messages_are_those_of_sd_notify(manager_socket: socket.socket) -> None:
    with ServiceManager(environment(manager_socket)) as manager:
        manager.ready()
        manager.status("12 frames\n and ½")
        manager.status("12 frames\n and ½")
        manager.alive()  # nobody looks
        manager.reloading()
        manager.stopping()
    ready, status, reloading, stopping = told(manager_socket)
    assert (ready, status, stopping) == ("READY=1", "STATUS=12 frames and ½", "STOPPING=1")
    assert reloading.splitlines()[0] == "RELOADING=1"
    assert int(reloading.splitlines()[1].removeprefix("MONOTONIC_USEC=")) > 0


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0stn-rectify-test-{os.getpid()}")
        bound.setblocking(False)
        with ServiceManager({"NOTIFY_SOCKET": f"@stn-rectify-test-{os.getpid()}"}) as manager:
            manager.ready()
        assert told(bound) == ["READY=1"]


def test_of_many_signs_of_life_few_are_sent(manager_socket: socket.socket) -> None:
    asked = environment(manager_socket, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid()))
    with ServiceManager(asked) as manager:
        assert manager.watchdog_s == 60.0
        for _ in range(1000):
            manager.alive()
    assert told(manager_socket) == ["WATCHDOG=1"]


def test_each_is_sent_where_the_time_is_short(manager_socket: socket.socket) -> None:
    with ServiceManager(environment(manager_socket, WATCHDOG_USEC="1")) as manager:
        for _ in range(3):
            manager.alive()
    assert told(manager_socket) == ["WATCHDOG=1"] * 3


def test_a_source_of_rare_frames_gets_more_time(manager_socket: socket.socket) -> None:
    with ServiceManager(environment(manager_socket, WATCHDOG_USEC="60000000")) as manager:
        manager.wait_longer(15.0)
        assert told(manager_socket) == []
        manager.wait_longer(120.0)
    assert told(manager_socket) == ["WATCHDOG_USEC=480000000"]


def test_another_process_is_watched(manager_socket: socket.socket) -> None:
    asked = environment(manager_socket, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid() + 1))
    with ServiceManager(asked) as manager:
        manager.alive()
    assert told(manager_socket) == []


def test_programs_that_are_started_are_not_told_of_it(manager_socket: socket.socket) -> None:
    asked = environment(manager_socket, WATCHDOG_USEC="60000000", WATCHDOG_PID="1")
    ServiceManager(asked).close()
    assert asked == {"PATH": "/bin"}


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    for tell in (manager.ready, manager.alive, manager.reloading, manager.stopping, manager.close, manager.close):
        tell()
    manager.ready()


def test_a_manager_that_reads_nothing_holds_nobody_up(manager_socket: socket.socket) -> None:
    with ServiceManager(environment(manager_socket)) as manager:
        for number in range(5000):
            manager.status(f"{number}")
    assert 0 < len(told(manager_socket)) < 5000
