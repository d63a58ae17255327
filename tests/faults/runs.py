"""A run of stn-rectify on an HTTP camera of this machine, to which something is done, and what it has written."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from tests.runtime.sources.stream_server import StreamServer, stream_server
from tests.waiting import DEADLINE_S, wait_for

COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]


class Run:
    """The command on the camera, with what it says in a file."""

    def __init__(self, folder: Path, server: StreamServer, *words: object) -> None:
        self.folder = folder
        self._said = folder / "said"
        arguments = ["--video", f"{server.address}/camera", *map(str, words)]
        if "--model" not in words:
            arguments += ["--model", "fast"]
        with open(self._said, "ab") as said:
            self.process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stdout=said, stderr=said)

    def said(self) -> str:
        """Its messages."""
        return self._said.read_text(errors="replace")

    def wait_for(self, what: str, look: Callable[[], object]) -> float:
        """Waits for something while it runs; gives the seconds that took."""
        began = time.monotonic()

        def there() -> object:
            assert self.process.poll() is None, f"it ended while {what} was awaited: {self.said()}"
            return look()

        wait_for(what, there, told=self.said)
        return time.monotonic() - began

    def address(self) -> str:
        """Of its web view."""
        (address,) = re.findall(r"web view at (http://\S+)", self.said())[:1]
        return str(address)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; gives the status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def resident_mb(self) -> float:
        """Memory that it holds."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextlib.contextmanager
def running(folder: Path, *words: object, period_s: float = 0.02) -> Iterator[Run]:
    """A run that is ended at last, whatever became of it; the camera has a picture each ``period_s``."""
    with stream_server(period_s=period_s) as server:
        run = Run(folder, server, *words)
        try:
            yield run
        finally:
            run.process.kill()
            run.process.wait()


def lines(path: Path) -> int:
    """Whole lines of a file."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def check_lines(path: Path, *, may_be_cut: bool = False) -> int:
    """All lines are whole JSON objects; the last one may be cut off where the process was killed."""
    whole, _, rest = path.read_text().rpartition("\n")
    assert may_be_cut or not rest, f"{path} ends in half a line: {rest!r}"
    return sum(json.loads(line)["score"] >= 0 for line in whole.splitlines())


def check_pictures(folder: Path) -> int:
    """All pictures under their final names are whole."""
    pictures = [path for path in folder.glob("*") if not path.name.startswith(".")]
    for path in pictures:
        assert cv2.imread(str(path)) is not None, f"{path}: {path.stat().st_size} bytes"
    return len(pictures)
