"""One signal ends whatever a run waits for."""

from __future__ import annotations

import array
import fcntl
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import pytest

from stn_rectify.runtime.process.stop_signals import Stopped, sigterm_as_ctrl_c, stop_signals
from tests.runtime.process.conftest import Start
from tests.waiting import DEADLINE_S, sleeps, wait_for, wait_until_it_waits


def said(process: subprocess.Popen[bytes], what: bytes) -> None:
    """Reads its lines until one has these words."""
    assert process.stderr is not None
    while what not in (line := process.stderr.readline()):
        assert line, f"it ended without {what!r}"


def end(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Sends one SIGTERM; gives status and the rest of the messages. It fails by its deadline if that is not enough."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, errors


def test_it_ends_the_wait_for_the_reader_of_a_pipe(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = start("--demo", "--model", "fast", "--jsonl", "pipe")
    interpreter = re.compile(r"tflite_runtime|ai_edge_litert")
    wait_for("the model", lambda: interpreter.search(Path(f"/proc/{run.pid}/maps").read_text()))
    wait_until_it_waits(run)
    assert end(run)[0] == 130


def test_it_ends_the_wait_of_a_full_pipe(start: Start, tmp_path: Path, video: Path) -> None:
    """Its reader is there, but does not read. What was made until then is whole."""
    os.mkfifo(tmp_path / "pipe")
    run = start("--video", video, "--model", "fast", "--jsonl", "pipe", "--output", "out.mkv")
    with open(tmp_path / "pipe", "rb", buffering=0) as reader:
        said(run, b"model fast")
        filled = -1

        def is_full() -> bool:
            nonlocal filled
            before, filled = filled, (tmp_path / "out.partial.mkv").stat().st_size
            return before == filled and sleeps(run) and queued(reader.fileno()) > 60_000

        wait_for("a full pipe", is_full)
        status, errors = end(run)
        lines = reader.read().splitlines()
    assert status == 0, errors
    assert b" frames in " in errors.splitlines()[-1]
    assert json.loads(lines[-2])["frame"] == len(lines) - 2
    frames = int(cv2.VideoCapture(str(tmp_path / "out.mkv")).get(cv2.CAP_PROP_FRAME_COUNT))
    assert frames == pytest.approx(len(lines), abs=2)


def opened_for_writing(pipe: Path) -> int | None:
    """The descriptor of a pipe, if somebody reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def queued(descriptor: int) -> int:
    """Bytes that wait in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def test_it_ends_the_wait_for_standard_input(start: Start) -> None:
    run = start("--image", "-", "--model", "fast", "--jsonl", "-")
    said(run, b"model fast")
    assert end(run)[0] == 0


@pytest.mark.parametrize("reconnect", ["--reconnect", "--no-reconnect"])
def test_it_ends_the_opening_of_a_stream_that_gives_nothing(start: Start, reconnect: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        run = start("--video", f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4", reconnect, "--model", "fast")
        server.settimeout(DEADLINE_S)
        connection, _ = server.accept()
        with connection:
            assert end(run)[0] == 130


def test_it_ends_the_opening_of_a_pipe_as_video(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.avi")
    run = start("--video", "a.avi", "--model", "fast")
    writer = wait_for("a reader", lambda: opened_for_writing(tmp_path / "a.avi"))
    assert end(run)[0] == 130
    os.close(writer)


def test_it_ends_the_goodbye_to_a_broker_that_says_nothing(start: Start) -> None:
    """The connection is taken by the kernel, and nobody answers on it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"mqtt://127.0.0.1:{server.getsockname()[1]}/test"
        run = start("--demo", "--model", "fast", "--serve", "0", "--mqtt", address)
        said(run, b"all frames are done")
        assert end(run)[0] == 0


class _Deaf:
    """Work that does not look whether it shall stop."""

    def stop(self) -> None:
        """Does nothing."""


def test_what_hangs_is_taken_out_of_its_wait() -> None:
    empty, _ = os.pipe()

    def wait() -> None:
        with stop_signals() as signals, signals.stopping(_Deaf(), patience_s=0.05):
            os.kill(os.getpid(), signal.SIGTERM)
            os.read(empty, 1)

    with pytest.raises(Stopped):
        wait()


def test_what_comes_after_the_work_is_left_alone() -> None:
    with stop_signals() as signals:
        with signals.stopping(_Deaf(), patience_s=0.05):
            os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([signal.SIGALRM], 0.2)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


#: As NumPy and TensorFlow: what happens in the middle of their import comes out of it as another error, or not at all.
IMPORTED = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    done = True
except BaseException as error:
    {then}
"""


@pytest.mark.parametrize("then", ["raise ImportError('the installation is damaged') from None", "pass"])
@pytest.mark.parametrize("handling", [sigterm_as_ctrl_c, stop_signals])
def test_an_import_is_not_interrupted_in_its_middle_but_at_its_end(
    handling: Callable[[], AbstractContextManager[object]], then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_once.py").write_text(IMPORTED.format(then=then))
    monkeypatch.syspath_prepend(tmp_path)

    def import_and_wait() -> None:
        with handling():
            importlib.import_module("imported_once")
            signal.sigtimedwait([], DEADLINE_S)  # which the timer's alarm ends

    try:
        with pytest.raises(KeyboardInterrupt):
            import_and_wait()
        assert sys.modules["imported_once"].done
    finally:
        sys.modules.pop("imported_once", None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_import_that_goes_on_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: time.sleep(1)\n"
    )
    code = "from stn_rectify.runtime.process import stop_signals\nwith stop_signals.sigterm_as_ctrl_c(): import endless"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [tmp_path, *filter(None, sys.path)]))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert (done.returncode, done.stderr) == (130, b"")
