"""The machine's own state, from files as the kernels of several machines have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stn_rectify.runtime.process import board
from stn_rectify.runtime.process.board import board_name, machine_state, throttling_value


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that is read, empty at first; vcgencmd is not there."""
    for name, place in (("_MODEL", "model"), ("_PLATFORM", "platform"), ("_THERMAL", "thermal"), ("_HWMON", "hwmon")):
        monkeypatch.setattr(board, name, tmp_path / place)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_raspberry_pi(machine: Path) -> None:
    write(machine / "model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(machine / "thermal/thermal_zone0/type", "cpu-thermal\n")
    write(machine / "thermal/thermal_zone0/temp", "61850\n")
    write(machine / "platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "50004\n")
    state = machine_state(machine)
    assert (state.board, state.temperature_c, state.folder) == ("Raspberry Pi 5 Model B Rev 1.0", 61.85, str(machine))
    assert state.throttling is not None
    assert (state.throttling.now, state.throttling.since_start) == (["throttled"], ["under-voltage", "throttled"])
    assert 0 < state.disk_free_bytes < state.disk_total_bytes


def test_vcgencmd_is_asked_where_it_is(machine: Path) -> None:
    write(machine / "model", "Raspberry Pi 4 Model B Rev 1.4\0")
    write(machine / "platform/soc/soc:firmware/get_throttled", "0\n")
    program = machine / "bin/vcgencmd"
    for answer, bits in (("throttled=0x1", 1), ("VCHI initialization failed", 0)):
        write(program, f"#!/bin/sh\necho {answer}\n")
        program.chmod(0o755)
        throttling = machine_state(machine).throttling
        assert throttling is not None
        assert throttling.bits == bits


def test_a_machine_that_tells_nothing(machine: Path) -> None:
    state = machine_state(machine / "gone")
    assert (state.board, state.temperature_c, state.throttling) == (None, None, None)
    assert state.disk_free_bytes is state.disk_total_bytes is None


@pytest.mark.parametrize(
    ("files", "celsius"),
    [
        ({"thermal/thermal_zone0/type": "acpitz", "thermal/thermal_zone0/temp": "27800"}, None),
        (
            {
                "thermal/thermal_zone0/type": "acpitz",
                "thermal/thermal_zone0/temp": "27800",
                "thermal/thermal_zone1/type": "x86_pkg_temp",
                "thermal/thermal_zone1/temp": "54000",
            },
            54.0,
        ),
        ({"thermal/thermal_zone0/type": "soc-thermal", "thermal/thermal_zone0/temp": "-5000"}, -5.0),
        ({"thermal/thermal_zone0/type": "cpu0-thermal", "thermal/thermal_zone0/temp": "no reading"}, None),
        ({"thermal/thermal_zone0/type": "cpu-thermal", "thermal/thermal_zone0/temp": "-274000"}, None),
        ({"hwmon/hwmon0/name": "nvme", "hwmon/hwmon0/temp1_input": "30000"}, None),
        ({"hwmon/hwmon2/name": "k10temp", "hwmon/hwmon2/temp1_input": "48250"}, 48.25),
    ],
    ids=["only the board's", "a PC", "below zero", "no number", "absurd", "a disk's", "an AMD processor"],
)
def test_the_temperature_is_the_processors(machine: Path, files: dict[str, str], celsius: float | None) -> None:
    for name, text in files.items():
        write(machine / name, text + os.linesep)
    assert machine_state(machine).temperature_c == celsius


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (b"Raspberry Pi 4 Model B Rev 1.4\0", "Raspberry Pi 4 Model B Rev 1.4"),
        (b"Raspberry Pi Zero 2 W Rev 1.0\0", "Raspberry Pi Zero 2 W Rev 1.0"),
        (b"linux,dummy-virt\0", None),
        (b"Radxa ROCK 5B\0", None),
    ],
)
def test_board_name(model: bytes, name: str | None) -> None:
    assert board_name(model) == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("throttled=0x0\n", 0),
        ("throttled=0x50005\n", 0x50005),  # vcgencmd
        ("50000\n", 0x50000),  # the kernel's file
        ("VCHI initialization failed\n", None),
        ("", None),
    ],
)
def test_throttling_value(text: str, value: int | None) -> None:
    assert throttling_value(text) == value
