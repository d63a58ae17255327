"""A run for a long time, with every output that the base install and its extras have: what it holds at start and end.

    python tests/faults/soak.py [--seconds 10800] [--model fast]

The source is an HTTP camera on this machine with small pictures, 200 a second, so that as many frames as possible fit
into the time. A line every so often: frames, resident memory, open files (without those of pictures that wait to be
committed, which are more the more frames come in five seconds), threads. The status is 1 if one of them grew.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.runs import Run, lines, running

_MOST_GROWTH_MB = 10.0
_MOST_MORE_FILES = 8
_LINES = 20
_PERIOD_S = 0.005  # of the camera: more frames than are taken cost what the taken ones need


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
    files = 0
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            files += not os.readlink(descriptor).removesuffix(" (deleted)").endswith(".partial")
    return Held(lines(results), run.resident_mb(), files, len(os.listdir(process / "task")))


def grown(held: list[Held]) -> str:
    """What grew from the first half of the time to the last quarter; empty if nothing did."""
    before, after = held[: len(held) // 2], held[len(held) * 3 // 4 :]
    found = {
        "memory": max(one.resident_mb for one in after) - max(one.resident_mb for one in before) > _MOST_GROWTH_MB,
        "files": max(one.files for one in after) > max(one.files for one in before) + _MOST_MORE_FILES,
        "threads": max(one.threads for one in after) > max(one.threads for one in before) + 1,
    }
    return ", ".join(name for name, did in found.items() if did)


def soak(folder: Path, seconds: float, model: str, *, say: bool = True) -> list[Held]:
    """Runs it so long; gives what it held, twenty times.

    Raises:
        AssertionError: if it ended by itself, or not as it should at last.
    """
    results, saved = folder / "results.jsonl", folder / "saved"
    words = ("--model", model, "--jsonl", results, "--save", saved, "--save-limit", "20M", "--save-format", "jpg")
    words += ("--save-every", "10", "--serve", "0", "--smooth", "--max-targets", "1")
    with running(folder, *words, period_s=_PERIOD_S) as run:
        run.wait_for("results", lambda: lines(results) > 20)
        address = run.address()
        began, found = time.monotonic(), []
        for part in range(1, _LINES + 1):
            while time.monotonic() < began + seconds * part / _LINES:
                assert run.process.poll() is None, run.said()
                urllib.request.urlopen(f"{address}metrics", timeout=60).read()
                time.sleep(min(1.0, seconds / _LINES))
            found.append(_held(run, results))
            if say:
                print(f"{time.monotonic() - began:6.0f} s, {found[-1]}", flush=True)
        assert run.end() == 0, run.said()
    return found


def main() -> int:
    """Prints what it holds; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10_800.0, metavar="S", help="how long (10800)")
    parser.add_argument("--model", default="fast", help="which model (fast)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = grown(soak(Path(folder), options.seconds, options.model))
    print(f"grown: {found or 'nothing'}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
