"""``stn-rectify doctor``: examines this machine, and says what to do where something is wrong."""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.runtime.command.checks import (
    OPENCV_DISTRIBUTIONS,
    Check,
    board_name,
    cameras_check,
    disk_check,
    interpreter_check,
    numpy_check,
    opencv_check,
    package_check,
    picamera2_check,
    python_check,
    throttling_check,
    throttling_value,
)
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.interpreter import find_interpreter_package
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.sources import ImageSource, list_cameras
from stn_rectify.runtime.sources.pi_camera import picamera2_import_error

__all__ = ["doctor", "examine"]

_BOARD = Path("/proc/device-tree/model")
_THROTTLED = "soc*/*firmware/get_throttled"
_TARGET_SCORE = 0.5
_AGAIN = "pip install --force-reinstall --no-deps stn-rectify"


def doctor(words: Sequence[str], *, sample: Path) -> int:
    """Runs ``stn-rectify doctor``: prints a line for each check.

    Args:
        words: what follows on the command line.
        sample: an image with a target that the bundled model finds.

    Returns:
        The exit status: 1 if there is a problem, else 0.
    """
    parser = argparse.ArgumentParser(
        prog="stn-rectify doctor",
        description="Examines this machine: what is installed, cameras, disk, and on a Raspberry Pi its state.",
        epilog="Ends with status 1 if there is a problem.",
    )
    parser.parse_args(words)
    statuses = []
    for check in examine(sample):
        print(check, flush=True)
        statuses.append(check.status)
    return 1 if "problem" in statuses else 0


def examine(sample: Path) -> Iterator[Check]:
    """All checks of this machine, in the order in which one thing needs another."""
    yield python_check(sys.version_info[:3], struct.calcsize("P") * 8)
    yield package_check(_version("stn-rectify"))
    yield numpy_check(np.__version__, _version("numpy"))
    found = {name: _version(name) for name in OPENCV_DISTRIBUTIONS}
    yield opencv_check(cv2.__version__, {name: version for name, version in found.items() if version is not None})
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
            name = rectifier.model.metadata.name
    except StnRectifyError as error:
        return Check("model", "problem", str(error))
    if result.score < _TARGET_SCORE:
        return Check("model", "problem", f"{name} misses the sample's target (score {result.score:.2f})", _AGAIN)
    return Check("model", "ok", f"{name} finds the sample's target (score {result.score:.2f})")


def _raspberry_pi() -> Iterator[Check]:
    """Nothing on other machines."""
    try:
        board = board_name(_BOARD.read_bytes())
    except OSError:
        return
    if board is None:
        return
    yield Check("board", "ok", board)
    yield throttling_check(_throttling())
    in_isolated_venv = sys.prefix != sys.base_prefix and not _sees_system_packages(Path(sys.prefix) / "pyvenv.cfg")
    yield picamera2_check(picamera2_import_error(), in_isolated_venv=in_isolated_venv)


def _throttling() -> int | None:
    try:
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        value = throttling_value(done.stdout)
    except (OSError, subprocess.SubprocessError):
        value = None
    if value is not None:
        return value
    for file in Path("/sys/devices/platform").glob(_THROTTLED):
        try:
            return throttling_value(file.read_text())
        except OSError:
            continue
    return None


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
