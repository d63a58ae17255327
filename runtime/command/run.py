"""One run of the command ``stn-rectify``: frames from the source, through the pipeline, to the sinks."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence

from stn_rectify.runtime.command.messages import model_line, recognizer_line, result_line, say
from stn_rectify.runtime.command.options import PROGRAM, check_options
from stn_rectify.runtime.command.recognition_options import open_recognizer
from stn_rectify.runtime.command.result_options import make_sinks
from stn_rectify.runtime.command.signals import StopSignals
from stn_rectify.runtime.command.source_options import open_source
from stn_rectify.runtime.command.target_options import open_rectifier
from stn_rectify.runtime.errors import DataError, StnRectifyError
from stn_rectify.runtime.misses import MissRule
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.sinks import ResultSink
from stn_rectify.runtime.smoothing import CornerSmoother
from stn_rectify.runtime.sources import FrameSource, FrameView, ImageSource
from stn_rectify.runtime.summary import RunSummary

__all__ = ["run"]


def run(arguments: argparse.Namespace, signals: StopSignals) -> int:
    """Runs the command on what its options name.

    Returns:
        The exit status: 1 if a frame failed, else 0.

    Raises:
        StnRectifyError: the run cannot begin, or cannot go on.
    """
    check_options(arguments)
    view = FrameView(arguments.hflip, arguments.vflip, arguments.rotation, arguments.roi)
    rule = MissRule(arguments.min_score, arguments.on_miss)
    summary = RunSummary(rule)

    def failed(error: StnRectifyError) -> None:
        say(f"{PROGRAM}: error: {error}")
        summary.failed += 1

    with contextlib.ExitStack() as stack:
        recognizer = open_recognizer(arguments)
        if recognizer is not None:
            stack.enter_context(recognizer)
        rectifier = stack.enter_context(open_rectifier(arguments, recognizer))
        smoother = CornerSmoother() if arguments.smooth else None
        pipeline = Pipeline(rectifier, view=view, rule=rule, smoother=smoother, recognizer=recognizer)
        source = stack.enter_context(open_source(arguments, failed))
        sinks = [stack.enter_context(sink) for sink in make_sinks(arguments)]  # make files only once frames can come
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
