"""Corner errors of model files as a device computes them: INT8, through `Rectifier`.

python tests/benchmarks/validation_error.py [--model FILE]... [--hold-out N] [FOLDER with truth.json]...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from stn_rectify.models.validation import KnownFrames, error_table, read_truth, summarise, synthesised_hold_out
from stn_rectify.runtime import Rectifier


def rectified(model: str, known: KnownFrames):
    """Corners and scores of every frame."""
    with Rectifier(model, output_size=(64, 64)) as rectifier:
        results = [rectifier.rectify(frame) for frame in known.frames]
    return [r.corners for r in results], np.array([r.score for r in results])


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="frames with a truth.json in or beside the folder")
    parser.add_argument("--model", action="append", help="model file or bundled name; repeatable (default general)")
    parser.add_argument("--hold-out", type=int, default=500, help="synthesised frames (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the training whose hold-out this is (default 1)")
    args = parser.parse_args()
    known = [synthesised_hold_out(args.hold_out, args.seed, None)] if args.hold_out else []
    known += [read_truth(folder) for folder in args.folders]
    for model in args.model or ["general"]:
        print(f"{model} (INT8)")
        print(error_table([summarise(frames, *rectified(model, frames)) for frames in known]))


if __name__ == "__main__":
    main()
