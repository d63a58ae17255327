"""Where the time of a frame goes, stage by stage, and how much of it is not the network's.

python tests/benchmarks/speed/frame_stages.py [--model single]... [--frame 640x480]... [--threads 1]... [--rounds 200]

Run it in an environment with each interpreter; TensorFlow is not imported (with it loaded, tflite-runtime runs
TensorFlow's kernels). The frame is the package's sample, resized. A frame's time is that of `Rectifier.rectify`, frame
in hand to result; its inferences are timed inside it, the other stages alone, on what they get in a frame. All are
called in turn, OpenCV on one thread. µs are the medians of the fastest quarter of the calls, those that other programs
disturbed least, and so are shares; in brackets the least times. With one thread they are processor time of that
thread, which is the time it takes where nobody else wants the core; with more, time on the clock.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import cv2
import numpy as np
from frame_subjects import OWN_SIZE, Call, Subjects, TimedInvoke, time_inferences

from stn_rectify.runtime.model.interpreter import find_interpreter_package

MODELS = ("single", "fast")
FRAMES = ("640x480", "1280x720")
_WARM_UP = 3


def measured(calls: dict[str, Call], rounds: int) -> dict[str, np.ndarray]:
    """Name → [rounds, 2]: µs of each call, and of the inferences in it; called in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for number in range(_WARM_UP + rounds):
        for name, call in calls.items():
            TimedInvoke.reset()
            started = TimedInvoke.clock()
            call()
            seconds = TimedInvoke.clock() - started
            if number >= _WARM_UP:
                times[name].append((1e6 * seconds, 1e6 * TimedInvoke.seconds))
    return {name: np.array(pairs) for name, pairs in times.items()}


def undisturbed(values: np.ndarray) -> np.ndarray:
    """The fastest quarter of the calls [rounds, 2], by their time: those that other programs let run."""
    return values[np.argsort(values[:, 0])][: max(1, len(values) // 4)]


def print_table(subjects: Subjects, rounds: int) -> None:
    """The stages, then the whole frames and what of them is not inference."""
    frames = {f"frame {name}": call for name, call in subjects.frames.items()}
    times = measured({**frames, **{name: stage.call for name, stage in subjects.stages.items()}}, rounds)
    fast = {name: np.median(undisturbed(values), axis=0) for name, values in times.items()}
    frame_us, inference_us = fast[f"frame {OWN_SIZE}"]
    print(f"\n{subjects.title}\n  {'stage':24}{'a frame':>8}{'µs, all (least)':>20}{'share':>9}")

    def line(name: str, number: str, us: float, least_us: float | None, share: bool = True) -> None:
        cell = f"{us:.0f}" + ("" if least_us is None else f" ({least_us:.0f})")
        print(f"  {name:24}{number:>8}{cell:>20}" + (f"{100 * us / frame_us:7.1f} %" if share else ""))

    line("inference", "", inference_us, float(times[f"frame {OWN_SIZE}"][:, 1].min()))
    rest = frame_us - inference_us
    for name, stage in subjects.stages.items():
        if stage.times:
            rest -= fast[name][0] * stage.times
            line(name, f"× {stage.times}", fast[name][0] * stage.times, times[name][:, 0].min() * stage.times)
    line("the rest: Python, memory", "", rest, None)
    for name, stage in subjects.stages.items():
        if not stage.times:
            line(name, "–", fast[name][0], float(times[name][:, 0].min()), share=False)
    print(f"  {'whole frame, image:':32}{'µs (least)':>20}   not inference: µs, share")
    for name in subjects.frames:
        us, networks_us = fast[f"frame {name}"]
        cell = f"{us:.0f} ({times[f'frame {name}'][:, 0].min():.0f})"
        print(f"    {name:30}{cell:>20}{us - networks_us:15.0f}{100 * (1 - networks_us / us):7.0f} %", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for every model, frame and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="bundled name or file, repeatable (single, fast)")
    parser.add_argument("--frame", action="append", metavar="WxH", help="repeatable (640x480, 1280x720)")
    parser.add_argument("--threads", action="append", type=int, help="repeatable (1)")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args(arguments)
    assert "tensorflow" not in sys.modules
    cv2.setNumThreads(1)
    time_inferences()
    print(f"{find_interpreter_package()}, OpenCV {cv2.__version__}, NumPy {np.__version__}; {options.rounds} rounds")
    for size in options.frame or FRAMES:
        width, height = map(int, size.split("x"))
        for model in options.model or MODELS:
            for threads in options.threads or [1]:
                TimedInvoke.clock = time.thread_time if threads == 1 else time.perf_counter
                with ExitStack() as stack:
                    print_table(Subjects.of(model, (width, height), threads, stack), options.rounds)


if __name__ == "__main__":
    main()
