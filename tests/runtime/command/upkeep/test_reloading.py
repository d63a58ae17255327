"""SIGHUP: options, model and results file are read or opened anew, the stream stays the one that was opened."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.sources.stream_server import StreamServer, stream_server
from tests.waiting import DEADLINE_S, wait_for

DATA = Path(__file__).parents[4] / "runtime" / "data"
COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """SIGHUP is ignored in tests below nohup, and so it would be in the programs that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Run:
    """A run of the command on a stream, with its messages in a file."""

    def __init__(self, folder: Path, server: StreamServer, model: str = "fast.tflite") -> None:
        self.folder, self.server = folder, server
        self.config, self.jsonl, self.said = folder / "options.toml", folder / "results.jsonl", folder / "said"
        self.model = folder / "model.tflite"
        shutil.copy(DATA / model, self.model)
        self.write_config()
        arguments = ["--video", f"{server.address}/camera", "--config", str(self.config), "--jsonl", str(self.jsonl)]
        with open(self.said, "wb") as said:
            # A session of its own has no terminal, as a service.
            self.process = subprocess.Popen([*COMMAND, *arguments], stderr=said, start_new_session=True)
        self.wait_for_line(1)

    def write_config(self, *lines: str) -> None:
        self.config.write_text("\n".join([f'model = "{self.model}"', *lines]), encoding="utf-8")

    def reload(self) -> str:
        """Sends SIGHUP; gives what is said about it."""
        before = self.said.read_text().count("\n")
        os.kill(self.process.pid, signal.SIGHUP)
        return wait_for(
            "a line about the reload",
            lambda: next((line for line in self.said.read_text().splitlines()[before:] if "reload: " in line), ""),
            told=self.said.read_text,
        )

    def results(self) -> list[dict[str, object]]:
        whole = self.jsonl.read_text().rpartition("\n")[0] if self.jsonl.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for_line(self, more: int) -> None:
        wanted = len(self.results()) + more
        wait_for("results", lambda: len(self.results()) >= wanted, told=self.said.read_text)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def running(folder: Path, model: str = "fast.tflite") -> Iterator[Run]:
    with stream_server() as server:
        run = Run(folder, server, model)
        try:
            yield run
            run.wait_for_line(1)
            assert run.end() == 0
            assert server.requests == ["/camera"], "the stream was opened again"
        finally:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()


def test_a_results_file_that_was_moved_away_is_made_anew_and_no_line_is_lost(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        moved = tmp_path / "results.jsonl.1"
        run.jsonl.rename(moved)
        assert "options and model are as they were" in run.reload()
        run.wait_for_line(3)
        lines = [json.loads(line) for line in moved.read_text().splitlines()]
        frames = [line["frame"] for line in [*lines, *run.results()]]
        assert frames == sorted(set(frames))
        assert len(moved.read_text().splitlines()) == len(lines), "the old file grew after the reload"


def test_a_reload_before_the_stream_is_open_waits_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, open(tmp_path / "said", "wb") as said:
        words = ["--video", f"http://127.0.0.1:{server.getsockname()[1]}/camera", "--model", "fast"]
        process = subprocess.Popen([*COMMAND, *words], stderr=said, start_new_session=True)
        try:
            server.settimeout(DEADLINE_S)
            connection, _ = server.accept()
            with connection:
                os.kill(process.pid, signal.SIGHUP)
                with pytest.raises(subprocess.TimeoutExpired):  # it still waits for an answer
                    process.wait(2)
                process.send_signal(signal.SIGTERM)
                assert process.wait(DEADLINE_S) == 130
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_model_that_took_the_others_place_is_taken_up(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        other = tmp_path / "other.tflite"
        shutil.copy(DATA / "digits.tflite", other)
        other.replace(run.model)
        assert run.reload().startswith("reload: model digits ")


def test_a_bad_model_leaves_the_running_one(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        bad = tmp_path / "bad.tflite"
        bad.write_bytes(run.model.read_bytes()[:-100])
        bad.replace(run.model)
        said = run.reload()
        assert "model.tflite" in said
        assert said.endswith("; the run goes on as it was")
        run.wait_for_line(3)
        # Asked again it looks again.
        good = tmp_path / "good.tflite"
        shutil.copy(DATA / "digits.tflite", good)
        good.replace(run.model)
        assert run.reload().startswith("reload: model digits ")


def test_options_of_the_file_are_taken_up(tmp_path: Path) -> None:
    outer = [[-0.5, -0.5], [63.5, -0.5], [63.5, 47.5], [-0.5, 47.5]]  # of a frame below --min-score
    with running(tmp_path) as run:
        assert not any(result["corners"] == outer for result in run.results())
        run.write_config("min-score = 1.0")
        assert run.reload().startswith("reload: model fast ")
        wait_for("results by the new option", lambda: run.results()[-1]["corners"] == outer, told=run.said.read_text)


@pytest.mark.parametrize("option", ["known", "label-map"])
def test_a_list_of_labels_that_was_written_to_is_taken_up(option: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("1 = one\n")
    with running(tmp_path) as run:
        run.write_config('recognizer = "digits"', f'{option} = "{labels}"')
        assert run.reload().startswith("reload: model fast ")
        wait_for("the recognizer", lambda: "reload: recognizer " in run.said.read_text(), told=run.said.read_text)
        labels.write_text("1 = the first\n")
        assert run.reload().startswith("reload: model fast ")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["threds = 2"], "unknown key 'threds': did you mean threads?", id="unknown key"),
        pytest.param(["threads = 0"], "'0' is not a whole number from 1", id="wrong value"),
        pytest.param(['recognizer = "gone.tflite"'], "gone.tflite does not exist", id="missing recognizer"),
        pytest.param(["top-k = 2"], "--top-k needs --recognizer", id="options that do not fit together"),
        pytest.param(['save = "out"'], "a new run is needed for the changed --save", id="outputs stay"),
        pytest.param(["max-targets = 3"], "a new run is needed for the changed --max-targets", id="number of targets"),
    ],
)
def test_what_cannot_be_taken_up_is_said_and_the_run_goes_on(lines: list[str], message: str, tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.write_config(*lines)
        assert message in run.reload()


def test_below_nohup_the_signal_stays_ignored(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from stn_rectify.runtime.command.upkeep.reloading import reload_signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with reload_signal() as reload:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    assert not reload.take()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_closed_terminal_ends_the_run(tmp_path: Path) -> None:
    """It sends SIGHUP as well; a run that nobody sees any more should not go on for ever."""
    import pty

    with stream_server() as server:
        arguments = [
            "--video",
            f"{server.address}/camera",
            "--model",
            "fast",
            "--jsonl",
            str(tmp_path / "results.jsonl"),
        ]
        process, terminal = pty.fork()
        if process == 0:
            os.execv(sys.executable, [*COMMAND, *arguments])
        jsonl = tmp_path / "results.jsonl"
        wait_for("a result", lambda: jsonl.exists() and jsonl.stat().st_size)
        os.kill(process, signal.SIGHUP)  # by hand: a reload
        said = b""
        while b"reload: " not in said:
            said += os.read(terminal, 1000)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) in (0, 1)  # 1: nowhere to print the summary
