"""One run of the command ``stn-rectify``: frames from the source, through the pipeline, to the sinks."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from stn_rectify.runtime.command.finding import Finding
from stn_rectify.runtime.command.messages import (
    error_line,
    model_line,
    one_look_line,
    one_target_line,
    other_targets_line,
    recognizer_line,
    result_line,
)
from stn_rectify.runtime.command.options.results import make_sinks
from stn_rectify.runtime.command.options.run_options import PROGRAM, RunOptions, check_options
from stn_rectify.runtime.command.options.source import open_source
from stn_rectify.runtime.command.options.web import open_web_view
from stn_rectify.runtime.command.upkeep.reloading import Reloader, reload_signal
from stn_rectify.runtime.command.upkeep.watching import RunWatch
from stn_rectify.runtime.errors import DataError, StnRectifyError
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.process.stop_signals import Stopped, StopSignals
from stn_rectify.runtime.results import MissRule
from stn_rectify.runtime.sinks import ResultSink, SaveSink
from stn_rectify.runtime.sinks.background import BackgroundSaveSink, BackgroundSink
from stn_rectify.runtime.sinks.ending import OpenSinks
from stn_rectify.runtime.sources import CapturedFrame, FrameSource
from stn_rectify.runtime.summary import RunSummary
from stn_rectify.runtime.web import SavingSwitch, WebView

_STAY_POLL_S = 0.1


def run(options: RunOptions, signals: StopSignals, read_options: Callable[[], RunOptions] | None = None) -> int:
    """Runs the command on what its options name.

    Args:
        options: of the run.
        signals: what ends it.
        read_options: reads the options anew when SIGHUP asks for it; None for those that it has.

    Returns:
        The exit status: 1 if a frame failed, a recognizer failed on a target, or an output cannot be written to in the
        end, else 0.

    Raises:
        StnRectifyError: if the run cannot begin, or cannot go on.
    """
    check_options(options)
    tell = _say_nothing if options.program.quiet else say
    summary = RunSummary(MissRule(options.target.min_score, options.target.on_miss))

    def failed(error: StnRectifyError) -> None:
        say(error_line(PROGRAM, error))
        summary.failed += 1

    def tell_another(error: Exception) -> None:
        """Of outputs that fail in the end one is raised."""
        if options.program.debug:
            traceback.print_exception(error)
        say(error_line(PROGRAM, error, debug=options.program.debug))

    def unread(error: StnRectifyError) -> None:
        if not summary.unread:  # a camera would fill its log with it
            say(f"{PROGRAM}: warning: {error}: such targets have no label, and are counted")
        summary.unread += 1

    def away() -> None:
        watch.away()
        take_reload()

    def take_reload() -> None:
        if reloader is not None and reload.take():
            with watch.reloading():
                reloader.reload()

    reloader: Reloader | None = None  # while the source is being opened a reload waits
    with contextlib.ExitStack() as stack:
        reload = stack.enter_context(reload_signal())
        finding = stack.enter_context(Finding(options, unread))
        pipeline, max_targets = finding.pipeline, options.target.max_targets
        watch = stack.enter_context(RunWatch(summary, frozen_after_s=options.reconnection.frozen_after))
        source = stack.enter_context(
            open_source(options.source, options.images, options.camera, options.reconnection, failed, on_waiting=away)
        )
        # They make files only once frames can come.
        video, labels = options.model.video_file, finding.recognizer is not None
        asked_for = make_sinks(
            options.results, options.saving, options.mqtt, source, video=video, labels=labels, targets=max_targets > 1
        )
        outputs = stack.enter_context(OpenSinks(tell_another))
        signals.set_at_hang(outputs.begin_to_close)
        opened = [outputs.add(sink) for sink in asked_for]
        watch.outputs = [sink for sink in opened if isinstance(sink, BackgroundSink)]
        sinks, saving = _with_switch(opened)
        web_view = open_web_view(
            options.web,
            pipeline,
            source,
            summary=summary,
            saving=saving,
            model=options.model.model,
            open_model=finding.open_model,
            limits=options.model.limits,
        )
        if web_view is not None:
            stack.enter_context(web_view)
        reloader = Reloader(options, finding, sinks, read_options or (lambda: options), web_view)

        def frames() -> Iterator[CapturedFrame]:
            for frame in source:
                take_reload()
                yield frame

        last = None
        try:
            with contextlib.suppress(Stopped), signals.stopping(source):
                tell(source.description)
                tell(model_line(pipeline.rectifier))
                if max_targets > 1 and pipeline.rectifier.model.metadata.dense is None:
                    tell(one_target_line(pipeline.rectifier, max_targets))
                if options.model.scan != "full" and pipeline.rectifier.model.metadata.dense is None:
                    tell(one_look_line(pipeline.rectifier, options.model.scan))
                if finding.recognizer is not None:
                    tell(recognizer_line(finding.recognizer))
                others = other_targets_line(pipeline.rectifier.model, finding.recognizer)
                if others is not None:
                    tell(others)
                if web_view is not None:
                    tell(f"web view at {web_view.url}")
                watch.begin(source)
                last = _rectify_all(source, frames(), pipeline, sinks, web_view, summary, options, failed, watch)
            summary.end()
            summary.not_begun = source.not_begun if source.is_stopped else 0
            is_looked_at = web_view is not None and options.results.frames is None and not source.is_stopped
            if web_view is not None and last is not None and is_looked_at:
                tell("all frames are done; the web view stays open until Ctrl-C")
                _keep_open(web_view, source, pipeline, last, away, sinks)
            watch.end()
            outputs.close()
            watch.note_troubles()
        except BrokenPipeError:
            raise
        except BaseException as error:
            outputs.close_after(error)
            watch.note_troubles()
            tell(str(summary))
            raise
        tell(str(summary))
    return 1 if summary.failed or summary.unread or watch.is_failing else 0


def _say_nothing(line: str) -> None:
    """Takes a line that nobody wants."""


def _with_switch(sinks: Sequence[ResultSink]) -> tuple[list[ResultSink], SavingSwitch | None]:
    """The sinks, that of ``--save`` behind a switch, and the switch."""
    switches = {id(sink): SavingSwitch(sink) for sink in sinks if isinstance(sink, SaveSink | BackgroundSaveSink)}
    return [switches.get(id(sink), sink) for sink in sinks], next(iter(switches.values()), None)


def _rectify_all(
    source: FrameSource,
    frames: Iterator[CapturedFrame],
    pipeline: Pipeline,
    sinks: Sequence[ResultSink],
    web_view: WebView | None,
    summary: RunSummary,
    options: RunOptions,
    failed: Callable[[StnRectifyError], None],
    watch: RunWatch,
) -> tuple[CapturedFrame, Processed] | None:
    """Returns the last frame, as the source gave it and as it was processed."""
    last = None
    for frame in frames:
        try:
            done = pipeline.process(frame)
        except DataError as error:
            failed(DataError(f"{frame.source}: {error}"))
            continue
        if not done.is_skipped:
            for sink in sinks:
                sink.write_targets(done.frame, done.result, done.targets, done.rule)
            if _has_line(options, done.frame):
                for target in done.targets or (done.result,):
                    say(result_line(done.frame, target, verbose=options.program.verbose))
        else:
            for sink in sinks:
                sink.skip(done.frame)
        summary.add(done.result, targets=len(done.targets) if pipeline.max_targets > 1 else None, rule=done.rule)
        summary.dropped, summary.reconnections = source.dropped, source.reconnections
        watch.frame_done(frame)
        last = (frame, done)
        if web_view is not None:
            web_view.show(done)
        if summary.frames == options.results.frames:
            break
        if any(sink.wants_stop for sink in sinks):
            source.stop()
    return last


def _has_line(options: RunOptions, frame: CapturedFrame) -> bool:
    """Tells whether people get a line about each target of a frame; of images they do, but for JSON's in its place."""
    if options.program.quiet:
        return False
    return options.program.verbose or (frame.is_still and options.results.jsonl != "-")


def _keep_open(
    web_view: WebView,
    source: FrameSource,
    pipeline: Pipeline,
    last: tuple[CapturedFrame, Processed],
    away: Callable[[], None],
    sinks: Sequence[ResultSink],
) -> None:
    """Images and videos end before people have looked. Another model, or other settings, get the last frame again."""
    web_view.say_all_done()
    frame, done = last
    while not source.is_stopped:
        is_other = web_view.act(done)
        while is_other:
            is_other = False
            with contextlib.suppress(DataError):  # it takes no such frames
                done = pipeline.process(frame)
                is_other = web_view.show(done)  # which takes up what was asked for meanwhile
        away()
        for sink in sinks:
            sink.settle()
        time.sleep(_STAY_POLL_S)
