"""What ``stn-rectify doctor`` examines: Python and packages, cameras, the disk, power and heat of a Raspberry Pi.

Each check judges what is passed to it; `doctor` finds that out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stn_rectify.runtime.sources import CameraInfo

__all__ = [
    "OPENCV_DISTRIBUTIONS",
    "Check",
    "Status",
    "board_name",
    "cameras_check",
    "disk_check",
    "interpreter_check",
    "numpy_check",
    "opencv_check",
    "package_check",
    "picamera2_check",
    "python_check",
    "throttling_check",
    "throttling_value",
]

#: A warning is something that may be meant so, a problem something that keeps the command from its work.
Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """What was examined, how it is, and what to do about it; `str` gives the line.

    Attributes:
        name: of what was examined.
        status: how it is.
        found: what was found.
        mend: what to do; empty where all is well.
    """

    name: str
    status: Status
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.status:<7}  {self.name}: {self.found}" + (f": {self.mend}" if self.mend else "")


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


#: The packages of PyPI that hold the module ``cv2``.
OPENCV_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

_OLDEST_PYTHON = (3, 10)


def python_check(version: tuple[int, int, int], bits: int) -> Check:
    """Python's own version and the size of its pointers in bits."""
    found = f"{'.'.join(map(str, version))}, {bits}-bit"
    if version < _OLDEST_PYTHON:
        return Check("Python", "problem", found, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    if bits != 64:
        # A Raspberry Pi may run a 64-bit kernel below 32-bit programs; what counts is Python.
        return Check("Python", "problem", found, "install a 64-bit system; the interpreters have no 32-bit packages")
    return Check("Python", "ok", found)


def package_check(version: str | None) -> Check:
    """The version of this package; None if it runs without being installed."""
    if version is None:
        return Check("stn-rectify", "warning", "not installed", "pip install it, so that it gets what it needs")
    return Check("stn-rectify", "ok", version)


def numpy_check(version: str, installed: str | None) -> Check:
    """The version of NumPy that was imported, beside the one that pip knows."""
    if installed is not None and installed != version:
        mend = "pip install --force-reinstall numpy, or remove what PYTHONPATH adds"
        return Check("NumPy", "warning", f"{version} is imported, {installed} is installed", mend)
    return Check("NumPy", "ok", version)


def opencv_check(version: str, installed: Mapping[str, str]) -> Check:
    """OpenCV.

    Args:
        version: what ``cv2`` says of itself.
        installed: those of `OPENCV_DISTRIBUTIONS` that are installed, with their versions.
    """
    if len(installed) > 1:
        # All write the same files, and removing one takes the others' away.
        names = " ".join(installed)
        keep = "opencv-python-headless" if "opencv-python-headless" in installed else next(iter(installed))
        mend = f"pip uninstall -y {names}, then pip install '{keep}=={installed[keep]}'"
        return Check("OpenCV", "problem", f"{version}; {' and '.join(installed)} overwrite each other", mend)
    origin = ", ".join(f"{name} {number}" for name, number in installed.items()) or "not from pip"
    return Check("OpenCV", "ok", f"{version} ({origin})")


def interpreter_check(name: str, version: str, numpy_version: str) -> Check:
    """The TensorFlow Lite interpreter's package beside NumPy."""
    found = f"{name} {version}"
    if name == "tflite-runtime" and int(numpy_version.partition(".")[0]) >= 2:
        mend = "pip install 'numpy<2', or install the other interpreter: pip install ai-edge-litert"
        return Check("interpreter", "problem", f"{found} does not work with NumPy {numpy_version}", mend)
    return Check("interpreter", "ok", found)
