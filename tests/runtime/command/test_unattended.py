"""A run on a live stream, as a service has one: nothing that can happen by itself holds it up, or ends it for good."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import cv2
import pytest

from tests.faults.injected import hung_disk, small_disk
from tests.runtime.sinks.test_video import write_noise
from tests.runtime.sources.stream_server import StreamServer, stream_server
from tests.waiting import DEADLINE_S, wait_for, wait_until_it_waits

COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]


@pytest.fixture
def server() -> Iterator[StreamServer]:
    with stream_server() as server:
        yield server


class Run:
    """The command on the stream, with what it says in a file."""

    def __init__(self, folder: Path, server: StreamServer, *words: object, **environment: str) -> None:
        self.folder, self._said = folder, folder / "said"
        arguments = ["--video", f"{server.address}/camera", "--model", "fast", *map(str, words)]
        with open(self._said, "ab") as said:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=folder, stdout=said, stderr=said, env={**os.environ, **environment}
            )

    def said(self) -> str:
        return self._said.read_text()

    def wait_for(self, what: str, look: Callable[[], object]) -> None:
        """Waits for something while it runs."""

        def there() -> object:
            assert self.process.poll() is None, self.said()
            return look()

        wait_for(what, there, told=self.said)

    def wait_for_words(self, words: str) -> None:
        self.wait_for(f"the words {words!r}", lambda: words in self.said())

    def end(self) -> int:
        """Sends SIGTERM; gives the status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def start(tmp_path: Path, server: StreamServer) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start_it(*words: object, folder: Path = tmp_path, **environment: str) -> Run:
        runs.append(Run(folder, server, *words, **environment))
        return runs[-1]

    yield start_it
    for run in runs:
        run.process.kill()
        run.process.wait()


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    return count


# A pipe


def test_a_pipe_that_nobody_reads_holds_up_neither_the_run_nor_its_end(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = start("--jsonl", "pipe", "--save", "saved", "--save-every", "5", "--commit-interval", "0")
    with open(tmp_path / "pipe", "rb") as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        pipe.readline()
        saved = tmp_path / "saved"
        run.wait_for("a full pipe and queue", lambda: "does not keep up or hangs" in run.said())
        before = len(os.listdir(saved))
        run.wait_for("a run that goes on", lambda: len(os.listdir(saved)) > before)
        assert run.end() == 0
        last = run.said().splitlines()[-1]
    (unwritten,) = re.findall(r"results not written: (\d+) to pipe", last)
    (count,) = re.findall(r"(\d+) frames in", last)
    assert 0 < int(unwritten) < int(count)


def test_a_pipe_without_a_reader_is_waited_for(start: Callable[..., Run], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = start("--jsonl", "pipe", "--jsonl", "pipe")
    run.wait_for_words("cannot write pipe: nobody reads this pipe yet")
    with open(tmp_path / "pipe", "rb") as pipe:
        assert json.loads(pipe.readline())["frame"] > 0
        run.wait_for_words("pipe can be written again; results dropped: ")
        assert run.end() == 0


@pytest.mark.parametrize("words", [("--jsonl", "pipe"), ("--jsonl", "-"), ("--jsonl", "/dev/stdout")])
def test_the_reader_of_a_named_pipe_that_leaves_is_an_error(
    tmp_path: Path, server: StreamServer, words: tuple[str, ...]
) -> None:
    """Status 0 would be the end of the service for good."""
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)  # neither waits for the other
    arguments = ["--video", f"{server.address}/camera", "--model", "fast", *words]
    with open(tmp_path / "pipe", "wb") as stdout:
        process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE)
    try:
        with open(tmp_path / "pipe", "rb") as reader:
            os.close(descriptor)
            assert reader.readline()
        _, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 1, errors
    assert b"its reader has left; start it again" in errors.splitlines()[-1]


def test_the_reader_of_a_shells_pipe_has_what_it_wanted(tmp_path: Path, server: StreamServer) -> None:
    program = f"{' '.join(COMMAND)} --video {server.address}/camera --model fast --jsonl -"
    line = f"{program} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr


# A disk


@pytest.fixture(name="small_disk")
def mounted_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as disk:
        yield disk


def fill(disk: Path, *, free_bytes: int = 0) -> Path:
    """Takes the room that is left, but for so much."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
        while free_bytes == 0 or shutil.disk_usage(disk).free > free_bytes:
            file.write(bytes(1 << 12))
    return filler


def test_a_full_disk_costs_results_and_nothing_else(
    start: Callable[..., Run], tmp_path: Path, small_disk: Path
) -> None:
    outputs = ("--jsonl", small_disk / "a.jsonl", "--save", small_disk / "saved", "--save-format", "jpg")
    run = start(*outputs, "--output", small_disk / "v-%Y.mkv", "--commit-interval", "0.2")
    results = small_disk / "a.jsonl"
    run.wait_for("results", lambda: lines(results) > 5)
    fill(small_disk, free_bytes=8_000_000)  # enough to end a video
    run.wait_for_words(f"cannot write {small_disk}/v-")
    filler = fill(small_disk)
    for place in ("a.jsonl", "saved"):
        run.wait_for_words(f"cannot write {small_disk}/{place}")
    written = lines(results)
    filler.unlink()
    for place in ("a.jsonl", "saved", "v-%Y.mkv"):
        run.wait_for_words(f"{small_disk}/{place} can be written again; results dropped: ")
    run.wait_for("further results", lambda: lines(results) > written + 5)
    assert run.end() == 0
    assert all(json.loads(line)["score"] >= 0 for line in results.read_text().splitlines())
    videos = sorted(path.name for path in small_disk.glob("*.mkv"))
    year = datetime.now().year
    assert videos == [f"v-{year}-2.mkv", f"v-{year}.mkv"]
    assert all(frames(small_disk / name) > 0 for name in videos)
    pictures = list((small_disk / "saved").iterdir())
    assert all(cv2.imread(str(path)) is not None for path in pictures)
    assert "results not written: " in run.said().splitlines()[-1]


def test_a_disk_that_is_full_at_the_start_is_waited_for(start: Callable[..., Run], small_disk: Path) -> None:
    filler = fill(small_disk)
    run = start("--jsonl", small_disk / "a.jsonl", "--output", small_disk / "v.mkv", "--save", small_disk / "saved")
    run.wait_for_words(f"cannot write {small_disk}/v.mkv: No space left on device")
    filler.unlink()
    run.wait_for("results", lambda: lines(small_disk / "a.jsonl") > 5)
    run.wait_for("pictures", lambda: any((small_disk / "saved").glob("*.png")))
    run.wait_for_words("v.mkv can be written again")
    assert run.end() == 0
    assert frames(small_disk / "v.mkv") > 0


def test_a_disk_that_stays_full_leaves_no_video_and_a_status(start: Callable[..., Run], small_disk: Path) -> None:
    fill(small_disk)
    run = start("--output", small_disk / "v.mkv", "--serve", "0")
    run.wait_for_words("results are dropped and counted")
    (address,) = re.findall(r"web view at (\S+)", run.said())
    warning = "ok\nwarning: an output cannot be written to (No space left on device)\n"
    run.wait_for("a warning", lambda: urllib.request.urlopen(f"{address}healthz").read().decode() == warning)
    assert run.end() == 1
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_folder_that_is_gone_comes_back(start: Callable[..., Run], tmp_path: Path) -> None:
    saved = tmp_path / "stick" / "saved"
    saved.parent.mkdir()
    run = start("--save", saved, "--commit-interval", "0")
    run.wait_for("pictures", lambda: any(saved.glob("*.png")))
    saved.parent.rename(tmp_path / "away")
    run.wait_for_words(f"cannot write {saved}")
    (tmp_path / "away").rename(saved.parent)
    before = set(saved.glob("*.png"))
    run.wait_for("further pictures", lambda: set(saved.glob("*.png")) - before)
    assert run.end() == 0


# A video of the same name, or cut off


def test_two_starts_within_one_second_are_two_videos(start: Callable[..., Run], tmp_path: Path) -> None:
    """As of a device whose clock begins at the same second after each power cut."""
    runs = [start("--output", "v-%Y.avi", "--frames", "5") for _ in range(2)]
    assert [run.process.wait(DEADLINE_S) for run in runs] == [0, 0], runs[0].said()
    third = start("--output", "v-%Y.avi", "--frames", "5")
    assert third.process.wait(DEADLINE_S) == 0
    year = datetime.now().year
    videos = sorted(path.name for path in tmp_path.glob("*.avi"))
    assert videos == [f"v-{year}-2.avi", f"v-{year}-3.avi", f"v-{year}.avi"]
    assert all(frames(tmp_path / name) >= 1 for name in videos)


def test_a_video_that_was_cut_off_is_recovered_by_the_next_start(start: Callable[..., Run], tmp_path: Path) -> None:
    write_noise(tmp_path / "v-19700101-000007.avi", 60, end=lambda: shutil.copytree(tmp_path, tmp_path / "card"))
    card = tmp_path / "card"  # as it was before the video was ended
    run = start("--output", card / "v-%Y%m%d-%H%M%S.avi", "--frames", "3")
    assert run.process.wait(DEADLINE_S) == 0
    (recovered,) = card.glob("*.recovered.avi")
    assert recovered.name == "v-19700101-000007.recovered.avi"
    assert f"of a run that was cut off is {recovered} now" in run.said()
    assert frames(recovered) > 10
    assert len(list(card.iterdir())) == 2


# The end


def test_outputs_beside_one_that_hangs_have_their_end(start: Callable[..., Run], tmp_path: Path) -> None:
    """The video, which hangs, is closed first, and the pictures have to be given their names."""
    (tmp_path / "disk").mkdir()
    outputs = ("--jsonl", "a.jsonl", "--save", "saved", "--output", "disk/v.mkv")
    run = start(*outputs, "--commit-interval", "3600", "--save-every", "5")
    run.wait_for("results", lambda: lines(tmp_path / "a.jsonl") > 5)
    with hung_disk(tmp_path / "disk"):
        before = lines(tmp_path / "a.jsonl")
        run.wait_for("results that go on", lambda: lines(tmp_path / "a.jsonl") > before + 20)
        assert run.end() == 0
    left = [line for line in run.said().splitlines() if "left to itself" in line]
    assert left == ["disk/v.mkv: does not take the last results, and is left to itself"]
    (count, unwritten) = re.findall(r"(\d+) frames in .* results not written: (\d+) to disk/v.mkv ·", run.said())[-1]
    assert (lines(tmp_path / "a.jsonl"), int(unwritten) > 0) == (int(count), True)
    assert len(list((tmp_path / "saved").glob("*.rectified.png"))) == -(-int(count) // 5)
    assert not list((tmp_path / "saved").glob(".*"))


def test_outputs_have_their_end_though_the_run_itself_hangs(start: Callable[..., Run], tmp_path: Path) -> None:
    lines = (
        "import ctypes, os",
        "def read(image):",
        "    if len(os.listdir('saved')) < 8:",
        "        return 'a', 1.0",
        "    open('called', 'w').close()",
        "    mutex = ctypes.create_string_buffer(64)",
        "    ctypes.CDLL(None).pthread_mutex_lock(mutex)",
        "    ctypes.CDLL(None).pthread_mutex_lock(mutex)",
    )
    (tmp_path / "hangs.py").write_text("\n".join(lines))
    words = ("--recognizer", "hangs:read", "--min-score", "0", "--commit-interval", "3600")
    run = start(*words, "--save", "saved", "--output", "a.mkv", PYTHONPATH=str(tmp_path))
    run.wait_for("the recognizer", (tmp_path / "called").exists)
    assert run.end() == 1
    assert "error: it has not ended 4 s after SIGTERM" in run.said().splitlines()[-1]
    assert not list((tmp_path / "saved").glob(".*"))
    assert len(list((tmp_path / "saved").glob("*.rectified.png"))) >= 4
    assert frames(tmp_path / "a.mkv") > 0


def errors_of(run: Run) -> list[str]:
    return [line.partition("error: ")[2] for line in run.said().splitlines() if "error: " in line]


def test_each_output_that_fails_in_the_end_has_its_line(start: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run = start("--save", "saved", "--output", "disk/v.mkv", "--jsonl", "a.jsonl", "--commit-interval", "3600")
    run.wait_for("results", lambda: lines(tmp_path / "a.jsonl") > 5)
    run.wait_for("pictures that wait for their names", lambda: any((tmp_path / "saved").glob(".*")))
    for name in ("saved", "disk"):
        (tmp_path / name).rename(tmp_path / f"{name} away")
    assert run.end() == 1
    assert errors_of(run)[-1].startswith("cannot write saved/")
    assert "cannot write disk/v.mkv" in run.said()  # perhaps before the end, which looks now and then


def test_an_output_that_fails_after_another_one_ended_the_run_has_its_line(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = start("--jsonl", "pipe", "--save", "saved", "--commit-interval", "3600")
    with open(tmp_path / "pipe", "rb") as pipe:
        assert pipe.readline()
        run.wait_for("pictures that wait for their names", lambda: any((tmp_path / "saved").glob(".*")))
        (tmp_path / "saved").rename(tmp_path / "away")
    assert run.process.wait(DEADLINE_S) == 1
    errors = errors_of(run)
    assert len(errors) == 2, run.said()
    assert errors[0].startswith("cannot write saved/")
    assert errors[1] == "cannot write pipe: its reader has left; start it again"


# The service manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(DEADLINE_S)
        yield bound


def told(manager: socket.socket, what: str, most: int = 10_000) -> int:
    """Reads messages until one begins so; gives how many signs of life came before it."""
    signs = 0
    for _ in range(most):
        message = manager.recv(4096).decode()
        if message.startswith(what):
            return signs
        signs += message == "WATCHDOG=1"
    raise AssertionError(f"no {what} among {most} messages")


def test_the_service_manager_is_told_of_frames_and_the_end(
    start: Callable[..., Run], tmp_path: Path, manager: socket.socket
) -> None:
    run = start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
    assert told(manager, "READY=1") == 0
    assert told(manager, "STATUS=waiting for the first frame") == 0
    told(manager, "STATUS=1 frames")
    told(manager, "WATCHDOG=1")
    run.process.send_signal(signal.SIGHUP)
    told(manager, "RELOADING=1")
    told(manager, "READY=1")
    assert run.end() == 0
    told(manager, "STOPPING=1")


def test_a_source_that_is_known_to_be_away_is_a_sign_of_life(tmp_path: Path, manager: socket.socket) -> None:
    with stream_server(frames=3) as server:
        run = Run(tmp_path, server, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        told(manager, "STATUS=1 frames")
    try:
        run.wait_for_words("trying again until it is back")
        for _ in range(20):
            told(manager, "WATCHDOG=1")
    finally:
        assert run.end() == 0


def test_a_run_that_hangs_gives_no_sign_of_life(
    start: Callable[..., Run], tmp_path: Path, manager: socket.socket
) -> None:
    """Its recognizer hangs, for a driver, say; SIGTERM ends it all the same."""
    (tmp_path / "hangs.py").write_text(
        "import time\n\ndef read(image):\n    open('called', 'w').close()\n    time.sleep(1000)\n"
    )
    words = ("--recognizer", "hangs:read", "--min-score", "0")
    asked = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000", "PYTHONPATH": str(tmp_path)}
    run = start(*words, **asked)
    told(manager, "READY=1")
    run.wait_for("the recognizer", (tmp_path / "called").exists)
    manager.settimeout(1.5)
    with pytest.raises(TimeoutError):
        told(manager, "no such message")
    assert run.end() in (0, 1)


def test_a_driver_that_hangs_does_not_outlive_sigterm(start: Callable[..., Run], tmp_path: Path) -> None:
    """A lock that is never given back: no signal gets the main thread out of it, and no Python runs there."""
    lines = (
        "import ctypes",
        "def read(image):",
        "    open('called', 'w').close()",
        "    mutex = ctypes.create_string_buffer(64)",
        "    ctypes.CDLL(None).pthread_mutex_lock(mutex)",
        "    ctypes.CDLL(None).pthread_mutex_lock(mutex)",
    )
    (tmp_path / "hangs.py").write_text("\n".join(lines))
    run = start("--recognizer", "hangs:read", "--min-score", "0", "--output", "a.mkv", PYTHONPATH=str(tmp_path))
    run.wait_for("the recognizer", (tmp_path / "called").exists)
    assert run.end() == 1
    last = run.said().splitlines()[-1]
    assert re.search(r"error: it has not ended 4 s after SIGTERM, and is cut off in read \(hangs.py:\d+\)", last)
    assert not (tmp_path / "a.mkv").exists()


def test_a_picture_that_stays_the_same_is_noticed(start: Callable[..., Run], server: StreamServer) -> None:
    server.is_frozen = True
    run = start("--frozen-after", "2")
    run.wait_for_words(
        f"video {server.address}/camera: 64x48: the picture has not changed for 2 s: does the camera hang?"
    )
    server.is_frozen = False
    run.wait_for_words("the picture changes again, after ")
    assert run.end() == 0


def test_messages_that_nobody_reads_do_not_outlive_sigterm(tmp_path: Path, server: StreamServer) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, bytes(4096))  # the first line finds no room
    arguments = ["--video", f"{server.address}/camera", "--model", "fast", "--jsonl", "a.jsonl"]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=writing)
    try:
        wait_for("the file that is made before the first line", (tmp_path / "a.jsonl").exists)
        wait_until_it_waits(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 1
    finally:
        process.kill()
        os.close(reading)
        os.close(writing)
