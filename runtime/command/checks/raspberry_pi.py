"""A Raspberry Pi: which one, and whether power or heat slow it down."""

from __future__ import annotations

from stn_rectify.runtime.command.checks.check import Check

__all__ = ["board_name", "throttling_check", "throttling_value"]

# Bits of get_throttled (Raspberry Pi documentation, vcgencmd); the same 16 places further up: since it was switched on.
_UNDER_VOLTAGE = 0x1
_STATES = {
    _UNDER_VOLTAGE: "under-voltage",
    0x2: "frequency capped",
    0x4: "throttled",
    0x8: "soft temperature limit",
}
_SINCE_START = 16

_POWER = "use a power supply and a cable made for this board"
_COOLING = "give it a heat sink or a fan"


def board_name(model: bytes) -> str | None:
    """The name in the device tree's ``model``, such as ``Raspberry Pi 4 Model B Rev 1.4``; None on other machines."""
    name = model.rstrip(b"\0\n").decode("ascii", "replace")
    return name if name.startswith("Raspberry Pi") else None


def throttling_value(text: str) -> int | None:
    """The number in what ``vcgencmd get_throttled`` prints or the kernel's file of that name holds; None if none."""
    try:
        return int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def throttling_check(value: int | None) -> Check:
    """Whether the board runs slower than it could, from the bits of get_throttled."""
    if value is None:
        mend = "sudo usermod -aG video $USER, log in again and see what vcgencmd get_throttled prints"
        return Check("throttling", "warning", "cannot be read", mend)
    now, before = _states(value), _states(value >> _SINCE_START)
    if not now and not before:
        return Check("throttling", "ok", "none since the start")
    found = "; ".join(
        [*([f"now {', '.join(now)}"] if now else []), *([f"since the start {', '.join(before)}"] if before else [])]
    )
    seen = value | value >> _SINCE_START
    # Low voltage makes a board throttle as well, so that heat is only blamed where voltage was never low.
    mend = _POWER if seen & _UNDER_VOLTAGE else _COOLING
    if seen & _UNDER_VOLTAGE and seen & 0x8:
        mend = f"{_POWER}, and {_COOLING}"
    return Check("throttling", "problem" if value & _UNDER_VOLTAGE else "warning", found, mend)


def _states(bits: int) -> list[str]:
    return [name for bit, name in _STATES.items() if bits & bit]
