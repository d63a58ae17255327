"""One run of the command ``stn-rectify``: frames from the source, through the pipeline, to the sinks."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial

from stn_rectify.runtime.command.messages import model_line, recognizer_line, result_line, say
from stn_rectify.runtime.command.options import PROGRAM, check_options
from stn_rectify.runtime.command.recognition_options import open_recognizer, recognition_stage
from stn_rectify.runtime.command.result_options import make_sinks
from stn_rectify.runtime.command.signals import StopSignals
from stn_rectify.runtime.command.source_options import open_source
from stn_rectify.runtime.command.target_options import open_rectifier
from stn_rectify.runtime.command.web_options import open_web_view
from stn_rectify.runtime.errors import DataError, StnRectifyError
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.smoothing import CornerSmoother
from stn_rectify.runtime.results import MissRule
from stn_rectify.runtime.sinks import ResultSink, SaveSink
from stn_rectify.runtime.sources import CapturedFrame, FrameSource, FrameView, ImageSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web import SavingSwitch, WebView

__all__ = ["run"]

_STAY_POLL_S = 0.1


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
        stage = recognition_stage(arguments, recognizer)
        pipeline = Pipeline(rectifier, view=view, rule=rule, smoother=smoother, recognizer=stage)
        stack.callback(lambda: pipeline.rectifier.close())  # which may be another one by then
        source = stack.enter_context(open_source(arguments, failed))
        # They make files only once frames can come.
        sinks, saving = _with_switch([stack.enter_context(sink) for sink in make_sinks(arguments, source)])
        web_view = None
        if arguments.serve is not None:
            opener = partial(_open_model, arguments, recognizer)
            web_view = open_web_view(arguments, pipeline, source, summary=summary, saving=saving, open_model=opener)
            stack.enter_context(web_view)
        signals.watch(source)
        say(source.description)
        say(model_line(rectifier))
        if recognizer is not None:
            say(recognizer_line(recognizer))
        if web_view is not None:
            say(f"web view at {web_view.url}")
        try:
            last = _rectify_all(source, pipeline, sinks, web_view, summary, arguments.frames, failed)
            summary.end()
            if web_view is not None and last is not None and arguments.frames is None:
                _keep_open(web_view, source, pipeline, last)
        except BrokenPipeError:
            raise
        except BaseException:
            say(str(summary))
            raise
        say(str(summary))
    return 1 if summary.failed else 0


def _open_model(arguments: argparse.Namespace, recognizer: Recognizer | None, model: str | None) -> Rectifier:
    return open_rectifier(argparse.Namespace(**{**vars(arguments), "model": model}), recognizer)


def _with_switch(sinks: Sequence[ResultSink]) -> tuple[list[ResultSink], SavingSwitch | None]:
    """The sinks, that of ``--save`` behind a switch, and the switch."""
    switches = {id(sink): SavingSwitch(sink) for sink in sinks if isinstance(sink, SaveSink)}
    return [switches.get(id(sink), sink) for sink in sinks], next(iter(switches.values()), None)


def _rectify_all(
    source: FrameSource,
    pipeline: Pipeline,
    sinks: Sequence[ResultSink],
    web_view: WebView | None,
    summary: RunSummary,
    limit: int | None,
    failed: Callable[[StnRectifyError], None],
) -> tuple[CapturedFrame, Processed] | None:
    """Returns the last frame, as the source gave it and as it was processed."""
    last = None
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
        summary.dropped, summary.reconnections = source.dropped, source.reconnections
        last = (frame, done)
        if web_view is not None:
            web_view.show(done)
        if summary.frames == limit:
            break
        if any(sink.wants_stop for sink in sinks):
            source.stop()
    return last


def _keep_open(
    web_view: WebView, source: FrameSource, pipeline: Pipeline, last: tuple[CapturedFrame, Processed]
) -> None:
    """Images and videos end before people have looked. Another model gets the last frame again."""
    if source.is_stopped:
        return
    say("all frames are done; the web view stays open until Ctrl-C")
    web_view.say_all_done()
    frame, done = last
    while not source.is_stopped:
        if web_view.act(done):
            with contextlib.suppress(DataError):  # it takes no such frames
                done = pipeline.process(frame)
                web_view.show(done)
        time.sleep(_STAY_POLL_S)
