"""Room for results."""

from __future__ import annotations

from stn_rectify.runtime.command.checks.check import Check, Status

__all__ = ["disk_check"]

_FEW = 1_000_000_000
_TOO_FEW = 50_000_000


def disk_check(folder: str, free_bytes: int) -> Check:
    """The free space of the folder that results go to."""
    free = f"{free_bytes / 1e9:.1f} GB" if free_bytes >= _FEW else f"{free_bytes / 1e6:.0f} MB"
    found = f"{free} free in {folder}"
    if free_bytes >= _FEW:
        return Check("disk", "ok", found)
    status: Status = "problem" if free_bytes < _TOO_FEW else "warning"
    return Check("disk", status, found, "make room before --save and --jsonl fill it, or name another folder")
