"""A conversion in a process of its own: TensorFlow can abort it, and only that model fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from stn_rectify.converters.batch.conversion_process import ConversionRequest, wait_until_closed
from stn_rectify.converters.batch.fingerprint import installed_versions
from stn_rectify.converters.batch.jobs import ModelResult
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.closing import Closing

_LOG_LINES = 40
_LOG_BYTES = 32_000
_END_TIMEOUT_S = 10


class ConversionProcess(Closing):
    """A process that converts one model after the other, each in a fork of itself; TensorFlow is loaded once.

    Args:
        folder: where it starts; it must last as long as the process.
        log: the file for what it prints before its first conversion.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._pipe, theirs = Pipe()
        environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONUNBUFFERED": "1"}
        with theirs, log.open("wb") as printed:
            # A session of its own: Ctrl-C on the terminal goes to the command alone, which then ends this process.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stn_rectify.converters.batch.conversion_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd=folder,
                start_new_session=True,
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    @property
    def is_alive(self) -> bool:
        """Whether it can take a model."""
        return self._process.poll() is None

    def start(self, request: ConversionRequest) -> None:
        """Has a model converted; the one before must be finished."""
        with suppress(BrokenPipeError):  # it died at once, which its status tells
            self._pipe.send(request)

    def wait(self, timeout_s: float | None) -> int | None:
        """Waits for the end of the conversion, or of the whole process; gives the status, None if it goes on."""
        with suppress(EOFError, ConnectionError):
            return int(self._pipe.recv()) if self._pipe.poll(timeout_s) else None
        self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """Ends the process with its fork, and whatever that has started."""
        if self._process.returncode is None:  # until then the number is its own, even if it has died
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            wait_until_closed(self._pipe.fileno(), _END_TIMEOUT_S)  # by the fork, too: it writes nothing any more

    def close(self) -> None:
        """Ends the process in any case."""
        self.kill()
        self._pipe.close()


class IsolatedConversion:
    """Starts converting at once; a context manager that leaves nothing running.

    Args:
        source: .keras file or SavedModel folder, relative to ``folder`` or absolute.
        options: how to convert.
        staging: an empty folder for the files.
        folder: where relative paths start.
        out: where the outputs will be in the end; messages name it.
        shown: other paths that only the process has, and what messages name instead.
        process: at rest; else there is one for this conversion alone.
    """

    def __init__(
        self,
        source: Path,
        options: ConversionOptions,
        staging: Path,
        *,
        folder: Path,
        out: Path,
        shown: Mapping[Path, Path] | None = None,
        process: ConversionProcess | None = None,
    ) -> None:
        staging = staging.resolve()
        self._out, self._log, self._answer = staging / "out", staging / "log.txt", staging / "answer.json"
        self._shown = {self._out: out, **(shown or {})}
        temporary = staging / "tmp"  # what TensorFlow leaves when it is killed goes with the staging
        temporary.mkdir()
        self._out.mkdir()
        self._started = time.monotonic()
        self._status: int | None = None
        self._is_own = process is None
        self.process = ConversionProcess(staging, self._log) if process is None else process
        self._log.touch()  # there, even if the process has died meanwhile
        self.process.start(
            ConversionRequest(source, self._out, options, folder.resolve(), self._answer, self._log, temporary)
        )

    def __enter__(self) -> IsolatedConversion:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_own:
            self.process.close()
        elif self._status is None:
            self.process.kill()

    def kill(self) -> None:
        """Ends the conversion if it still runs, and its process with it."""
        if self._status is None:
            self.process.kill()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end of the conversion, at most ``timeout_s`` seconds; tells whether it has ended."""
        if self._status is None:
            self._status = self.process.wait(timeout_s)
        return self._status is not None

    def files(self) -> tuple[Path, ...]:
        """The files that the conversion has written, sorted."""
        return tuple(sorted(file for file in self._out.iterdir() if file.is_file()))

    def result(self) -> ModelResult:
        """The result of the conversion, once it has ended."""
        answer, report = self._read_answer(), self._read_report()
        return ModelResult(
            passed=answer["reason"] is None,
            reason=answer["reason"] and self._readable(answer["reason"]),
            rejected=report.get("passed") is False,
            line=self._readable(answer.get("line", "")),
            details=self._readable(answer.get("details", "")),
            warnings=tuple(report.get("warnings", ())),
            doubts=tuple(report["verdict"]["doubts"]) if report else (),
            numbers=report["networks"][0]["comparison"] or {} if report else {},
            seconds=round(time.monotonic() - self._started, 2),
            versions=installed_versions(),
            log=self._last_lines(),
        )

    def _read_answer(self) -> dict[str, Any]:
        if self._answer.exists():
            return dict(json.loads(self._answer.read_text()))
        status = self._status
        assert status is not None
        if status < 0:
            number = -status
            signal_name = next((s.name for s in signal.Signals if s == number), "")
            ending = f"its process was ended by signal {number} ({signal_name}: {signal.strsignal(number)})"
            if number == signal.SIGKILL:
                ending += "; when memory runs out the system does that: try fewer --jobs"
        else:
            ending = f"its process ended with status {status}"
        return {"reason": f"{ending} (--debug shows its last lines)"}

    def _readable(self, text: str) -> str:
        for path, shown in self._shown.items():
            text = text.replace(str(path), str(shown))
        return text

    def _read_report(self) -> dict[str, Any]:
        with suppress(StopIteration, ValueError):  # not there, or not written to its end
            return dict(json.loads(next(self._out.glob("*.report.json")).read_text(encoding="utf-8")))
        return {}

    def _last_lines(self) -> tuple[str, ...]:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _LOG_BYTES))
            text = log.read().decode(errors="replace")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        crash = next((k for k, line in enumerate(lines) if line.startswith("Fatal Python error")), len(lines))
        return tuple(lines[max(0, crash - _LOG_LINES // 2) :][:_LOG_LINES])  # its last words, and where it happened
