"""Cameras: V4L2 devices, and the module that camera modules of a Raspberry Pi need."""

from __future__ import annotations

from collections.abc import Sequence

from stn_rectify.runtime.command.checks.check import Check
from stn_rectify.runtime.sources import CameraInfo

__all__ = ["cameras_check", "picamera2_check"]


def cameras_check(cameras: Sequence[CameraInfo], denied: Sequence[str], user: str) -> Check:
    """The cameras.

    Args:
        cameras: what `list_cameras` gave.
        denied: the devices that this user may not open.
        user: their name.
    """
    if denied:
        mend = f"sudo usermod -aG video {user}, then log in again"
        return Check("cameras", "problem", f"{', '.join(denied)} may not be opened", mend)
    if not cameras:
        return Check("cameras", "warning", "none found", "connect one; images and videos work without")
    return Check("cameras", "ok", ", ".join(f"{camera.device} ({camera.name})" for camera in cameras))


def picamera2_check(error: str | None, *, in_isolated_venv: bool) -> Check:
    """On a Raspberry Pi: the package picamera2.

    Args:
        error: why it cannot be imported; None if it can.
        in_isolated_venv: whether this is a virtual environment that does not see the system's packages.
    """
    if error is None:
        return Check("picamera2", "ok", "installed")
    mend = "sudo apt install python3-picamera2"
    if "'picamera2'" not in error:  # it is there, and something that it needs is not
        mend = "sudo apt install --reinstall python3-picamera2 brings what it needs; its NumPy is the system's"
    if in_isolated_venv:
        mend += ", and make the environment again with: python3 -m venv --system-site-packages"
    return Check("picamera2", "warning", f"{error}; cameras on the ribbon cable need it", mend)
