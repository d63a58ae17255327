"""virtual_pi.py without an emulator: what is pinned, and what it says where nothing is set up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "deploy" / "virtual-pi" / "virtual_pi.py"


def test_every_package_is_pinned_by_its_hash() -> None:
    text = (PROGRAM.parent / "debian-packages.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    line = re.compile(r"[0-9a-f]{64}  bookworm(-security)?  pool/[\w./%+~-]+_(arm64|all)\.deb")
    assert not [text for text in lines if not line.fullmatch(text)]
    names = {text.rsplit("/", 1)[1].split("_")[0] for text in lines}
    assert {"libc6", "python3.11", "systemd", "udev", "v4l-utils"} <= names
    assert len(names) == len(lines)


@pytest.mark.parametrize("command", ["run", "count", "vm", "camera-faults", "installation", "power-cuts"])
def test_what_is_missing_is_said_in_one_line(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--folder", tmp_path, "ready", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("virtual_pi.py: error: ")
    assert re.search(r"apt-get install|needs root|run \S+virtual_pi.py setup", line)


def test_help_names_every_command() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "--help"], capture_output=True, text=True, check=True)
    for command in ("setup", "lock", "ready", "run", "count", "vm", "camera-faults", "installation", "power-cuts"):
        assert re.search(rf"^    {command}\s", done.stdout, re.MULTILINE)
