from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stn_rectify.runtime import CameraInfo
from stn_rectify.runtime.command import doctor
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.doctor import (
    Check,
    cameras_check,
    disk_check,
    interpreter_check,
    numpy_check,
    opencv_check,
    package_check,
    picamera2_check,
    python_check,
    throttling_check,
)
from stn_rectify.runtime.process.board import Throttling
from stn_rectify.runtime.process.installation import pip_command
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE

WEBCAM = CameraInfo("/dev/video0", "HD Webcam", "uvcvideo", {"MJPG": ("640x480",)})


def test_the_command_examines_this_machine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stn_rectify.runtime.command.cli", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO")] == []  # the interpreter's
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "problem"}
    assert done.returncode == any(line.startswith("problem") for line in lines)
    names = [line[9:].partition(":")[0] for line in lines]
    for name in ("Python", "stn-rectify", "NumPy", "OpenCV", "interpreter", "model", "cameras", "disk"):
        assert names.count(name) == 1
    assert any(line.startswith("ok       model: general (dense) finds the sample's target") for line in lines)


def test_a_problem_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = tmp_path / "broken.jpg"
    sample.write_bytes(b"broken")
    assert doctor.doctor([], sample=sample) == 1
    assert "problem  model: cannot read the image" in capsys.readouterr().out


def test_doctor_takes_no_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.doctor(["--camera"], sample=tmp_path)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "stn-rectify doctor: error: unrecognized option --camera (see stn-rectify doctor --help)\n"
    )


def test_doctor_has_a_help_of_its_own_and_stands_in_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in ((["doctor", "--help"], "usage: stn-rectify doctor [-h]"), (["--help"], "stn-rectify doctor ")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert text in capsys.readouterr().out


def test_a_file_called_doctor_is_an_image_like_any_other(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO_IMAGE, "doctor")
    assert main(["--image", "doctor", "--model", str(model)]) == 0
    assert "doctor: corners (" in capsys.readouterr().err


def test_a_line_says_status_name_finding_and_mend() -> None:
    assert str(Check("NumPy", "ok", "1.26.4")) == "ok       NumPy: 1.26.4"
    assert str(Check("cameras", "warning", "none found", "connect one")) == "warning  cameras: none found: connect one"


@pytest.mark.parametrize(
    ("check", "status", "said"),
    [
        pytest.param(python_check((3, 11, 2), 64), "ok", "3.11.2, 64-bit", id="Python"),
        pytest.param(python_check((3, 9, 2), 64), "problem", "install Python 3.10", id="old Python"),
        pytest.param(python_check((3, 11, 2), 32), "problem", "install a 64-bit system", id="32-bit"),
        pytest.param(package_check("0.1.0"), "ok", "0.1.0", id="package"),
        pytest.param(package_check(None), "warning", "pip install", id="package not installed"),
        pytest.param(numpy_check("1.26.4", "1.26.4"), "ok", "1.26.4", id="NumPy"),
        pytest.param(numpy_check("1.24.2", "1.26.4"), "warning", "1.24.2 is imported, 1.26.4", id="two NumPys"),
        pytest.param(opencv_check("4.6.0", {}), "ok", "4.6.0 (not from pip)", id="the system's OpenCV"),
        pytest.param(
            opencv_check("4.11.0", {"opencv-python-headless": "4.11.0.86"}), "ok", "-headless 4.11.0.86", id="OpenCV"
        ),
        pytest.param(
            opencv_check("4.14.0", {"opencv-python": "4.14.0.94", "opencv-python-headless": "4.11.0.86"}),
            "problem",
            f"{pip_command('uninstall', '-y', 'opencv-python', 'opencv-python-headless')}, then "
            f"{pip_command('install', 'opencv-python-headless==4.11.0.86')}",
            id="two OpenCVs",
        ),
        pytest.param(interpreter_check("tflite-runtime", "2.14.0", "1.26.4"), "ok", "2.14.0", id="tflite-runtime"),
        pytest.param(
            interpreter_check("tflite-runtime", "2.14.0", "1.26.4"), "ok", "ai-edge-litert>=2.1.6", id="faster"
        ),
        pytest.param(interpreter_check("ai-edge-litert", "2.3.0", "2.1.3"), "ok", "2.3.0", id="litert and NumPy 2"),
        pytest.param(
            interpreter_check("tflite-runtime", "2.14.0", "2.1.3"), "problem", "numpy<2", id="tflite and NumPy 2"
        ),
        pytest.param(cameras_check([], [], "pi"), "warning", "none found", id="no camera"),
        pytest.param(cameras_check([WEBCAM], [], "pi"), "ok", "/dev/video0 (HD Webcam)", id="camera"),
        pytest.param(
            cameras_check([WEBCAM], ["/dev/video0"], "pi"), "problem", "usermod -aG video pi", id="not permitted"
        ),
        pytest.param(picamera2_check(None, in_isolated_venv=True), "ok", "installed", id="picamera2"),
        pytest.param(
            picamera2_check("No module named 'picamera2'", in_isolated_venv=True),
            "warning",
            "--system-site-packages",
            id="no picamera2",
        ),
        pytest.param(
            picamera2_check("No module named 'pykms'", in_isolated_venv=False),
            "warning",
            "No module named 'pykms'; cameras on the ribbon cable need it: sudo apt install --reinstall",
            id="picamera2 lacks a module, outside a venv",
        ),
        pytest.param(disk_check("/data", 64_000_000_000), "ok", "64.0 GB free in /data", id="room"),
        pytest.param(disk_check("/data", 400_000_000), "warning", "400 MB free in /data", id="little room"),
        pytest.param(disk_check("/data", 0), "problem", "0 MB free in /data", id="full"),
    ],
)
def test_checks(check: Check, status: str, said: str) -> None:
    assert check.status == status
    assert said in str(check)
    assert bool(check.mend) == (status != "ok")


@pytest.mark.parametrize(
    ("value", "status", "finding", "mend"),
    [
        (0x0, "ok", "none since the start", ""),
        (0x50000, "warning", "since the start under-voltage, throttled", "power supply"),
        (0x50005, "problem", "now under-voltage, throttled; since the start under-voltage, throttled", "power supply"),
        (0xE0008, "warning", "now soft temperature limit; since the start frequency capped, throttled, soft", "fan"),
        (0xD0008, "warning", "now soft temperature limit; since the start under-voltage", "and give it a heat sink"),
        (None, "warning", "cannot be read", "usermod"),
    ],
)
def test_throttling(value: int | None, status: str, finding: str, mend: str) -> None:
    check = throttling_check(None if value is None else Throttling(value))
    assert check.status == status
    assert finding in check.finding
    assert mend in check.mend
