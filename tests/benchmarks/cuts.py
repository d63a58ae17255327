"""How many cuts to another scene are told, and what else is taken for one.

    python tests/benchmarks/cuts.py FOLDER        # frames, and truth.json: {NAME: [corners [4, 2] of each target]}

Pairs of frames made of those of the folder that show a whole target of 50 pixels or more (every `--every`-th frame is
looked at): the second one is as a camera or a target that has moved would have it, in other light or blurred, or
another frame, warped so that its target has the outline of the first one's. Corners are off by 1 % of the target's
diagonal, 2 % of it where the frame is blurred.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.runtime.geometry import transform_points
from stn_rectify.runtime.rectifying.tracking.cuts import CutWatch

SIZE = (640, 480)


def light(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darker, brighter, another gamma, or a shadow."""
    levels, kind = frame.astype(np.float32), rng.integers(4)
    if kind < 2:
        levels *= rng.uniform(0.3, 0.7) if kind else rng.uniform(1.2, 1.8)
    elif kind == 2:
        levels = 255 * (levels / 255) ** rng.uniform(0.5, 2)
    else:
        levels[:, : rng.integers(100, 540)] *= rng.uniform(0.4, 0.7)
    return np.clip(levels, 0, 255).astype(np.uint8)


def blurred(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, or smeared sideways."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(frame, (0, 0), rng.uniform(2, 6))
    return cv2.blur(frame, (int(rng.integers(9, 31)), 1))


def warped(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The frame, its places moved by a matrix."""
    return cv2.warpPerspective(frame, matrix, SIZE, borderMode=cv2.BORDER_REFLECT_101)


def pasted(frame: np.ndarray, corners: np.ndarray, matrix: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """A frame's target, moved by a matrix, on another ground."""
    mask, image = np.zeros(SIZE[::-1], np.uint8), ground.copy()
    cv2.fillConvexPoly(mask, np.rint(transform_points(matrix, corners)).astype(np.int32), 255)
    image[mask > 0] = warped(frame, matrix)[mask > 0]
    return image


def shift(x: float, y: float) -> np.ndarray:
    """The matrix of a move, pixels."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=8)
    arguments = parser.parse_args()
    rng, taken, counts = np.random.default_rng(1), [], {}
    for name, targets in sorted(json.loads((arguments.folder / "truth.json").read_text()).items())[:: arguments.every]:
        for corners in map(np.array, targets):
            inside = corners.min() > 3 and (corners < np.subtract(SIZE, 4)).all()
            if inside and np.linalg.norm(corners[0] - corners[2]) > 50:
                taken.append((cv2.imread(str(arguments.folder / name)), corners))
                break

    for place, (frame, corners) in enumerate(taken):
        size = np.linalg.norm(corners[0] - corners[2])
        far = (place + rng.integers(1, len(taken), 2)) % len(taken)
        (other, others), (third, _) = taken[far[0]], taken[far[1]]
        step, pan = shift(*rng.uniform(-0.3, 0.3, 2) * size), shift(rng.uniform(-80, 80), rng.uniform(-60, 60))
        middle = (SIZE[0] / 2, SIZE[1] / 2)
        roll = cv2.getRotationMatrix2D(middle, rng.uniform(-25, 25), rng.uniform(0.75, 1.35))
        roll = np.vstack([roll, [0, 0, 1]])
        onto = cv2.getPerspectiveTransform(others.astype(np.float32), corners.astype(np.float32))
        still = np.eye(3)
        pairs = {
            "the same frame": (frame, still, 0.01),
            "target moved": (pasted(frame, corners, step, frame), step, 0.01),
            "camera moved": (warped(frame, pan), pan, 0.01),
            "camera rolled, nearer or farther": (warped(frame, roll), roll, 0.01),
            "other light": (light(frame, rng), still, 0.01),
            "blurred": (blurred(frame, rng), still, 0.02),
            "camera moved, blurred, other light": (light(blurred(warped(frame, pan), rng), rng), pan, 0.02),
            "another target in the same scene": (pasted(other, others, onto, frame), still, 0.01),
            "CUT: another scene": (warped(other, onto), still, 0.01),
            "CUT: another target on a third ground": (pasted(other, others, onto, third), still, 0.01),
        }
        for kind, (second, matrix, off) in pairs.items():
            watch = CutWatch()
            watch.is_cut(frame, [corners + rng.normal(0, 0.01 * size, (4, 2))])
            seen = transform_points(matrix, corners) + rng.normal(0, off * size, (4, 2))
            counts[kind] = counts.get(kind, 0) + watch.is_cut(second, [seen])
    for kind, count in counts.items():
        print(f"{kind:40}{count:4} of {len(taken)}")


if __name__ == "__main__":
    main()
