"""How well targets are found: INT8 files as a device runs them, the Keras models they were made of, and OpenCV.

python tests/benchmarks/validation_error.py [--model FILE.tflite]... [--float NAME.keras] [--hold-out N] [--seed N]
    [--passes N] [--sheets DIR] [FOLDER with truth.json]...

A table for each set of frames. "2 passes" is the look at the whole frame and one refinement; a model without a refine
network has one. Nothing found, and a pose that is no quadrilateral, count as the whole frame. The finder of contours
(contour_finder.py) does not know which side is up: it is given the turn nearest to the truth. ``stn-rectify evaluate``
makes the same table for one model file, of several targets a frame as well. See docs/reference/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from contour_finder import find_quadrilateral

from stn_rectify.models.evaluation.known_frames import KnownFrames, read_truth, synthesised_hold_out
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, save_sheet
from stn_rectify.models.progress import Progress
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.evaluation.corner_errors import CornerErrors, error_table, summarise
from stn_rectify.runtime.geometry import corner_error, homography_to_corners


class Found(NamedTuple):
    """What one way of looking found in a set of frames."""

    name: str
    corners: list[np.ndarray]
    score: np.ndarray | None


def by_contours(known: KnownFrames) -> Found:
    """What OpenCV finds."""
    return Found("OpenCV contours", [_turned(f, t) for f, t in zip(known.frames, known.corners, strict=True)], None)


def _turned(frame: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    found = find_quadrilateral(frame)
    if found is None:
        return homography_to_corners(np.eye(3), frame.shape[1], frame.shape[0])
    if truth is None:
        return found
    return min((np.roll(found, -k, axis=0) for k in range(4)), key=lambda c: float(corner_error(c, truth)))


def by_file(model: str, known: KnownFrames, most_passes: int) -> Iterator[Found]:
    """What a model file finds, with one pass, two, …"""
    assert "tensorflow" not in sys.modules, "with TensorFlow loaded, tflite-runtime runs TensorFlow's kernels"
    with Rectifier(model, refine=0) as rectifier:
        has_refine = rectifier.model.metadata.refine is not None
    for refine in range(1 + (most_passes - 1 if has_refine else 0)):
        with (
            Rectifier(model, refine=refine, output_size=(64, 64)) as rectifier,
            Progress(f"{Path(model).name}, {_passes(refine)}", len(known.frames), unit="frame") as progress,
        ):
            results = []
            for frame in known.frames:
                results.append(rectifier.rectify(frame))
                progress.advance()
        scores = np.array([r.score for r in results])
        yield Found(f"{Path(model).stem} INT8, {_passes(refine)}", [r.corners for r in results], scores)


def by_keras(file: Path, known: KnownFrames, most_passes: int) -> Iterator[Found]:
    """What the Keras models find: NAME.keras, and NAME.refine.keras if it is beside it."""
    from stn_rectify.models.evaluation.refined_pose import find_targets
    from stn_rectify.models.network.keras_file import load_model

    refine_file = file.with_suffix(".refine.keras")
    refine = load_model(refine_file) if refine_file.is_file() else None
    found = find_targets(load_model(file), refine, known.frames, passes=most_passes - 1 if refine else 0)
    for number, one in enumerate(found):
        yield Found(f"{file.stem} float, {_passes(number)}", list(one.corners), one.score)


def _passes(refine: int) -> str:
    return "1 pass" if refine == 0 else f"{1 + refine} passes"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="frames with a truth.json in or beside the folder")
    parser.add_argument("--model", action="append", help="model file or bundled name; repeatable (default general)")
    parser.add_argument("--float", type=Path, help="the Keras model of the first --model")
    parser.add_argument("--passes", type=int, default=5, help="at most (default 5)")
    parser.add_argument("--hold-out", type=int, default=500, help="synthesised frames (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the training whose hold-out this is (default 1)")
    parser.add_argument("--backgrounds", type=Path, help="photographs in the hold-out (default none)")
    parser.add_argument("--sheets", type=Path, help="folder for a verification sheet of each set")
    args = parser.parse_args()
    sets = [synthesised_hold_out(args.hold_out, args.seed, args.backgrounds)] if args.hold_out else []
    sets += [read_truth(folder) for folder in args.folders]
    models = args.model or ["general"]
    # All files first: Keras brings TensorFlow.
    in_int8 = [[[*by_file(model, known, args.passes)] for model in models] for known in sets]
    for known, of_files in zip(sets, in_int8, strict=True):
        in_float = [*by_keras(args.float, known, args.passes)] if args.float else []
        found = [by_contours(known), *in_float, *(one for of_file in of_files for one in of_file)]
        rows = [replace(summarise(known, one.corners, one.score), name=one.name) for one in found]
        empty = sum(corners is None for corners in known.corners)
        print(f"\n{known.name}: {rows[0].count} frames with a target, {empty} without")
        print(error_table(rows, "found by"), flush=True)
        print(_thresholds(rows), end="", flush=True)
        if args.sheets:
            _save_sheet(args.sheets, known, in_float, of_files[0])


def _thresholds(rows: list[CornerErrors]) -> str:
    """What to give as ``--min-score``."""
    known = [(row.name, row.presence.threshold) for row in rows if row.presence is not None]
    return "".join(f"{name}: 2 % of the empty frames have a score above {score:.2f}\n" for name, score in known)


def _save_sheet(folder: Path, known: KnownFrames, in_float: list[Found], in_int8: list[Found]) -> None:
    last: list[Any] = [("float", in_float[-1])] if in_float else []
    last.append(("INT8", in_int8[-1]))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{known.name.replace('/', '-').replace(' ', '-')}.png"
    title = " · ".join(one.name for _, one in last)
    save_sheet(file, title, [(known, [FoundPoses(label, tuple(one.corners)) for label, one in last])])
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
