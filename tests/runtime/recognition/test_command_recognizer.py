"""Programs as recognizers: a picture goes in by its path, the text comes out; what fails, hangs or cannot be run."""

from __future__ import annotations

import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import CommandRecognizer, StnRectifyError, UsageError
from tests.waiting import DEADLINE_S

IMAGE = np.zeros((20, 30, 3), np.uint8)


def program(folder: Path, lines: str) -> str:
    path = folder / "the reader"
    path.write_text(f"#!{sys.executable}\nimport sys, time, subprocess, cv2\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"'{path}'"


def test_a_program_gets_a_picture_and_prints_the_text(tmp_path: Path) -> None:
    name = program(tmp_path, "image = cv2.imread(sys.argv[-1])\nprint(f'  {image.shape} \\n\\n {sys.argv[1]} ')")
    for words in (f"{name} -x {{}}", f"{name} -x", [name.strip("'"), "-x"]):
        with CommandRecognizer(words) as recognizer:
            said = recognizer.recognize(IMAGE)
        assert said is not None
        assert (said.label, said.score) == ("(20, 30, 3)\n-x", None)


def test_the_picture_goes_with_the_recognizer(tmp_path: Path) -> None:
    with CommandRecognizer(f"{program(tmp_path, 'print(sys.argv[1])')} {{}}") as recognizer:
        said = recognizer.recognize(IMAGE)
        assert said is not None
        assert Path(said.label).is_file()
    assert not Path(said.label).parent.exists()
    with pytest.raises(UsageError, match="is closed"):
        recognizer.recognize(IMAGE)


def test_a_program_that_prints_nothing_has_read_nothing(tmp_path: Path) -> None:
    with CommandRecognizer("true") as recognizer:
        assert recognizer.recognize(IMAGE) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("print('half'); sys.stderr.write('\\nno ink\\nmore'); sys.exit(3)", "the reader ended with status 3: no ink"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("print('x' * 100000)", "printed more than 64 KB: a text is expected"),
        ("while True: print('y')", "printed more than 64 KB: a text is expected"),
    ],
)
def test_a_program_that_fails_is_one_clear_error(tmp_path: Path, lines: str, message: str) -> None:
    recognizer = CommandRecognizer(program(tmp_path, lines), timeout_s=DEADLINE_S)
    with recognizer, pytest.raises(StnRectifyError) as error:
        recognizer.recognize(IMAGE)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("closes", [False, True], ids=["silent", "after its output"])
def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, closes: bool) -> None:
    child = "subprocess.Popen(['sleep', '1000']).pid"
    lines = f"open({str(tmp_path / 'pid')!r}, 'w').write(str({child}))\n"
    lines += "import os; os.close(1); os.close(2)\n" * closes + "time.sleep(1000)"
    recognizer = CommandRecognizer(program(tmp_path, lines), timeout_s=4)
    with recognizer, pytest.raises(StnRectifyError, match="the reader took more than 4 s"):
        recognizer.recognize(IMAGE)
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + DEADLINE_S
    while _runs(pid):
        assert time.monotonic() < until, "the program's child still runs"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "command is empty"),
        ("'unclosed {}", "cannot be split"),
        ("no-such-program {}", "'no-such-program' is no program that can be run"),
        ("/etc/passwd {}", "'/etc/passwd' is no program that can be run"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_at_once(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CommandRecognizer(command)
