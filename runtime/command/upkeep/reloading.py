"""SIGHUP: a run reads its options, model, recognizer and certificate anew, and opens its results file anew.

The source stays open: no frame is lost to it. What cannot be read leaves the run as it was.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from stn_rectify.runtime.command.finding import Finding
from stn_rectify.runtime.command.messages import model_line, recognizer_line
from stn_rectify.runtime.command.options.run_options import RunOptions, check_options
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.sinks import ResultSink
from stn_rectify.runtime.web import WebView

_TERMINAL = "/dev/tty"

#: The groups of options that a reload takes up. All others need a new run: those of the source, so that it stays open,
#: and those of files and connections that are open.
_TAKEN_UP = ("view", "model", "target", "recognition", "schedule")
#: But for these, which outputs are made for.
_NOT_TAKEN_UP = ("max-targets", "output")


class ReloadSignal:
    """Notes that SIGHUP has come, for the run to act on between two frames."""

    def __init__(self) -> None:
        self._is_asked = False
        self._had_terminal = _has_terminal()

    def take(self) -> bool:
        """Tells whether it has come since the last call."""
        is_asked, self._is_asked = self._is_asked, False
        return is_asked

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._had_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)  # a closed terminal sends it, too: the end, as ever
        else:
            self._is_asked = True


@contextmanager
def reload_signal() -> Iterator[ReloadSignal]:
    """Handles SIGHUP inside the block (main thread only), and restores the handler after it.

    Where it is ignored, as below nohup, it stays so.
    """
    asked = ReloadSignal()
    before = signal.getsignal(signal.SIGHUP)
    if before is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, asked._handle)
    try:
        yield asked
    finally:
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, before)


class Reloader:
    """What a run does about SIGHUP.

    Args:
        options: of the run.
        finding: whose model, recognizer and settings are replaced.
        sinks: whose files are opened anew.
        read_options: reads the options anew, the file of ``--config`` included.
        web_view: whose certificate is read anew.
    """

    def __init__(
        self,
        options: RunOptions,
        finding: Finding,
        sinks: Sequence[ResultSink],
        read_options: Callable[[], RunOptions],
        web_view: WebView | None = None,
    ) -> None:
        self._options, self._finding, self._sinks, self._read_options = options, finding, sinks, read_options
        self._files, self._web_view = _file_states(options), web_view

    def reload(self) -> None:
        """Takes up what can be read, between two frames; says what was taken up, and what was not."""
        for sink in self._sinks:
            try:
                sink.reopen()
            except StnRectifyError as error:
                say(f"reload: {error}")
        self._reload_certificate()
        try:
            wanted = self._read_options()
            check_options(wanted)
            self._take_up(wanted)
        except StnRectifyError as error:
            say(f"reload: {error}; the run goes on as it was")
        except SystemExit:  # of the parser, which has said why
            say("reload: the options are wrong, see above; the run goes on as it was")

    def _reload_certificate(self) -> None:
        try:
            if self._web_view is not None and self._web_view.reload_certificate():
                say("reload: another certificate")
        except StnRectifyError as error:
            say(f"reload: {error}; the certificate in use stays")

    def _take_up(self, wanted: RunOptions) -> None:
        options, later = _possible(self._options, wanted)
        if later:
            say(f"reload: a new run is needed for the changed {', '.join(f'--{name}' for name in later)}")
        files = _file_states(options)
        if (options, files) == (self._options, self._files):
            say("reload: options and model are as they were")
            return
        self._finding.replace(options)
        self._options, self._files = options, files
        say(f"reload: {model_line(self._finding.pipeline.rectifier)}")
        if self._finding.recognizer is not None:
            say(f"reload: {recognizer_line(self._finding.recognizer)}")


def _possible(current: RunOptions, wanted: RunOptions) -> tuple[RunOptions, list[str]]:
    """The wanted options as far as a run can take them up, and the names of the others that have changed."""
    options, later = current, []
    for name in RunOptions.group_types():
        old, new = getattr(current, name), getattr(wanted, name)
        values = old.values()
        changed = [key for key, value in new.values().items() if value != values[key]]
        kept = changed if name not in _TAKEN_UP else [key for key in changed if key in _NOT_TAKEN_UP]
        later += kept
        if name in _TAKEN_UP:
            fields = {key.replace("-", "_"): values[key] for key in kept}
            options = replace(options, **{name: replace(new, **fields)})
    return options, later


def _file_states(options: RunOptions) -> list[tuple[str, tuple[int, ...]]]:
    """The files that the run has read, and what changes when one of that name is replaced or written to."""
    recognition = options.recognition
    names = (options.model.model, recognition.recognizer, recognition.labels, recognition.known, recognition.label_map)
    states: list[tuple[str, tuple[int, ...]]] = []
    for name in filter(None, names):
        with suppress(OSError):  # bundled ones
            state = Path(name).stat()
            states.append((name, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)))
    return states


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
