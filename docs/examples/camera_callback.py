"""Calls a function for each target that a camera sees: python camera_callback.py [CAMERA or VIDEO]"""

import sys
from collections.abc import Callable

from stn_rectify.runtime import (
    CornerSmoother,
    FrameSource,
    MissRule,
    Pipeline,
    Processed,
    Rectifier,
    StnRectifyError,
    open_camera,
    open_video,
)


def watch(source: FrameSource, found: Callable[[Processed], None]) -> None:
    with source, Rectifier() as rectifier:
        pipeline = Pipeline(rectifier, rule=MissRule(min_score=0.5, on_miss="skip"), smoother=CornerSmoother())
        for frame in source:
            done = pipeline.process(frame)
            if not done.is_skipped:
                found(done)


def print_target(done: Processed) -> None:
    x, y = done.result.corners.mean(axis=0)
    print(f"frame {done.frame.index}: target at {x:.0f}, {y:.0f}, score {done.result.score:.2f}")


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "auto"
    try:  # a camera that is lost is opened again; on_event says so
        watch(open_video(name) if "." in name else open_camera(name, on_event=print), print_target)
    except StnRectifyError as error:
        sys.exit(str(error))
