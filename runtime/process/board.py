"""The machine's own state: which board it is, how warm it is, whether it is slowed down, the room on its disk."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

_MODEL = Path("/proc/device-tree/model")
_PLATFORM = Path("/sys/devices/platform")
_THROTTLED = "soc*/*firmware/get_throttled"
_THERMAL = Path("/sys/class/thermal")
_HWMON = Path("/sys/class/hwmon")
#: What the kernel calls the sensor of the processor: on a Raspberry Pi, on other boards, on PCs.
_PROCESSOR_ZONES = ("cpu", "soc", "x86_pkg_temp")
_PROCESSOR_CHIPS = ("coretemp", "k10temp", "cpu_thermal")
_TIMEOUT_S = 5.0

# Bits of get_throttled (Raspberry Pi documentation, vcgencmd); the same 16 places further up: since it was switched on.
UNDER_VOLTAGE, SOFT_LIMIT = "under-voltage", "soft temperature limit"
_STATES = {0x1: UNDER_VOLTAGE, 0x2: "frequency capped", 0x4: "throttled", 0x8: SOFT_LIMIT}
_SINCE_START = 16


@dataclass(frozen=True)
class Throttling:
    """The states in which a Raspberry Pi is slowed down.

    Attributes:
        bits: as get_throttled gives them.
    """

    bits: int

    @property
    def now(self) -> list[str]:
        """The states of this moment: of under-voltage, frequency capped, throttled, soft temperature limit."""
        return _states(self.bits)

    @property
    def since_start(self) -> list[str]:
        """Those that there were since the board was switched on."""
        return _states(self.bits >> _SINCE_START)


@dataclass(frozen=True)
class MachineState:
    """The state of a machine at one moment.

    Attributes:
        board: such as ``Raspberry Pi 4 Model B Rev 1.4``; None on other machines.
        temperature_c: of the processor, °C; None where nothing tells.
        throttling: None where nothing tells, as on other machines.
        folder: whose disk it is.
        disk_free_bytes: room on that disk for this user; None where it cannot be asked.
        disk_total_bytes: size of that disk.
    """

    board: str | None
    temperature_c: float | None
    throttling: Throttling | None
    folder: str
    disk_free_bytes: int | None
    disk_total_bytes: int | None


def machine_state(folder: str | PathLike[str]) -> MachineState:
    """The state of this machine, which takes a few milliseconds to ask.

    Args:
        folder: whose disk counts; it need not exist any more.
    """
    board = this_board()
    free: int | None = None
    total: int | None = None
    with suppress(OSError):
        disk = shutil.disk_usage(folder)
        free, total = disk.free, disk.total
    throttling = throttled() if board is not None else None
    return MachineState(board, processor_temperature(), throttling, str(Path(folder).absolute()), free, total)


def this_board() -> str | None:
    """The name of this Raspberry Pi; None on other machines."""
    try:
        return board_name(_MODEL.read_bytes())
    except OSError:
        return None


def board_name(model: bytes) -> str | None:
    """The name in the device tree's ``model``, such as ``Raspberry Pi 4 Model B Rev 1.4``; None on other machines."""
    name = model.rstrip(b"\0\n").decode("ascii", "replace")
    return name if name.startswith("Raspberry Pi") else None


def throttled() -> Throttling | None:
    """Asks vcgencmd, or else the kernel's file, what slows this Raspberry Pi down; None where neither tells."""
    texts = []
    with suppress(OSError, subprocess.SubprocessError):
        command = ["vcgencmd", "get_throttled"]
        texts.append(subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False).stdout)
    values = (throttling_value(text) for text in (*texts, *map(_text, _PLATFORM.glob(_THROTTLED))))
    return next((Throttling(value) for value in values if value is not None), None)


def throttling_value(text: str) -> int | None:
    """The number in what ``vcgencmd get_throttled`` prints or the kernel's file of that name holds; None if none."""
    try:
        return int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def processor_temperature() -> float | None:
    """The temperature of the processor, °C; None where the kernel tells none, as in many virtual machines."""
    for zone in sorted(_THERMAL.glob("thermal_zone*")):
        if _text(zone / "type").startswith(_PROCESSOR_ZONES):
            found = _celsius(zone / "temp")
            if found is not None:
                return found
    for chip in sorted(_HWMON.glob("hwmon*")):
        if _text(chip / "name") in _PROCESSOR_CHIPS:
            found = _celsius(chip / "temp1_input")
            if found is not None:
                return found
    return None


def _celsius(file: Path) -> float | None:
    """A temperature of the kernel, which counts in thousandths; sensors that are off say nothing, or absurd values."""
    try:
        found = int(_text(file)) / 1000
    except ValueError:
        return None
    return found if -60 < found < 200 else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _states(bits: int) -> list[str]:
    return [name for bit, name in _STATES.items() if bits & bit]
