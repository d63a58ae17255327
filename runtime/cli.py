"""The command ``stn-rectify``: frames in, upright targets out."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import cv2

from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError
from stn_rectify.runtime.interpreter import find_interpreter_package
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.recognizer import Recognizer
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.rectifier import Rectifier
from stn_rectify.runtime.signals import StopSignals, stop_signals
from stn_rectify.runtime.sinks import JsonlSink, ResultSink, SaveSink
from stn_rectify.runtime.sources import (
    CameraSource,
    CapturedFrame,
    FrameSource,
    ImageSource,
    VideoSource,
    list_cameras,
)
from stn_rectify.runtime.summary import RunSummary

__all__ = ["main"]

_PROGRAM = "stn-rectify"
_DEMO_IMAGE = Path(__file__).parent / "data" / "demo.jpg"
_INTERRUPTED = 130  # what shells give for a program that Ctrl-C has killed
_CAMERA_OPTIONS = ("width", "height", "framerate", "fourcc")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0 well, 1 an error, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    if not arguments.debug:
        cv2.setLogLevel(0)  # our own messages say what OpenCV's and FFmpeg's warnings would
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        with stop_signals() as signals:
            return _list_cameras() if arguments.list_cameras else _run(arguments, signals)
    except StnRectifyError as error:
        if arguments.debug:
            traceback.print_exc()
        _say(f"{_PROGRAM}: error: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of --jsonl - has what it wanted
        return 0
    except Exception as error:  # a defect of ours or of a library; a service's log needs one line all the same
        hint = "" if arguments.debug else " (run again with --debug for the traceback)"
        if arguments.debug:
            traceback.print_exc()
        _say(f"{_PROGRAM}: error: unexpected {type(error).__name__}: {_first_line(error)}{hint}")
        return 1


def _run(arguments: argparse.Namespace, signals: StopSignals) -> int:
    _check(arguments)
    summary = RunSummary()

    def failed(error: StnRectifyError) -> None:
        _say(f"{_PROGRAM}: error: {error}")
        summary.failed += 1

    with contextlib.ExitStack() as stack:
        recognizer = None
        if arguments.recognizer is not None:
            recognizer = stack.enter_context(Recognizer(arguments.recognizer, threads=arguments.threads))
        rectifier = stack.enter_context(
            Rectifier(
                arguments.model, threads=arguments.threads, refine=arguments.refine, **_output(arguments, recognizer)
            )
        )
        source = stack.enter_context(_source(arguments, failed))
        sinks = [stack.enter_context(sink) for sink in _sinks(arguments)]  # make files only once frames can come
        signals.watch(source)
        _say(source.description)
        _say(_model_line(rectifier))
        if recognizer is not None:
            _say(_recognizer_line(recognizer))
        try:
            _rectify_all(source, rectifier, recognizer, sinks, summary, arguments.frames, failed)
        except BrokenPipeError:
            raise
        except BaseException:
            _say(str(summary))
            raise
        _say(str(summary))
    return 1 if summary.failed else 0


def _rectify_all(
    source: FrameSource,
    rectifier: Rectifier,
    recognizer: Recognizer | None,
    sinks: Sequence[ResultSink],
    summary: RunSummary,
    limit: int | None,
    failed: Callable[[StnRectifyError], None],
) -> None:
    for frame in source:
        try:
            result = rectifier.rectify(frame.image)
            if recognizer is not None:
                result = recognizer.label(result)
        except DataError as error:
            failed(DataError(f"{frame.source}: {error}"))
            continue
        for sink in sinks:
            sink.write(frame, result)
        if not sinks and isinstance(source, ImageSource):
            _say(_result_line(frame, result))
        summary.add(result)
        summary.dropped = source.dropped
        if summary.frames == limit:
            return


def _source(arguments: argparse.Namespace, failed: Callable[[StnRectifyError], None]) -> FrameSource:
    if arguments.image is not None:
        return ImageSource(arguments.image, on_error=failed)
    if arguments.demo:
        return ImageSource(_DEMO_IMAGE)
    if arguments.video is not None:
        return VideoSource(arguments.video)
    options = {key: getattr(arguments, key) for key in _CAMERA_OPTIONS}
    return CameraSource(arguments.camera, **{key: value for key, value in options.items() if value is not None})


def _sinks(arguments: argparse.Namespace) -> list[ResultSink]:
    sinks: list[ResultSink] = []
    if arguments.jsonl is not None:
        sinks.append(JsonlSink(arguments.jsonl))
    if arguments.save is not None:
        sinks.append(SaveSink(arguments.save))
    return sinks


def _check(arguments: argparse.Namespace) -> None:
    for key, value in vars(arguments).items():
        if value == "" or (isinstance(value, list) and "" in value):  # an unset variable of a shell, most likely
            raise UsageError(f"--{key.replace('_', '-')} is empty: give it a value, or leave it out")
    given = [key for key in _CAMERA_OPTIONS if getattr(arguments, key) is not None]
    if given and arguments.camera is None:
        raise UsageError(f"--{given[0]} needs --camera")


def _output(arguments: argparse.Namespace, recognizer: Recognizer | None) -> dict[str, Any]:
    """Where the pixels of the rectified image come from: as asked for, else as the recognizer was trained to see them.

    That is the graph's own image if it has the size the recognizer reads, else the frame warped to that size.
    """
    chosen = {"output": arguments.output or "frame", "output_size": arguments.output_size}
    if recognizer is None or arguments.output is not None or arguments.output_size is not None:
        return chosen
    model = ModelFile.open(arguments.model)
    passes = model.metadata.refine.passes if model.metadata.refine is not None else 0
    if recognizer.reads_output_of(model) and not (passes if arguments.refine is None else arguments.refine):
        return {**chosen, "output": "model"}
    return {**chosen, "output_size": recognizer.input_size}


def _recognizer_line(recognizer: Recognizer) -> str:
    file = recognizer.file
    what = f"{'INT8' if file.is_integer else 'float'}, {file.size_bytes / 1000:.0f} KB"
    return f"recognizer {file.name} ({what}, {file.scores.shape[1]} classes)"


def _model_line(rectifier: Rectifier) -> str:
    model = rectifier.model
    threads = f"{rectifier.threads} thread{'s' if rectifier.threads > 1 else ''}"
    networks = f"{model.networks} networks, " if model.networks > 1 else ""
    passes = f", {_passes(rectifier.refine)}" if model.networks > 1 else ""
    what = f"INT8, {networks}{model.size_bytes / 1000:.0f} KB"
    return f"model {model.metadata.name} ({what}) on {rectifier.package}, {threads}{passes}"


def _passes(number: int) -> str:
    return f"{number} refinement pass{'es' if number != 1 else ''}"


def _result_line(frame: CapturedFrame, result: Rectification) -> str:
    corners = " ".join(f"({x:.1f}, {y:.1f})" for x, y in result.corners)
    label = "" if result.label is None else f" · {result.label} {result.label_score or 0:.2f}"
    return f"{frame.source}: corners {corners} · score {result.score:.2f}{label} · {result.latency_ms:.1f} ms"


def _list_cameras() -> int:
    cameras = list_cameras()
    for camera in cameras:
        print(f"{camera.device}  {camera.name}" + (f"  [{camera.driver}]" if camera.driver else ""))
        for fourcc, sizes in camera.formats.items():
            print(f"    {fourcc}  {' '.join(sizes)}".rstrip())
    if not cameras:
        _say("no camera found: connect one, and see that this user is in the group video")
    return 0


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _say(line: str) -> None:
    """A line for people; standard output is left to results."""
    print(line, file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Prints our version and the interpreter's; looks for the interpreter only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            interpreter = str(find_interpreter_package())
        except StnRectifyError as error:
            interpreter = str(error)
        print(f"{_PROGRAM} {_version()} ({interpreter})")
        parser.exit()


def _version() -> str:
    try:
        return metadata.version(_PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240") from None


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 10000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames per second")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_PROGRAM, description="Makes what a camera sees at an angle upright.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print this version and the interpreter's")
    parser.add_argument("--debug", action="store_true", help="print a traceback with an error")

    sources = parser.add_argument_group("frames (one of)").add_mutually_exclusive_group(required=True)
    sources.add_argument("--image", nargs="+", metavar="PATH", help="image files, folders or globs")
    sources.add_argument("--video", metavar="FILE|URL", help="a video that OpenCV reads")
    sources.add_argument("--camera", metavar="N|DEVICE", help="a V4L2 camera; auto takes the first")
    sources.add_argument("--demo", action="store_true", help="the sample image that comes with the package")
    sources.add_argument("--list-cameras", action="store_true", help="list cameras, formats and sizes; then end")

    camera = parser.add_argument_group("camera")
    camera.add_argument("--width", type=_positive, metavar="PX", help="frame width to ask for (640)")
    camera.add_argument("--height", type=_positive, metavar="PX", help="frame height to ask for (480)")
    camera.add_argument("--framerate", type=_rate, metavar="FPS", help="frames per second to ask for")
    camera.add_argument("--fourcc", metavar="CODE", help="pixel format such as YUYV or MJPG (auto)")

    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="FILE|NAME", help="a .tflite from stn-convert, or a bundled model (general)")
    model.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of the interpreter (1)")
    model.add_argument(
        "--output",
        choices=("frame", "model"),
        help="pixels of the rectified image: from the full-resolution frame (default) or from the graph",
    )
    model.add_argument(
        "--output-size", type=_size, metavar="WxH", help="size of the rectified image (the target's own)"
    )
    model.add_argument(
        "--refine", type=_natural, metavar="N", help="further looks at the target, 0 for none (the model's own number)"
    )

    model.add_argument(
        "--recognizer",
        metavar="FILE|NAME",
        help="a .tflite classifier that says what the rectified image shows, or a bundled one (digits); without "
        "--output and --output-size it gets the image at the size it reads",
    )

    results = parser.add_argument_group("results")
    results.add_argument("--jsonl", metavar="FILE|-", help="append one JSON object per frame; - is standard output")
    results.add_argument("--save", metavar="DIR", help="save the rectified image and a before/after picture per frame")
    results.add_argument("--frames", type=_positive, metavar="N", help="stop after N frames")
    return parser


if __name__ == "__main__":
    sys.exit(main())
