"""The buttons of the web view: saving on and off, a snapshot, another model, other settings.

The server threads ask; the thread of the run does it, between two frames.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks import ResultSink, SaveSink
from stn_rectify.runtime.sinks.background import BackgroundSaveSink
from stn_rectify.runtime.sources import CapturedFrame
from stn_rectify.runtime.web.settings import Change, checked_changes, settings_values


class SavingSwitch(ResultSink):
    """Saves while it is on.

    Args:
        sink: saves; closed with this.
        is_on: whether it is on to begin with.

    Attributes:
        sink: what saves.
        is_on: any thread may set it.
    """

    def __init__(self, sink: SaveSink | BackgroundSaveSink, *, is_on: bool = True) -> None:
        self.sink = sink
        self.is_on = is_on

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Saves the result if saving is on and it is its turn.

        Raises:
            StnRectifyError: if the result cannot be written; the message says why.
        """
        if self.is_on:
            self.sink.write(frame, result)

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Saves the results if saving is on and it is their turn; see `write`."""
        if self.is_on:
            self.sink.write_targets(frame, result, targets, rule)

    def settle(self) -> None:
        """Has the sink bring what waits to the disk, also while saving is off; see `ResultSink.settle`."""
        self.sink.settle()

    def snapshot(
        self,
        frame: CapturedFrame,
        result: Rectification,
        targets: Sequence[Rectification] = (),
        rule: MissRule | None = None,
    ) -> None:
        """Saves these results whatever the switch says; from the thread that calls `write`.

        Raises:
            StnRectifyError: if they cannot be written; the message says why.
        """
        self.sink.save(frame, result, targets, rule)

    def close(self) -> None:
        """Closes the sink."""
        self.sink.close()


_NO_SAVING = "there is nowhere to save to: start stn-rectify with --save DIR"


@dataclass(frozen=True)
class Notice:
    """A line for those who watch.

    Attributes:
        number: counts them, so that a page sees which is new.
        text: the line.
        is_error: whether something went wrong.
    """

    number: int = 0
    text: str = ""
    is_error: bool = False


class Controls:
    """The asked-for actions of one run.

    Args:
        pipeline: whose rectifier is replaced.
        saving: what is switched, and where snapshots go; None where nothing can be saved.
        models: what may be chosen: names, and what opens them.
        frames_follow: whether the source's frames follow one another.

    Attributes:
        notice: the newest line.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        saving: SavingSwitch | None,
        models: Mapping[str, Callable[[], Rectifier]],
        *,
        frames_follow: bool = True,
    ) -> None:
        self.notice = Notice()
        self._pipeline, self._saving, self._models = pipeline, saving, models
        self._model, self._named = pipeline.rectifier.model.metadata.name, pipeline.rectifier
        self._lock = threading.Lock()
        self._frames_follow = frames_follow
        self._snapshot_asked = False
        self._changes: dict[str, Change] = {}
        self._opened: tuple[str, Rectifier] | None = None

    @property
    def model(self) -> str:
        """The name of the model in use, which a reload of the run may have changed."""
        rectifier = self._pipeline.rectifier
        return self._model if rectifier is self._named else rectifier.model.metadata.name

    @property
    def has_several_targets(self) -> bool:
        """Tells whether more than one target is looked for in a frame."""
        return self._pipeline.max_targets > 1

    @property
    def models(self) -> list[str]:
        """The names to choose from, and that of the model in use."""
        model = self.model
        return [*([] if model in self._models else [model]), *self._models]

    def saving_values(self) -> dict[str, Any]:
        """Whether results are being saved, how many were and where; or why none can be; in types that JSON has.

        ``fault`` is why the place does not take them at the moment, None where it does. ``unsaved`` are those that it
        has not taken: one that hangs has no fault, and takes none.
        """
        if self._saving is None:
            nowhere = {"folder": None, "saved": 0, "unsaved": 0, "fault": None}
            return {"is_on": False, "impossible_because": _NO_SAVING, **nowhere}
        sink = self._saving.sink
        unsaved, fault = (sink.dropped, sink.fault) if isinstance(sink, BackgroundSaveSink) else (0, None)
        return {
            "is_on": self._saving.is_on,
            "impossible_because": None,
            "folder": str(sink.folder),
            "saved": sink.saved,
            "unsaved": unsaved,
            "fault": fault,
        }

    def settings(self) -> dict[str, Any]:
        """The settings as they are; see `settings_values`."""
        return settings_values(self._pipeline, frames_follow=self._frames_follow)

    def switch_saving(self, is_on: bool) -> None:
        """Saves from now on, or no longer.

        Raises:
            UsageError: if nothing can be saved.
        """
        self._check_saving().is_on = is_on
        self._say("saving" if is_on else "saving is paused")

    def ask_snapshot(self) -> None:
        """Has the next frame saved.

        Raises:
            UsageError: if nothing can be saved.
        """
        self._check_saving()
        self._say("snapshot: taken up with the next frame")
        self._snapshot_asked = True

    def open_model(self, name: str) -> None:
        """Opens a model here and now; the run takes it up before its next frame.

        Raises:
            UsageError: if no such model may be chosen.
            StnRectifyError: if the model cannot be opened; the old one stays.
        """
        if name not in self._models:
            raise UsageError(f"model {name!r} is not among those to choose from")
        try:
            rectifier = self._models[name]()
        except StnRectifyError as error:
            self._say(str(error), is_error=True)
            raise
        self._say(f"model {name} is loaded: taken up with the next frame")
        with self._lock:
            unused, self._opened = self._opened, (name, rectifier)
        if unused is not None:
            unused[1].close()

    def ask_settings(self, asked: Mapping[str, object]) -> None:
        """Has other settings taken up before the next frame.

        Args:
            asked: see `checked_changes`.

        Raises:
            UsageError: if a setting is unknown, out of range, or goes with nothing in this run; then none changes.
        """
        changes = checked_changes(asked, frames_follow=self._frames_follow)
        with self._lock:
            self._changes |= changes
        self._say("settings: taken up with the next frame")

    def act(self, done: Processed) -> bool:
        """Does what was asked for; called by the thread of the run, between two frames.

        Args:
            done: the newest frame, for a snapshot.

        Returns:
            True if another model or another setting was taken up.
        """
        if self._snapshot_asked:
            self._snapshot_asked = False
            self._snapshot(done)
        if self._opened is None and not self._changes:
            return False
        with self._lock:
            opened, self._opened = self._opened, None
            changes, self._changes = self._changes, {}
        is_other = opened is not None and self._take_up(*opened)
        return self._change(changes) or is_other

    def close(self) -> None:
        """Closes a model that was opened and never taken up."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[1].close()

    def _check_saving(self) -> SavingSwitch:
        if self._saving is None:
            raise UsageError(_NO_SAVING)
        return self._saving

    def _snapshot(self, done: Processed) -> None:
        try:
            self._check_saving().snapshot(done.frame, done.result, done.targets, done.rule)
        except StnRectifyError as error:  # of a button, not of the run
            self._say(str(error), is_error=True)
        else:
            self._say(f"frame {done.frame.index} saved")

    def _change(self, changes: Mapping[str, Change]) -> bool:
        """Takes settings up; each that the model does not go with is a line."""
        texts = []
        for change in changes.values():
            try:
                change.apply(self._pipeline)
            except StnRectifyError as error:
                self._say(str(error), is_error=True)
            else:
                texts.append(change.text)
        if texts:
            self._say("; ".join(texts))
        return bool(texts)

    def _take_up(self, name: str, rectifier: Rectifier) -> bool:
        try:
            rectifier.set_margin(self._pipeline.rectifier.margin)  # which the page may have set
            old = self._pipeline.replace_rectifier(rectifier)
        except StnRectifyError as error:
            rectifier.close()
            self._say(str(error), is_error=True)
            return False
        old.close()
        self._model, self._named = name, rectifier
        self._say(f"model {name} is in use")
        return True

    def _say(self, text: str, *, is_error: bool = False) -> None:
        with self._lock:
            self.notice = Notice(self.notice.number + 1, text, is_error)
