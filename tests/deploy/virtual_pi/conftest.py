"""deploy/virtual-pi as a command, and the line with which its tests are skipped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "deploy" / "virtual-pi" / "virtual_pi.py"

VirtualPi = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def virtual_pi(tmp_path: Path) -> VirtualPi:
    """Runs virtual_pi.py in an empty folder; skips where what the command needs is missing."""

    def run(*words: object, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        ready = subprocess.run(
            [sys.executable, PROGRAM, "ready", str(words[0])], capture_output=True, text=True, check=False
        )
        if ready.returncode:
            assert ready.returncode == 1, ready.stderr  # 2: a command that it does not know
            pytest.skip(ready.stderr.strip().splitlines()[-1])
        command = [sys.executable, PROGRAM, *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done

    return run
