"""Runs the stages of a frame between marks, for a tool that counts instructions; see marked_inferences.py.

    python tests/benchmarks/speed/marked_frames.py [--model single]... [--frame 640x480]... [--runs 5]

The same stages and whole frames as frame_stages.py, one thread. frame_budget.py makes the table. Needs the runtime.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

import cv2
from frame_stages import FRAMES, MODELS
from frame_subjects import OWN_SIZE, Subjects, TimedInvoke, time_inferences
from marked_inferences import Marks


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="bundled name or file, repeatable (single, fast)")
    parser.add_argument("--frame", action="append", metavar="WxH", help="repeatable (640x480, 1280x720)")
    parser.add_argument("--runs", type=int, default=5, help="calls between two marks (5)")
    options = parser.parse_args()
    assert "tensorflow" not in sys.modules
    cv2.setNumThreads(1)
    time_inferences()
    marks = Marks(options.runs)
    for size in options.frame or FRAMES:
        width, height = map(int, size.split("x"))
        for model in options.model or MODELS:
            with ExitStack() as stack:
                subjects = Subjects.of(model, (width, height), 1, stack)
                title = subjects.title.replace(" ", "_").replace("/", "-")
                for name, call in subjects.frames.items():
                    marks.around(f"{title}/frame_{name}".replace(" ", "_"), call)
                TimedInvoke.reset()
                subjects.frames[OWN_SIZE]()
                inferences = list(TimedInvoke.calls)
                marks.around(f"{title}/inference", lambda calls=inferences: [call() for call in calls])
                for name, stage in subjects.stages.items():
                    marks.around(f"{title}/{stage.times}_{name}".replace(" ", "_"), stage.call)


if __name__ == "__main__":
    main()
