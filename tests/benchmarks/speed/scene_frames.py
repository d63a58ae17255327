"""Draws the frames that marked_scenes.py looks at: scenes of a known number of targets, and a video, as PNG files.

    python tests/benchmarks/speed/scene_frames.py build/scenes [--model MODEL.tflite]

``1-0.png``, ``2-0.png``, … are scenes of the synthesis kit of so many targets, 640×480; ``video-00.png``, … frames that
follow one another, at 30 a second, of two of the targets of tracks.py. With ``--model`` scenes are taken in which that
model finds as many targets as there are, none of them doubtful. Needs the parts that train.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.synthesis import SceneSynthesiser
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.results import FOUND_SCORE

sys.path.insert(0, str(Path(__file__).parent.parent))
from tracks import ACTORS, SIZE, video

COUNTS = (1, 2, 4)
MOST_TRIED = 5000
VIDEO_ACTORS = ("stays", "turns")


def is_usual(frame: np.ndarray, count: int, rectifier: Rectifier | None) -> bool:
    """Tells whether the model finds so many targets, and surely."""
    if rectifier is None:
        return True
    least = rectifier.model.metadata.min_score or FOUND_SCORE
    scores = [location.score for location in rectifier.locate_all(frame)]
    return len(scores) == count and min(scores) >= least


def main() -> None:
    """Draws everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--model", help="take scenes that this dense model finds all targets of")
    parser.add_argument("--scenes", type=int, default=3, help="of each number of targets (3)")
    parser.add_argument("--frames", type=int, default=10, help="of the video (10)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rectifier = Rectifier(options.model) if options.model else None
    left = dict.fromkeys(COUNTS, options.scenes)
    synthesiser = SceneSynthesiser(seed=options.seed, frame_size=SIZE)
    for index in range(MOST_TRIED):
        if not any(left.values()):
            break
        scene = synthesiser(index)
        count = len(scene.corners)
        if left.get(count) and is_usual(scene.frame, count, rectifier):
            left[count] -= 1
            cv2.imwrite(str(options.out / f"{count}-{left[count]}.png"), scene.frame)
    if any(left.values()):
        sys.exit(f"after {MOST_TRIED} scenes still missing: {left} (targets: scenes)")
    actors = {name: ACTORS[name] for name in VIDEO_ACTORS}
    for index, (frame, _, _) in enumerate(video(options.seed, options.frames, actors)):
        cv2.imwrite(str(options.out / f"video-{index:02}.png"), frame)


if __name__ == "__main__":
    main()
