"""Which side is up: frames with known targets, turned by quarters, through a model file as a device runs it.

python tests/benchmarks/upright.py [--model FILE.tflite|NAME] [--iou LEAST] FOLDER...

Each frame of the folders (with truth.json, or any annotations that ``stn-rectify evaluate`` reads; in them targets
stand upright) is shown as it is and turned by one, two and three quarters. Of the targets that are found, a line for
each turn says how many come out upright, how many as they were found, because the network was not sure or took them
for upright, and how many turned the wrong way.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from stn_rectify.models.evaluation.known_frames import read_truth
from stn_rectify.models.progress import Progress
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union
from stn_rectify.runtime.rectifying.refining.turning import QUARTERS, quarters_between


def turned(frame: np.ndarray, corners: np.ndarray, quarters: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame that is turned clockwise by quarters, and where the corners [4, 2] are in it, still in their order."""
    for _ in range(quarters):
        frame, height = np.rot90(frame, -1), frame.shape[0]
        corners = np.stack([height - 1 - corners[:, 1], corners[:, 0]], axis=1)
    return np.ascontiguousarray(frame), corners


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--model", help="a model file or the name of a bundled one")
    parser.add_argument("--iou", type=float, default=0.5, help="overlap from which on a target is found (%(default)s)")
    parsed = parser.parse_args()
    with Rectifier(parsed.model) as rectifier:
        print(f"{'':26s}turned  frames   found  of these upright  left as found  wrong way")
        for folder in parsed.folders:
            known = read_truth(folder)
            pairs = [(f, c) for f, c in zip(known.frames, known.corners, strict=True) if c is not None]
            with Progress(known.name, QUARTERS * len(pairs), unit="frame") as progress:
                for quarters in range(QUARTERS):
                    ends: Counter[str] = Counter()
                    for frame, truth in pairs:
                        ends[_end(rectifier, *turned(frame, truth, quarters), parsed.iou)] += 1
                        progress.advance()
                    found = sum(ends.values()) - ends["missed"]
                    shares = [100 * ends[end] / max(1, found) for end in ("upright", "left", "wrong")]
                    print(
                        f"{known.name:25s} {90 * quarters:5d}°{len(pairs):8d}{found:8d}"
                        f"{shares[0]:16.1f} %{shares[1]:13.1f} %{shares[2]:9.1f} %"
                    )


def _end(rectifier: Rectifier, frame: np.ndarray, truth: np.ndarray, least: float) -> str:
    """What becomes of one target: "missed", "upright", "left" (not turned, and not upright) or "wrong"."""
    location = rectifier.locate(frame)
    if location.theta is None or intersection_over_union(location.corners, truth) < least:
        return "missed"
    if quarters_between(location.corners, truth) == 0:
        return "upright"
    return "wrong" if location.turn else "left"


if __name__ == "__main__":
    main()
