"""One run of the command ``stn-rectify``: frames from the source, through the pipeline, to the sinks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from stn_rectify.runtime.command.messages import model_line, recognizer_line, result_line, say
from stn_rectify.runtime.command.options import PROGRAM, RunOptions, check_options
from stn_rectify.runtime.command.recognition_options import label_rules, open_recognizer, recognition_stage
from stn_rectify.runtime.command.result_options import make_sinks
from stn_rectify.runtime.command.signals import StopSignals
from stn_rectify.runtime.command.source_options import open_source
from stn_rectify.runtime.command.target_options import open_rectifier
from stn_rectify.runtime.command.web_options import open_web_view
from stn_rectify.runtime.errors import DataError, StnRectifyError
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.smoothing import CornerSmoother
from stn_rectify.runtime.rectifying.tracks import TargetTracker
from stn_rectify.runtime.results import MissRule
from stn_rectify.runtime.sinks import ResultSink, SaveSink
from stn_rectify.runtime.sources import CapturedFrame, FrameSource, FrameView, ImageSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web import SavingSwitch, WebView

_STAY_POLL_S = 0.1


def run(options: RunOptions, signals: StopSignals) -> int:
    """Runs the command on what its options name.

    Returns:
        The exit status: 1 if a frame failed, or a recognizer failed on a target, else 0.

    Raises:
        StnRectifyError: if the run cannot begin, or cannot go on.
    """
    check_options(options)
    rules = label_rules(options.recognition)
    view = FrameView(options.view.hflip, options.view.vflip, options.view.rotation, options.view.roi)
    rule = MissRule(options.target.min_score, options.target.on_miss)
    summary = RunSummary(rule)

    def failed(error: StnRectifyError) -> None:
        say(f"{PROGRAM}: error: {error}")
        summary.failed += 1

    def unread(error: StnRectifyError) -> None:
        if not summary.unread:  # a camera would fill its log with it
            say(f"{PROGRAM}: warning: {error}: such targets have no label, and are counted")
        summary.unread += 1

    with contextlib.ExitStack() as stack:
        recognizer = open_recognizer(options.recognition, threads=options.model.threads, stack=stack, on_failure=unread)

        def open_model(model: str | None) -> Rectifier:
            return open_rectifier(replace(options.model, model=model), recognizer, smooth=options.target.smooth)

        rectifier = stack.enter_context(open_model(options.model.model))
        smoother = CornerSmoother() if options.target.smooth else None
        stage = recognition_stage(recognizer, rules, options.schedule)
        max_targets = options.target.max_targets
        pipeline = Pipeline(
            rectifier,
            max_targets=max_targets,
            view=view,
            rule=rule,
            smoother=smoother,
            recognizer=stage,
            tracker=TargetTracker() if max_targets > 1 and options.source.frames_follow else None,
            scan_every=options.target.scan_every,
        )
        stack.callback(lambda: pipeline.rectifier.close())  # which may be another one by then
        source = stack.enter_context(
            open_source(options.source, options.images, options.camera, options.reconnection, failed)
        )
        # They make files only once frames can come.
        video, labels = options.model.video_file, recognizer is not None
        asked_for = make_sinks(
            options.results, options.saving, options.mqtt, source, video=video, labels=labels, targets=max_targets > 1
        )
        sinks, saving = _with_switch([stack.enter_context(sink) for sink in asked_for])
        web_view = open_web_view(
            options.web,
            pipeline,
            source,
            summary=summary,
            saving=saving,
            model=options.model.model,
            open_model=open_model,
        )
        if web_view is not None:
            stack.enter_context(web_view)
        signals.watch(source)
        say(source.description)
        say(model_line(rectifier))
        if recognizer is not None:
            say(recognizer_line(recognizer))
        if web_view is not None:
            say(f"web view at {web_view.url}")
        try:
            last = _rectify_all(source, pipeline, sinks, web_view, summary, options.results.frames, failed)
            summary.end()
            if web_view is not None and last is not None and options.results.frames is None:
                _keep_open(web_view, source, pipeline, last)
        except BrokenPipeError:
            raise
        except BaseException:
            say(str(summary))
            raise
        say(str(summary))
    return 1 if summary.failed or summary.unread else 0


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
                sink.write_targets(done.frame, done.result, done.targets, done.rule)
            if not sinks and isinstance(source, ImageSource):
                for target in done.targets or (done.result,):
                    say(result_line(done.frame, target))
        summary.add(done.result, targets=len(done.targets) if pipeline.max_targets > 1 else None, rule=done.rule)
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
