"""What finds and reads the targets of a run: model, recognizer, pipeline, as the options ask for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.command.options.recognition import label_rules, open_recognizer, recognition_stage
from stn_rectify.runtime.command.options.run_options import RunOptions
from stn_rectify.runtime.command.options.target import open_rectifier
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother
from stn_rectify.runtime.results import MissRule
from stn_rectify.runtime.sources import FrameView


class Finding(Closing):
    """Model, recognizer and pipeline of one run; a context manager.

    Args:
        options: of the run.
        on_failure: called with each failure of a recognizer that is not ours.

    Attributes:
        pipeline: what the frames go through; it stays the same object.
        recognizer: reads the rectified images; None without one.

    Raises:
        StnRectifyError: if the model or the recognizer cannot be opened, or they do not fit the options.
    """

    def __init__(self, options: RunOptions, on_failure: Callable[[StnRectifyError], None]) -> None:
        self._options, self._on_failure = options, on_failure
        with contextlib.ExitStack() as stack:
            self.recognizer = open_recognizer(
                options.recognition,
                threads=options.model.threads,
                stack=stack,
                on_failure=on_failure,
                limits=options.model.limits,
            )
            self.pipeline = self._make_pipeline()
            self._recognizer_stack = stack.pop_all()

    def open_model(self, model: str | None) -> Rectifier:
        """Opens a model, by file or name, as the options of the moment ask for it.

        Raises:
            StnRectifyError: if it cannot be opened.
        """
        options = self._options
        return open_rectifier(replace(options.model, model=model), self.recognizer, smooth=options.target.smooth)

    def replace(self, options: RunOptions) -> None:
        """Takes up other options, from the next frame on; from the thread that calls `Pipeline.process`.

        Raises:
            StnRectifyError: as when it is made; all stays as it was.
        """
        other = Finding(options, self._on_failure)
        self.pipeline.become(other.pipeline).close()
        self._recognizer_stack.close()
        self._options, self.recognizer = options, other.recognizer
        self._recognizer_stack = other._recognizer_stack

    def close(self) -> None:
        """Closes model and recognizer."""
        self.pipeline.rectifier.close()  # which may be another one by then
        self._recognizer_stack.close()

    def _make_pipeline(self) -> Pipeline:
        options, target, view = self._options, self._options.target, self._options.view
        rectifier = self.open_model(options.model.model)
        try:
            return Pipeline(
                rectifier,
                max_targets=target.max_targets,
                view=FrameView(view.hflip, view.vflip, view.rotation, view.roi),
                rule=MissRule(target.min_score, target.on_miss),
                smoother=CornerSmoother(target.smooth_cutoff) if target.smooth else None,
                recognizer=recognition_stage(self.recognizer, label_rules(options.recognition), options.schedule),
                scan_every=target.scan_every,
                frames_follow=options.source.frames_follow,
            )
        except BaseException:
            rectifier.close()
            raise
