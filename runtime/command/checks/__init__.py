"""What ``stn-rectify doctor`` examines. Each check judges what is passed to it; `doctor` finds that out."""

from stn_rectify.runtime.command.checks.cameras import cameras_check, picamera2_check
from stn_rectify.runtime.command.checks.check import Check, Status
from stn_rectify.runtime.command.checks.disk import disk_check
from stn_rectify.runtime.command.checks.raspberry_pi import board_name, throttling_check, throttling_value
from stn_rectify.runtime.command.checks.software import (
    OPENCV_DISTRIBUTIONS,
    interpreter_check,
    numpy_check,
    opencv_check,
    package_check,
    python_check,
)

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
