"""Draws camera frames with a target each, and writes where it is: something to try the workstation's commands with.

    python docs/sample/frames.py frames/ --count 120

writes ``frames/*.jpg`` and ``frames/truth.json``, which stn-convert takes with ``--calibration``, stn-train with
``--validate`` and stn-rectify evaluate by its name. They are the frames that stn-train draws, of another seed: for a
model of your own take frames of its camera.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2

from stn_rectify.models.synthesis import FrameSynthesiser


def main() -> None:
    """Draws the frames and writes what is to be found in them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder to make")
    parser.add_argument("--count", type=int, default=120, help="of the frames (120)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    synthesise = FrameSynthesiser(seed=20261129)
    truth = {}
    for index in range(options.count):
        sample = synthesise(index)
        name = f"{index:03d}-{sample.kind}.jpg"
        cv2.imwrite(str(options.folder / name), sample.frame)
        truth[name] = None if sample.corners is None else sample.corners.round(2).tolist()
    (options.folder / "truth.json").write_text(json.dumps(truth, indent=0) + "\n", encoding="utf-8")
    print(f"{options.folder}: {len(truth)} frames, {sum(each is None for each in truth.values())} without a target")


if __name__ == "__main__":
    main()
