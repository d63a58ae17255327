"""The table of instructions: what marked_inferences.py printed, with the totals that were counted at its marks.

    python tests/benchmarks/speed/instruction_table.py LOG...

A log holds the lines of marked_inferences.py (``FIRST LAST RUNS NAME``) and for each interval between two marks a line
``from mark FIRST to mark LAST: N instructions``. Each log is an environment, named by its file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

COLUMNS = ("int8", "float", "float_plain", "float_keras", "naive", "onnx2tf", "pose+warp", "warp")
PARTS = ("trunk_int8", "trunk_float", "grid_int8", "sampler_int8", "gathers", "sampler_float", "warpAffine")
_MODEL = re.compile(r"^(\d+) (\d+) (\d+) (\S+)/(\S+)$", re.MULTILINE)
_INTERVAL = re.compile(r"from mark (\d+) to mark (\d+): (\d+) instructions")


def read_log(text: str) -> dict[str, dict[str, float]]:
    """Million instructions a call: folder → name → count."""
    counted = {(int(a), int(b)): int(n) for a, b, n in _INTERVAL.findall(text)}
    table: dict[str, dict[str, float]] = {}
    for first, last, runs, folder, name in _MODEL.findall(text):
        table.setdefault(folder, {})[name] = counted[int(first), int(last)] / int(runs) / 1e6
    for row in table.values():
        if "pose" in row:
            row["pose+warp"] = row["pose"] + row["warp"]
    return dict(sorted(table.items(), key=lambda entry: [int(n) for n in re.findall(r"\d+", entry[0])]))


def print_rows(title: str, columns: tuple[str, ...], table: dict[str, dict[str, float]]) -> None:
    """Sizes down, columns across."""
    print(f"\n{title}\n{'':24}" + "".join(f"{c:>15}" for c in columns))
    for folder, row in table.items():
        cells = "".join(f"{row[c]:15.2f}" if c in row else f"{'-':>15}" for c in columns)
        print(f"{folder:24}{cells}")


def main() -> None:
    """Prints the tables of every log."""
    for file in map(Path, sys.argv[1:]):
        table = read_log(file.read_text())
        print_rows(f"{file.stem}: million instructions a call", COLUMNS, table)
        for over in ("int8", "trunk_int8"):
            ratios = {f: {c: row[c] / row[over] for c in row} for f, row in table.items() if over in row}
            print_rows(f"{file.stem}: the same, divided by {over}'s", COLUMNS, ratios)
        print_rows(f"{file.stem}: parts, million instructions", PARTS, table)


if __name__ == "__main__":
    main()
