"""The example of docs/guides/own-target.md: labels with a QR code, found by a model trained on pictures of such labels.

    python tests/benchmarks/own_target.py draw FOLDER    # pictures of labels, and camera frames of others
    python tests/benchmarks/own_target.py read FOLDER    # after training, conversion and rectification

``draw`` makes FOLDER/labels (upright pictures, for ``stn-train pose --targets``) and FOLDER/frames (640×480 frames of
labels that are not among those, with a truth.json). ``read`` compares what OpenCV's QR reader reads in the frames, in
the labels made upright by the corners of FOLDER/upright.jsonl, and in those made upright by their true corners.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.evaluation.known_frames import read_truth
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union
from stn_rectify.runtime.geometry import upright_size

_LABELS, _FRAMES, _HELD_OUT = 48, 200, 24
_SIZE = (360, 220)
_QR_SIDE, _QR_PLACE = 164, (182, 28)


def draw_label(number: int) -> np.ndarray:
    """A shipping label, uint8 [220, 360, 3]: a number, some lines, and the number again as a QR code."""
    rng = np.random.default_rng(number)
    label = np.full((_SIZE[1], _SIZE[0], 3), 245, np.uint8)
    label[:34] = (40, 120, 230)
    cv2.putText(label, "CARGO", (12, 27), cv2.FONT_HERSHEY_DUPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    cv2.putText(label, f"{number:06d}", (14, 84), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 3, cv2.LINE_AA)
    for row in range(4):
        cv2.rectangle(label, (16, 112 + 24 * row), (16 + int(rng.integers(60, 150)), 120 + 24 * row), (90, 90, 90), -1)
    code = cv2.QRCodeEncoder.create().encode(f"CARGO-{number:06d}")
    code = cv2.resize(code, (_QR_SIDE, _QR_SIDE), interpolation=cv2.INTER_NEAREST)
    left, top = _QR_PLACE
    label[top + 12 : top + 12 + _QR_SIDE, left : left + _QR_SIDE] = code[..., None]
    return label


def draw(folder: Path, backgrounds: Path | None) -> None:
    """Writes the pictures for training and the frames for checking."""
    numbers = np.random.default_rng(1).choice(1_000_000, _LABELS + _HELD_OUT, replace=False).tolist()
    for name, part in (("labels", numbers[:_LABELS]), ("held-out", numbers[_LABELS:])):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in part:
            cv2.imwrite(str(folder / name / f"{number:06d}.png"), draw_label(number))
    frames = folder / "frames"
    frames.mkdir(exist_ok=True)
    synthesise = FrameSynthesiser(
        seed=77, frame_size=(640, 480), backgrounds=backgrounds, targets=folder / "held-out", empty_fraction=0.1
    )
    truth = {}
    for index in range(_FRAMES):
        sample = synthesise(index)
        name = f"{index:03d}.png"
        cv2.imwrite(str(frames / name), sample.frame)
        truth[name] = None if sample.corners is None else sample.corners.round(2).tolist()
    (frames / "truth.json").write_text(json.dumps(truth))
    print(f"{_LABELS} labels and {_FRAMES} frames of {_HELD_OUT} others in {folder}")


def read(folder: Path) -> None:
    """Prints how well the labels were found and read."""
    known = read_truth(folder / "frames")
    lines = [json.loads(line) for line in (folder / "upright.jsonl").read_text().splitlines()]
    reader = cv2.QRCodeDetector()

    def reads(image: np.ndarray) -> bool:
        try:
            return reader.detectAndDecode(image)[0].startswith("CARGO-")
        except cv2.error:  # of some contours
            return False

    overlaps, read_in, accepted = [], {"frame": 0, "rectified": 0, "rectified by the true corners": 0}, [0, 0]
    for frame, corners, line in zip(known.frames, known.corners, lines, strict=True):
        accepted[corners is None] += line["score"] > 0.5
        if corners is None:
            continue
        overlaps.append(float(intersection_over_union(np.array(line["corners"]), corners)))
        read_in["frame"] += reads(frame)
        read_in["rectified"] += reads(_cut_out(frame, np.array(line["corners"])))
        read_in["rectified by the true corners"] += reads(_cut_out(frame, corners))
    count = len(overlaps)
    good = np.mean(np.array(overlaps) >= 0.9)
    print(
        f"{count} labels: IoU median {np.median(overlaps):.3f}, mean {np.mean(overlaps):.3f}, >= 0.9 {100 * good:.0f} %"
    )
    print(f"score > 0.5: {accepted[0]} of {count} labels, {accepted[1]} of {len(lines) - count} empty frames")
    for where, number in read_in.items():
        print(f"QR code read, {where:<30} {100 * number / count:5.1f} %")


def _cut_out(frame: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The target upright at 1.5 times its own size, as ``stn-rectify --output-size`` might give it."""
    width, height = (round(1.5 * side) for side in upright_size(corners))
    square = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)
    matrix = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    return cv2.warpPerspective(frame, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def main() -> int:
    """Runs one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("draw", "read"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backgrounds", type=Path, help="photographs behind the labels in the frames")
    args = parser.parse_args()
    if args.step == "draw":
        draw(args.folder, args.backgrounds)
    else:
        read(args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
