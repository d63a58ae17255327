"""`stn-rectify` as a program that a shell starts, whatever its streams and names are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.waiting import DEADLINE_S

PROGRAM = (sys.executable, "-m", "stn_rectify.runtime.command.cli")
DEMO = Path(__file__).parents[3] / "runtime" / "data" / "demo.jpg"

Shell = Callable[..., subprocess.CompletedProcess[bytes]]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a line of a shell in an empty folder; ``$P`` is the program."""

    def run(line: str, **environment: str | bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "P": " ".join(PROGRAM), **environment},
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program with some words; what a test leaves running is killed."""
    running: list[subprocess.Popen[bytes]] = []

    def start_it(*words: object, **streams: object) -> subprocess.Popen[bytes]:
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        running.append(subprocess.Popen([*PROGRAM, *map(str, words)], cwd=tmp_path, **given))
        return running[-1]

    yield start_it
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many frames that their results do not fit into a pipe."""
    path = tmp_path_factory.mktemp("video") / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for _ in range(1000):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path
