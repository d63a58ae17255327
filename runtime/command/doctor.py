"""``stn-rectify doctor``: examines this machine, and says what to do where something is wrong.

A function ``…_check`` judges what is passed to it; `examine` finds that out.
"""

from __future__ import annotations

import getpass
import os
import shutil
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from stn_rectify.runtime.command.parsing.parser import OneLineParser
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.interpreter import find_interpreter_package
from stn_rectify.runtime.process.board import SOFT_LIMIT, UNDER_VOLTAGE, Throttling, this_board, throttled
from stn_rectify.runtime.process.installation import install_command, pip_command
from stn_rectify.runtime.process.standard_streams import escaped, write_stdout
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import CameraInfo, ImageSource, list_cameras
from stn_rectify.runtime.sources.pi_camera import picamera2_import_error


def doctor(words: Sequence[str], *, sample: Path) -> int:
    """Runs ``stn-rectify doctor``: prints a line for each check.

    Args:
        words: what follows on the command line.
        sample: an image with a target that the bundled model finds.

    Returns:
        The exit status: 1 if there is a problem, else 0.
    """
    doctor_parser().parse_args(words)
    statuses = []
    for check in examine(sample):
        write_stdout(f"{escaped(str(check))}\n")
        statuses.append(check.status)
    return 1 if "problem" in statuses else 0


def doctor_parser() -> OneLineParser:
    """The command's parser."""
    return OneLineParser(
        prog="stn-rectify doctor",
        description="Examines this machine: what is installed, cameras, disk, and on a Raspberry Pi its state.",
        epilog="Ends with status 1 if there is a problem.",
    )


def examine(sample: Path) -> Iterator[Check]:
    """All checks of this machine, in the order in which one thing needs another."""
    yield python_check(sys.version_info[:3], struct.calcsize("P") * 8)
    yield package_check(_version("stn-rectify"))
    yield numpy_check(np.__version__, _version("numpy"))
    versions = {name: _version(name) for name in OPENCV_DISTRIBUTIONS}
    yield opencv_check(cv2.__version__, {name: version for name, version in versions.items() if version is not None})
    interpreter = _interpreter()
    yield interpreter
    if interpreter.status == "ok":
        yield _model(sample)
    else:  # NumPy would print a page about it
        yield Check("model", "warning", "not examined", "mend the interpreter first")
    denied = [str(node) for node in sorted(Path("/dev").glob("video*")) if not os.access(node, os.R_OK | os.W_OK)]
    yield cameras_check(list_cameras(), denied, _user())
    yield from _raspberry_pi()
    yield disk_check(str(Path.cwd()), shutil.disk_usage(Path.cwd()).free)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _interpreter() -> Check:
    try:
        package = find_interpreter_package()
    except StnRectifyError as error:
        return Check("interpreter", "problem", str(error))  # which says how to install one
    return interpreter_check(package.name, package.version, np.__version__)


def _model(sample: Path) -> Check:
    """The whole way once: read, open, compute."""
    try:
        with ImageSource(sample) as source, Rectifier() as rectifier:
            result = rectifier.rectify(next(iter(source)).image)
            name = f"{rectifier.model.metadata.name} ({rectifier.model.metadata.kind})"
    except StnRectifyError as error:
        return Check("model", "problem", str(error))
    if not result.found:
        return Check(
            "model",
            "problem",
            f"{name} misses the sample's target (score {result.score:.2f})",
            install_command(again=True),
        )
    return Check("model", "ok", f"{name} finds the sample's target (score {result.score:.2f})")


def _raspberry_pi() -> Iterator[Check]:
    """Nothing on other machines."""
    board = this_board()
    if board is None:
        return
    yield Check("board", "ok", board)
    yield throttling_check(throttled())
    in_isolated_venv = sys.prefix != sys.base_prefix and not _sees_system_packages(Path(sys.prefix) / "pyvenv.cfg")
    yield picamera2_check(picamera2_import_error(), in_isolated_venv=in_isolated_venv)


def _sees_system_packages(settings: Path) -> bool:
    try:
        lines = settings.read_text(encoding="utf-8").lower().splitlines()
    except OSError:
        return False
    return "include-system-site-packages = true" in lines


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "$USER"


#: A warning is something that may be meant so, a problem something that keeps the command from its work.
Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """The result of one examination; `str` gives the line.

    Attributes:
        name: of the thing that was examined.
        status: how it is.
        finding: its version or its state, in a few words.
        mend: the remedy; empty where all is well.
    """

    name: str
    status: Status
    finding: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.status:<7}  {self.name}: {self.finding}" + (f": {self.mend}" if self.mend else "")


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
    finding = f"{free} free in {folder}"
    if free_bytes >= _FEW:
        return Check("disk", "ok", finding)
    status: Status = "problem" if free_bytes < _TOO_FEW else "warning"
    return Check("disk", status, finding, "make room before --save and --jsonl fill it, or name another folder")


_POWER = "use a power supply and a cable made for this board"
_COOLING = "give it a heat sink or a fan"


def throttling_check(throttling: Throttling | None) -> Check:
    """Checks that the board runs as fast as it can; None if it does not tell."""
    if throttling is None:
        mend = "sudo usermod -aG video $USER, log in again and see what vcgencmd get_throttled prints"
        return Check("throttling", "warning", "cannot be read", mend)
    now, earlier = throttling.now, throttling.since_start
    if not now and not earlier:
        return Check("throttling", "ok", "none since the start")
    finding = "; ".join(
        [*([f"now {', '.join(now)}"] if now else []), *([f"since the start {', '.join(earlier)}"] if earlier else [])]
    )
    states = {*now, *earlier}
    # Low voltage makes a board throttle as well, so that heat is only blamed where voltage was never low.
    mend = _POWER if UNDER_VOLTAGE in states else _COOLING
    if {UNDER_VOLTAGE, SOFT_LIMIT} <= states:
        mend = f"{_POWER}, and {_COOLING}"
    return Check("throttling", "problem" if UNDER_VOLTAGE in now else "warning", finding, mend)


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
    finding = f"{'.'.join(map(str, version))}, {bits}-bit"
    if version < _OLDEST_PYTHON:
        return Check("Python", "problem", finding, f"install Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    if bits != 64:
        # A Raspberry Pi may run a 64-bit kernel below 32-bit programs; what counts is Python.
        return Check("Python", "problem", finding, "install a 64-bit system; the interpreters have no 32-bit packages")
    return Check("Python", "ok", finding)


def package_check(version: str | None) -> Check:
    """The version of this package; None if it runs without being installed."""
    if version is None:
        return Check("stn-rectify", "warning", "not installed", f"{install_command()}, so that it gets what it needs")
    return Check("stn-rectify", "ok", version)


def numpy_check(version: str, installed: str | None) -> Check:
    """The version of NumPy that was imported, beside the one that pip knows."""
    if installed is not None and installed != version:
        mend = f"{pip_command('install', '--force-reinstall', 'numpy')}, or remove what PYTHONPATH adds"
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
        keep = "opencv-python-headless" if "opencv-python-headless" in installed else next(iter(installed))
        uninstall, install = pip_command("uninstall", "-y", *installed), f"{keep}=={installed[keep]}"
        mend = f"{uninstall}, then {pip_command('install', install)}"
        return Check("OpenCV", "problem", f"{version}; {' and '.join(installed)} overwrite each other", mend)
    origin = ", ".join(f"{name} {number}" for name, number in installed.items()) or "not from pip"
    return Check("OpenCV", "ok", f"{version} ({origin})")


def interpreter_check(name: str, version: str, numpy_version: str) -> Check:
    """The TensorFlow Lite interpreter's package beside NumPy, and the faster one where it is missing."""
    finding = f"{name} {version}"
    if name == "tflite-runtime" and int(numpy_version.partition(".")[0]) >= 2:
        mend = (
            f"{pip_command('install', 'numpy<2')}, or the other interpreter: {pip_command('install', 'ai-edge-litert')}"
        )
        return Check("interpreter", "problem", f"{finding} does not work with NumPy {numpy_version}", mend)
    if name == "tflite-runtime":  # right as it is, but docs/laboratory/speed.md has what the other one takes
        finding += f"; another one runs the same files faster: {pip_command('install', 'ai-edge-litert>=2.1.6,<3')}"
    return Check("interpreter", "ok", finding)
