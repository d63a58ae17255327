"""Which side is up: frames with known targets, turned by quarters, through a model file as a device runs it.

python tests/benchmarks/upright.py [--model FILE.tflite|NAME] [--iou LEAST] [--legible WORDS] FOLDER...

Each frame of the folders (with truth.json, or any annotations that ``stn-rectify evaluate`` reads; in them targets
stand upright) is shown as it is and turned by one, two and three quarters. Of the targets that are found, a line for
each turn says how many come out upright, how many as they were found, because the network was not sure or took them
for upright, and how many turned the wrong way. On a page out of focus, burnt out or in the dark nothing tells which
side is up: with ``--legible`` only those targets count in which Tesseract (the program, on the PATH) reads so many
words of three letters and figures or more, when it is shown them upright.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.evaluation.known_frames import read_truth
from stn_rectify.models.progress import Progress
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union
from stn_rectify.runtime.geometry import corners_to_homography, upright_size
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.refining.turning import QUARTERS, quarters_between

#: Of a word that counts as read: Tesseract's confidence, percent, and its letters and figures.
_SURE, _LETTERS = 70, 3
#: How much larger than in the frame Tesseract is shown a target.
_LARGER = 2


def turned(frame: np.ndarray, corners: np.ndarray, quarters: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame that is turned clockwise by quarters, and where the corners [4, 2] are in it, still in their order."""
    for _ in range(quarters):
        frame, height = np.rot90(frame, -1), frame.shape[0]
        corners = np.stack([height - 1 - corners[:, 1], corners[:, 0]], axis=1)
    return np.ascontiguousarray(frame), corners


def words_in(frame: np.ndarray, corners: np.ndarray) -> int:
    """How many words of three letters and figures or more Tesseract reads in a target with these corners, upright."""
    width, height = upright_size(corners)
    homography = corners_to_homography(corners, frame.shape[1], frame.shape[0])
    picture = target_crop(frame, homography, size=(_LARGER * width, _LARGER * height), margin=0.0)
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    command = ["tesseract", "-", "-", "--psm", "6", "tsv"]
    read = subprocess.run(command, input=encoded, capture_output=True, check=True).stdout.decode()
    rows = csv.DictReader(read.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return sum(float(row["conf"]) >= _SURE and sum(map(str.isalnum, row["text"] or "")) >= _LETTERS for row in rows)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--model", help="a model file or the name of a bundled one")
    parser.add_argument("--iou", type=float, default=0.5, help="overlap from which on a target is found (%(default)s)")
    parser.add_argument("--legible", type=int, default=0, metavar="WORDS", help="only targets with so many words")
    parsed = parser.parse_args()
    with Rectifier(parsed.model) as rectifier:
        print(f"{'':26s}turned  frames   found  of these upright  left as found  wrong way")
        for folder in parsed.folders:
            known = read_truth(folder)
            pairs = [
                (frame, corners)
                for frame, corners in zip(known.frames, known.corners, strict=True)
                if corners is not None and (not parsed.legible or words_in(frame, corners) >= parsed.legible)
            ]
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
