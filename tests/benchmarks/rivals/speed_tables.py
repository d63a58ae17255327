"""Tables of what stn_speed.py measured, sizes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WHOLE = ("int8", "float", "float_plain", "float_keras", "naive", "onnx2tf", "pose+warp", "warp")
_RATIOS = (
    ("float", "int8"),
    ("float_plain", "int8"),
    ("float_keras", "int8"),
    ("naive", "int8"),
    ("onnx2tf", "int8"),
    ("int8", "pose+warp"),
    ("sampler_int8", "warpAffine"),
    ("sampler_float", "warpAffine"),
)
# Title; the file timed, and the file whose time is taken off.
_PARTS = (
    ("trunk", "trunk_int8", None),
    ("head", "pose", "trunk_int8"),
    ("grid+sampler", "int8", "pose"),
    ("head+grid alone", "grid_int8", None),
    ("with sampler", "sampler_int8", None),
    ("2 GATHERs", "gathers", None),
    ("float: trunk", "trunk_float", None),
    ("the rest", "float", "trunk_float"),
    ("rest alone", "sampler_float", None),
    ("warpAffine", "warpAffine", None),
)
#: What these tables want of the files that stn_files.py wrote; the others are rivals_table.py's.
FILES = frozenset((*WHOLE, *(name for _, *names in _PARTS for name in names if name)))
# What is meant to be faster than what, how many times, from which height on; by package where they differ.
_FASTER = {"tflite-runtime": 1.5, "ai-edge-litert": 2.0}
_AIMS = (
    ("the float twin", "float", _FASTER, 64),
    ("the plain float twin", "float_plain", _FASTER, 64),
    ("naive quantization", "naive", dict.fromkeys(_FASTER, 5.0), 32),
    ("onnx2tf", "onnx2tf", dict.fromkeys(_FASTER, 5.0), 32),
)
_MOST_OF_WARP = 3.0  # the sampler, between 64 and 128 px


@dataclass(frozen=True)
class Times:
    """Microseconds of every call of one subject."""

    values: np.ndarray

    @property
    def least(self) -> float:
        """The fastest call."""
        return float(self.values.min())

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.values))


Rows = dict[str, dict[str, Times]]


def print_table(title: str, columns: Sequence[str], rows: dict[str, list[str]]) -> None:
    """One table; columns without any entry are left out."""
    kept = [k for k in range(len(columns)) if any(row[k] != "-" for row in rows.values())]
    cells = [["", *(columns[k] for k in kept)]] + [[size, *(row[k] for k in kept)] for size, row in rows.items()]
    widths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for row in cells:
        print("".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))


def _ratio(row: dict[str, Times], slower: str, faster: str) -> str:
    if slower not in row or faster not in row:
        return "-"
    a, b = row[slower], row[faster]
    return f"{a.least / b.least:.2f} ({a.median / b.median:.2f})"


def _part(row: dict[str, Times], name: str, without: str | None) -> str:
    if name not in row or (without and without not in row):
        return "-"
    return f"{row[name].least - (row[without].least if without else 0):.0f}"


def print_tables(times: Rows, errors: dict[str, dict[str, tuple[float, float]]]) -> None:
    """All tables."""
    cells = {
        size: [f"{row[n].least:.0f} ({row[n].median:.0f})" if n in row else "-" for n in WHOLE]
        for size, row in times.items()
    }
    print_table("whole STN, µs: least (median)", WHOLE, cells)
    cells = {size: [_ratio(row, *pair) for pair in _RATIOS] for size, row in times.items()}
    print_table("ratios: of least times (of medians)", [f"{a} / {b}" for a, b in _RATIOS], cells)
    cells = {size: [_part(row, *names) for _, *names in _PARTS] for size, row in times.items()}
    print_table("where the time goes, µs (least)", [title for title, *_ in _PARTS], cells)
    checked = (*WHOLE[:6], "pose")
    cells = {
        size: [f"{row[n][0]:.2f} px, {row[n][1]:.1f}" if n in row else "-" for n in checked]
        for size, row in errors.items()
    }
    print_table(
        "corners from the model before conversion; levels of 255 from exact sampling at the same theta (means)",
        checked,
        cells,
    )


def print_aims(times: Rows, package: str) -> None:
    """Which aims are met at which sizes, by least times; what stands in brackets is the floor."""
    print("\n[what it would be if nothing but the INT8 trunk, or the sampler's two GATHERs, took any time]")
    for than, slower, factors, height in _AIMS:
        verdicts = []
        for size, row in times.items():
            if int(size.split("x")[0]) >= height and slower in row and "int8" in row:
                ratio, most = (row[slower].least / row[name].least for name in ("int8", "trunk_int8"))
                verdicts.append(f"{size} {ratio:.2f} {_met(ratio >= factors[package])} [{most:.2f}]")
        print(f"INT8 {factors[package]} times as fast as {than}: {', '.join(verdicts) or 'not measured'}")
    verdicts = []
    for size, row in times.items():
        if 64 <= int(size.split("x")[0]) <= 128 and "sampler_int8" in row and "gathers" in row:
            ratio, least = (row[name].least / row["warpAffine"].least for name in ("sampler_int8", "gathers"))
            verdicts.append(f"{size} {ratio:.2f} {_met(ratio <= _MOST_OF_WARP)} [{least:.2f}]")
    print(f"INT8 sampler within {_MOST_OF_WARP} times cv2.warpAffine: {', '.join(verdicts) or 'not measured'}")


def _met(met: bool) -> str:
    return "met" if met else "NOT met"
