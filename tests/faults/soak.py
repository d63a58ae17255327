"""A run for a long time, with every output that the base install and its extras have: what it holds at start and end.

    python tests/faults/soak.py [--seconds 10800] [--model fast]

The source is an HTTP camera on this machine. A line every so often: frames, resident memory, open files, threads. The
status is 1 if memory grew by more than 10 MB from the first tenth of the time to the end, or files or threads did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.injected import Run, lines, running

_MOST_GROWTH_MB = 10.0
_LINES = 20


@dataclass(frozen=True)
class Held:
    """What the process held at a moment."""

    frames: int
    resident_mb: float
    files: int
    threads: int

    def __str__(self) -> str:
        return f"{self.frames} frames: {self.resident_mb:.1f} MB, {self.files} files, {self.threads} threads"


def _held(run: Run, results: Path) -> Held:
    process = Path(f"/proc/{run.process.pid}")
    return Held(lines(results), run.resident_mb(), len(os.listdir(process / "fd")), len(os.listdir(process / "task")))


def soak(folder: Path, seconds: float, model: str, *, say: bool = True) -> tuple[Held, Held]:
    """Runs it so long; gives what it held after a tenth of the time, and at the end.

    Raises:
        AssertionError: if it ended by itself, or not as it should at last.
    """
    results, saved = folder / "results.jsonl", folder / "saved"
    words = ("--model", model, "--jsonl", results, "--save", saved, "--save-limit", "20M", "--save-format", "jpg")
    with running(folder, *words, "--save-every", "10", "--serve", "0", "--smooth", "--max-targets", "1") as run:
        run.wait_for("results", lambda: lines(results) > 20)
        address = next(
            word for word in run.said().split() if word.startswith("http://127.0.0.1") and "/camera" not in word
        )
        began, first = time.monotonic(), None
        for part in range(1, _LINES + 1):
            while time.monotonic() < began + seconds * part / _LINES:
                assert run.process.poll() is None, run.said()
                urllib.request.urlopen(f"{address}metrics", timeout=60).read()
                time.sleep(min(1.0, seconds / _LINES))
            held = _held(run, results)
            if part == _LINES // 10:
                first = held
            if say:
                print(f"{time.monotonic() - began:6.0f} s, {held}", flush=True)
        assert run.end() == 0, run.said()
    assert first is not None
    return first, held


def main() -> int:
    """Prints what it holds; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10_800.0, metavar="S", help="how long (10800)")
    parser.add_argument("--model", default="fast", help="which model (fast)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        first, last = soak(Path(folder), options.seconds, options.model)
    grown = last.resident_mb - first.resident_mb
    print(f"grown by {grown:.1f} MB, {last.files - first.files} files, {last.threads - first.threads} threads")
    return int(grown > _MOST_GROWTH_MB or last.files > first.files + 2 or last.threads > first.threads + 1)


if __name__ == "__main__":
    sys.exit(main())
