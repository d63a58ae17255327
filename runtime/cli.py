"""The command ``stn-rectify``: frames in, upright targets out."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError
from stn_rectify.runtime.messages import camera_lines, first_line, model_line, recognizer_line, result_line, say
from stn_rectify.runtime.misses import MissRule
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.options import CAMERA_OPTIONS, PROGRAM, check_options, options_as_toml, parse_options
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.recognizer import Recognizer
from stn_rectify.runtime.rectifier import Rectifier
from stn_rectify.runtime.signals import StopSignals, stop_signals
from stn_rectify.runtime.sinks import JsonlSink, ResultSink, SaveSink
from stn_rectify.runtime.smoothing import CornerSmoother
from stn_rectify.runtime.sources import CameraSource, FrameSource, FrameView, ImageSource, VideoSource, list_cameras
from stn_rectify.runtime.summary import RunSummary

__all__ = ["main"]

_DEMO_IMAGE = Path(__file__).parent / "data" / "demo.jpg"
_INTERRUPTED = 130  # what shells give for a program that Ctrl-C has killed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0 well, 1 an error, 2 wrong usage."""
    words = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in words  # as long as the options have not been read
    try:
        if words[:1] == ["doctor"]:
            from stn_rectify.runtime.doctor import doctor  # nothing else needs it

            return doctor(words[1:], sample=_DEMO_IMAGE)
        arguments = parse_options(words)
        debug = arguments.debug
        if arguments.print_config:
            return _print_config(arguments)
        if not debug:  # our own messages say what OpenCV's and FFmpeg's warnings would
            _opencv_log_level()(0)
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        with stop_signals() as signals:
            return _list_cameras() if arguments.list_cameras else _run(arguments, signals)
    except StnRectifyError as error:
        if debug:
            traceback.print_exc()
        say(f"{PROGRAM}: error: {error}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of standard output has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would stumble over the pipe once more as it ends
        return 0
    except Exception as error:  # a defect of ours or of a library; a service's log needs one line all the same
        hint = "" if debug else " (run again with --debug for the traceback)"
        if debug:
            traceback.print_exc()
        say(f"{PROGRAM}: error: unexpected {type(error).__name__}: {first_line(error)}{hint}")
        return 1


def _opencv_log_level() -> Callable[[int], object]:
    """OpenCV 4.14 has it elsewhere."""
    opencv: Any = cv2
    found: Callable[[int], object] = getattr(opencv, "setLogLevel", None) or opencv.utils.logging.setLogLevel
    return found


def _run(arguments: argparse.Namespace, signals: StopSignals) -> int:
    check_options(arguments)
    view = FrameView(arguments.hflip, arguments.vflip, arguments.rotation, arguments.roi)
    rule = MissRule(arguments.min_score, arguments.on_miss)
    summary = RunSummary(rule)

    def failed(error: StnRectifyError) -> None:
        say(f"{PROGRAM}: error: {error}")
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
        smoother = CornerSmoother() if arguments.smooth else None
        pipeline = Pipeline(rectifier, view=view, rule=rule, smoother=smoother, recognizer=recognizer)
        source = stack.enter_context(_source(arguments, failed))
        sinks = [stack.enter_context(sink) for sink in _sinks(arguments)]  # make files only once frames can come
        signals.watch(source)
        say(source.description)
        say(model_line(rectifier))
        if recognizer is not None:
            say(recognizer_line(recognizer))
        try:
            _rectify_all(source, pipeline, sinks, summary, arguments.frames, failed)
        except BrokenPipeError:
            raise
        except BaseException:
            say(str(summary))
            raise
        say(str(summary))
    return 1 if summary.failed else 0


def _rectify_all(
    source: FrameSource,
    pipeline: Pipeline,
    sinks: Sequence[ResultSink],
    summary: RunSummary,
    limit: int | None,
    failed: Callable[[StnRectifyError], None],
) -> None:
    for frame in source:
        try:
            done = pipeline.process(frame)
        except DataError as error:
            failed(DataError(f"{frame.source}: {error}"))
            continue
        if not done.is_skipped:
            for sink in sinks:
                sink.write(done.frame, done.result)
            if not sinks and isinstance(source, ImageSource):
                say(result_line(done.frame, done.result))
        summary.add(done.result)
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
    options = {key: getattr(arguments, key) for key in CAMERA_OPTIONS}
    return CameraSource(arguments.camera, **{key: value for key, value in options.items() if value is not None})


def _sinks(arguments: argparse.Namespace) -> list[ResultSink]:
    sinks: list[ResultSink] = []
    if arguments.jsonl is not None:
        sinks.append(JsonlSink(arguments.jsonl))
    if arguments.save is not None:
        sinks.append(SaveSink(arguments.save))
    return sinks


def _output(arguments: argparse.Namespace, recognizer: Recognizer | None) -> dict[str, Any]:
    """Where the pixels of the rectified image come from: as asked for, else as the recognizer knows them."""
    if recognizer is None or arguments.output is not None or arguments.output_size is not None:
        return {"output": arguments.output or "frame", "output_size": arguments.output_size}
    if arguments.smooth:  # the graph's own image knows nothing of other frames
        return {"output_size": recognizer.input_size}
    return recognizer.output_options(ModelFile.open(arguments.model), arguments.refine)


def _print_config(arguments: argparse.Namespace) -> int:
    check_options(arguments)
    print(options_as_toml(arguments), end="", flush=True)
    return 0


def _list_cameras() -> int:
    cameras = list_cameras()
    for camera in cameras:
        for line in camera_lines(camera):
            print(line)
    if not cameras:
        say("no camera found: connect one, and see that this user is in the group video")
    return 0


if __name__ == "__main__":
    sys.exit(main())
