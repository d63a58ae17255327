"""The table of instructions a frame takes, and how many frames a second that allows: from logs of marked_frames.py.

    python tests/benchmarks/speed/frame_budget.py LOG...

A log holds the lines of marked_frames.py and, for each interval between two marks, a line ``from mark FIRST to mark
LAST: N instructions`` (as for instruction_table.py). Each log is an environment, named by its file.

The budget is on paper: 1.5 GHz (a Raspberry Pi 4) and one instruction a cycle are assumed, so 50 million instructions
for each of 30 frames a second on one core. No cache, memory bandwidth or issue width is in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from frame_subjects import OWN_SIZE
from instruction_table import read_log

CLOCK_HZ, PER_CYCLE, FRAMES_PER_S = 1.5e9, 1.0, 30
BUDGET = CLOCK_HZ * PER_CYCLE / FRAMES_PER_S / 1e6


def print_table(title: str, row: dict[str, float]) -> None:
    """One model and frame: million instructions of stages and whole frames."""
    frames = {name.removeprefix("frame_"): n for name, n in row.items() if name.startswith("frame_")}
    stages = {name: n for name, n in row.items() if not name.startswith("frame_") and name != "inference"}
    whole, inference = frames[OWN_SIZE.replace(" ", "_")], row["inference"]
    print(f"\n{title.replace('_', ' ')}\n  {'stage':28}{'a frame':>8}{'million':>9}   share")
    print(f"  {'inference':28}{'':8}{inference:9.2f}{100 * inference / whole:6.1f} %")
    rest = whole - inference
    for name, n in stages.items():
        times, _, stage = name.partition("_")
        total = n * max(1, int(times))
        rest -= total if int(times) else 0
        share = f"{100 * total / whole:6.1f} %" if int(times) else ""
        print(f"  {stage.replace('_', ' '):28}{f'× {times}' if int(times) else '–':>8}{total:9.2f}{share}")
    print(f"  {'the rest: Python, memory':28}{'':8}{rest:9.2f}{100 * rest / whole:6.1f} %")
    print(f"  {'whole frame, image:':28}{'':8}{'million':>9}   not inference   of a core at 30/s   frames/s")
    for name, n in frames.items():
        not_inference = f"{n - inference:.2f} ({100 * (1 - inference / n):.0f} %)"
        rate = f"{CLOCK_HZ * PER_CYCLE / n / 1e6:.0f}"
        print(f"    {name.replace('_', ' '):34}{n:9.2f}{not_inference:>16}{100 * n / BUDGET:16.0f} %{rate:>12}")


def main() -> None:
    """Prints the tables of every log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    for file in parser.parse_args().logs:
        print(f"\n== {file.stem}; budget at {FRAMES_PER_S} frames/s: {BUDGET:.0f} million instructions a frame")
        for title, row in read_log(file.read_text()).items():
            print_table(title, row)


if __name__ == "__main__":
    main()
