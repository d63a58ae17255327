"""The tables of instructions that scenes of several targets take: from logs of marked_scenes.py.

    python tests/benchmarks/speed/scene_budget.py LOG...

A log holds the lines of marked_scenes.py and, for each interval between two marks, a line ``from mark FIRST to mark
LAST: N instructions`` (as for instruction_table.py). Each log is an environment, named by its file: a column of the
Markdown tables. What a further target takes is the slope of a line through the frames with one, two and more targets,
over the targets found in them.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

_BLOCK = re.compile(r"^(\d+) (\d+) (\d+) (\d+)/(\S+)$", re.MULTILINE)
_INTERVAL = re.compile(r"from mark (\d+) to mark (\d+): (\d+) instructions")
_ALL = re.compile(r"^all_\d+_found_([\d.]+?)(_upright_off)?$")


def read_log(text: str) -> dict[str, float]:
    """Million instructions a frame, or a call of a stage, by name."""
    counted = {(int(a), int(b)): int(n) for a, b, n in _INTERVAL.findall(text)}
    if 2**31 - 1 in counted.values():
        raise SystemExit("a count is 2^31 - 1, where mawk ends: take fewer --runs, or add up with gawk")
    blocks = _BLOCK.findall(text)
    return {name: counted[int(a), int(b)] / int(runs) / int(frames) / 1e6 for a, b, runs, frames, name in blocks}


def further_target(log: dict[str, float], ending: str | None) -> float | None:
    """Million instructions of one more target, of the frames whose names end so; None if not counted."""
    matches = ((_ALL.match(name), n) for name, n in log.items())
    points = [(float(match[1]), n) for match, n in matches if match and match[2] == ending]
    if len({found for found, _ in points}) < 2:
        return None
    found, instructions = np.array(points).T
    return float(np.polyfit(found, instructions, 1)[0])


def print_table(title: str, rows: list[str], logs: dict[str, dict[str, float]]) -> None:
    """Names down, environments across."""
    print(f"\n| {title} | " + " | ".join(logs) + " |\n|---|" + "---|" * len(logs))
    for name in rows:
        cells = (f"{log[name]:.2f}" if name in log else "–" for log in logs.values())
        print(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")


def main() -> None:
    """Prints the tables of the logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    logs = {file.stem: read_log(file.read_text()) for file in parser.parse_args().logs}
    for log in logs.values():
        for ending in (None, "_upright_off"):
            if (slope := further_target(log, ending)) is not None:
                log[f"each_further_target{ending or ''}"] = slope
    names = list(dict.fromkeys(name for log in logs.values() for name in log))
    whole = [name for name in names if name.startswith(("locate", "all", "each", "video"))]
    print_table("a frame, million instructions", whole, logs)
    print_table("a stage, million instructions", [name for name in names if name not in whole], logs)


if __name__ == "__main__":
    main()
