"""Runs a dense model on scenes of several targets between marks, for a tool that counts instructions.

    python tests/benchmarks/speed/marked_scenes.py DIR --model MODEL.tflite [--runs 3] [--upright auto off]

DIR holds the frames of scene_frames.py. Marks stand around whole frames (`Rectifier.locate` of frames with one target,
`locate_all` of frames with more, other values of ``scan``; `Pipeline.process` of a video with scans in every and in
every fifth frame, images of 128×128) and around their stages; see marked_inferences.py for the marks. One thread.
scene_budget.py makes the table. Needs the runtime.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2
import msgspec
import numpy as np
from marked_inferences import Marks

from stn_rectify.runtime import CapturedFrame, MissRule, Pipeline, Rectifier, TargetTracker
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.interpreter import open_interpreter
from stn_rectify.runtime.model.metadata import InputSpec
from stn_rectify.runtime.model.model_file import REFINE_SIGNATURE, TURN_SIGNATURE, WHOLE_SIGNATURE
from stn_rectify.runtime.rectifying.pixels.crops import COARSE_SUPERSAMPLING, FINE_SUPERSAMPLING, target_crop
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor, resize_antialiased
from stn_rectify.runtime.rectifying.pixels.pyramid import FramePyramid
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, decode, thinned
from stn_rectify.runtime.rectifying.searching.dense_scan import MAX_CANDIDATES, levels_to_scan
from stn_rectify.runtime.results import FOUND_SCORE

FRAME_RATE = 30.0
MAX_TARGETS = 8
HOPEFUL = 0.5  # of the least score of a target: cells of less are not looked at
SCANS = ("fast", "full", "fine")
UPRIGHT = {"auto": "", "off": "_upright_off"}  # and what names of such frames end in
SCAN_EVERY = (1, 5)
SMALL = (128, 128)

Call = Callable[[], object]


def read(folder: Path, pattern: str) -> list[Image]:
    """Gives the frames of a pattern, in order."""
    files = sorted(folder.glob(pattern))
    if not files:
        sys.exit(f"no frames {pattern} in {folder}: make them with scene_frames.py")
    return [np.asarray(cv2.imread(str(file)), np.uint8) for file in files]


def watch(rectifier: Rectifier, frames: Sequence[Image], every: int, max_targets: int, rule: MissRule) -> None:
    """Has a pipeline process a video from its start, where the first frame is scanned."""
    pipeline = Pipeline(rectifier, max_targets=max_targets, rule=rule, tracker=TargetTracker(), scan_every=every)
    for index, image in enumerate(frames):
        seconds = index / FRAME_RATE
        pipeline.process(CapturedFrame("video", index, seconds, image, seconds))


def frame_calls(
    opened: Callable[..., Rectifier], folder: Path, rule: MissRule, stack: ExitStack
) -> dict[str, tuple[Call, int]]:
    """Whole frames by name, and how many of them a call looks at."""
    calls: dict[str, tuple[Call, int]] = {}
    full = stack.enter_context(opened(output_size=SMALL))
    for scan in SCANS:
        rectifier = full if scan == full.scan else stack.enter_context(opened(scan=scan))
        frames = read(folder, "1-*.png")
        calls[f"locate_{scan}"] = (lambda r=rectifier, f=frames: [r.locate(each) for each in f], len(frames))
    for count in sorted({int(file.name.split("-")[0]) for file in folder.glob("[0-9]-*.png")}):
        frames = read(folder, f"{count}-*.png")
        found = sum(len(full.locate_all(frame, MAX_TARGETS)) for frame in frames) / len(frames)
        name = f"all_{count}_found_{found:.2f}"
        calls[name] = (lambda f=frames: [full.locate_all(each, MAX_TARGETS) for each in f], len(frames))
    video = read(folder, "video-*.png")
    for every in SCAN_EVERY:
        for most in (1, MAX_TARGETS):
            call = lambda k=every, n=most: watch(full, video, k, n, rule)  # noqa: E731
            calls[f"video_every_{every}_targets_{most}"] = (call, len(video))
    return calls


def stage_calls(rectifier: Rectifier, frame: Image) -> dict[str, Call]:
    """The stages of a frame, one by one, on what they get in it."""
    metadata = rectifier.model.metadata
    assert metadata.dense is not None
    interpreter, dense = open_interpreter(rectifier.model.flatbuffer), metadata.dense
    levels = levels_to_scan(dense, rectifier.scan)
    inputs = [msgspec.structs.replace(metadata.input, height=each.height, width=each.width) for each in levels]
    pyramid = FramePyramid()
    pyramid.load(frame)

    def resize() -> None:
        pyramid.load(frame)
        for spec in inputs:
            resize_antialiased(frame, spec.width, spec.height, pyramid)

    def prepared() -> list[np.ndarray]:
        pyramid.load(frame)
        return [Preprocessor(spec).network_input(frame, pyramid) for spec in inputs]

    seen = prepared()
    preprocessors = [Preprocessor(spec) for spec in inputs]
    calls: dict[str, Call] = {
        "resize": resize,
        "resize_and_quantize": lambda: (
            pyramid.load(frame),
            [each.network_input(frame, pyramid) for each in preprocessors],
        ),
    }
    for level, image in zip(levels, seen, strict=True):
        calls[f"inference_{level.width}x{level.height}"] = lambda s=level.signature, i=image: interpreter.run_signature(
            s, i
        )
    outputs = [interpreter.run_signature(level.signature, image) for level, image in zip(levels, seen, strict=True)]
    size = (frame.shape[1], frame.shape[0])
    least = HOPEFUL * (FOUND_SCORE if metadata.min_score is None else metadata.min_score)

    def candidates() -> list[Candidate]:
        return decode(outputs, dense, frame_size=size, min_score=least)

    found = candidates()
    calls[f"candidates_{len(found)}"] = candidates
    calls["thinning"] = lambda: thinned(found, MAX_CANDIDATES)
    if metadata.whole is not None:
        look = Preprocessor(metadata.whole.input)
        whole = look.network_input(frame, pyramid)
        calls["whole_resize_and_quantize"] = lambda: look.network_input(frame, pyramid)
        calls["whole_inference"] = lambda: interpreter.run_signature(WHOLE_SIGNATURE, whole)
    calls |= crop_calls(rectifier, frame, pyramid)
    return calls


def crop_calls(rectifier: Rectifier, frame: Image, pyramid: FramePyramid) -> dict[str, Call]:
    """What becomes of a target: crops and the networks that look at them."""
    metadata, interpreter = rectifier.model.metadata, open_interpreter(rectifier.model.flatbuffer)
    calls: dict[str, Call] = {}
    corners = rectifier.locate(frame).corners
    pose = corners_to_homography(corners, frame.shape[1], frame.shape[0])

    def add(name: str, signature: str, spec: InputSpec, margin: float) -> None:
        def crop(supersampling: int) -> Image:
            size = (spec.width, spec.height)
            return target_crop(frame, pose, size=size, margin=margin, supersampling=supersampling, pyramid=pyramid)

        preprocessor = Preprocessor(spec)
        looked_at = crop(FINE_SUPERSAMPLING)
        image = preprocessor.network_input(looked_at)
        calls[f"{name}_crop_coarse"] = lambda: crop(COARSE_SUPERSAMPLING)
        calls[f"{name}_crop_fine"] = lambda: crop(FINE_SUPERSAMPLING)
        calls[f"{name}_quantize"] = lambda: preprocessor.network_input(looked_at)
        calls[f"{name}_inference"] = lambda: interpreter.run_signature(signature, image)

    if metadata.refine is not None:
        add("refine", REFINE_SIGNATURE, metadata.refine.input, metadata.refine.margin)
    if metadata.turn is not None:
        add("turn", TURN_SIGNATURE, metadata.turn.input, 0.0)
    return calls


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--model", required=True, help="a dense model's file or bundled name")
    parser.add_argument("--upright", nargs="+", choices=UPRIGHT, default=["auto"], help="of whole frames (auto)")
    parser.add_argument("--min-score", type=float, help="lowest score of a target of the video (the file's)")
    parser.add_argument("--runs", type=int, default=3, help="calls between two marks (3)")
    parser.add_argument("--only", nargs="+", default=[""], help="only names that begin so (all)")
    options = parser.parse_args()
    assert "tensorflow" not in sys.modules
    cv2.setNumThreads(1)
    marks = Marks(options.runs)
    with ExitStack() as stack:
        rectifier = stack.enter_context(Rectifier(options.model))
        print(f"passes {rectifier.refine}, {rectifier.package}, file {len(rectifier.model.flatbuffer)} bytes")
        for upright in options.upright:
            opened = partial(Rectifier, options.model, upright=upright)
            frames = frame_calls(opened, options.folder, MissRule(options.min_score), stack)
            for name, (call, count) in frames.items():
                if name.startswith(tuple(options.only)):
                    marks.around(f"{count}/{name}{UPRIGHT[upright]}", call, warm_ups=1)  # of several frames
        for name, call in stage_calls(rectifier, read(options.folder, "1-*.png")[0]).items():
            if name.startswith(tuple(options.only)):
                marks.around(f"1/{name}", call)


if __name__ == "__main__":
    main()
