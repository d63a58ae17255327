"""Faults done to real runs of stn-rectify on this machine: what is seen of each, and how soon it goes on.

    python tests/faults/injected.py [--count 20] [--seed 0] [--limit S] [--rows FILE] [FAULT...]

Prints a table: fault, what was observed, seconds until it went on. The source is an HTTP camera on this machine, the
model ``fast``. A fault that is not survived as it should be is an error, and the status 1. Those of cameras, of the
clock, and power cuts need a whole machine: deploy/virtual-pi.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from stn_rectify.runtime import ModelFile, StnRectifyError
from tests.faults.runs import COMMAND, Run, check_lines, check_pictures, lines, running
from tests.runtime.sources.stream_server import stream_server
from tests.waiting import DEADLINE_S

MODELS = Path(__file__).parents[2] / "runtime" / "data"


@dataclass(frozen=True)
class Row:
    """A line of the table; ``recovery_s`` is None where there is nothing to recover from."""

    fault: str
    observed: str
    recovery_s: float | None = None


# Model files


def _refused(model: Path) -> None:
    with pytest.raises(StnRectifyError, match=r"\A[^\n]+\Z"):
        ModelFile.open(model)


def _refused_start(folder: Path, model: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--demo", "--model", str(model)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1, (model, done)
    assert len(done.stderr.splitlines()) == 1, (model, done.stderr)
    assert done.stderr.startswith("stn-rectify: error: "), done.stderr


def _spoilt_models(folder: Path, count: int, seed: int, spoil: Callable[[bytearray, random.Random], bytes]) -> None:
    dice, good = random.Random(seed), (MODELS / "fast.tflite").read_bytes()
    model = folder / "model.tflite"
    for number in range(count * 20):
        model.write_bytes(spoil(bytearray(good), dice))
        _refused(model)
        if number % (count * 10) == 0:
            _refused_start(folder, model)


def model_truncated(folder: Path, count: int, seed: int) -> Row:
    """Files that end too soon."""
    _spoilt_models(folder, count, seed, lambda good, dice: bytes(good[: dice.randrange(len(good))]))
    return Row(
        "model file truncated", f"{count * 20} lengths: each refused in one line; two of them as a start: status 1"
    )


def model_flipped(folder: Path, count: int, seed: int) -> Row:
    """Files with a bit that is another."""

    def flip(good: bytearray, dice: random.Random) -> bytes:
        good[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
        return bytes(good)

    _spoilt_models(folder, count, seed, flip)
    return Row(
        "a bit of the model file flipped",
        f"{count * 20} bits: each refused in one line; two of them as a start: status 1",
    )


def model_foreign(folder: Path, count: int, seed: int) -> Row:
    """What is no model of ours, or no file."""
    named: dict[str, Path] = {name: folder / name for name in ("empty", "text", "zip", "noise", "folder", "pipe")}
    named["empty"].write_bytes(b"")
    named["text"].write_text("a model\n")
    subprocess.run([sys.executable, "-m", "zipfile", "-c", named["zip"], named["text"]], check=True)
    named["noise"].write_bytes(random.Random(seed).randbytes(100_000))
    named["folder"].mkdir()
    os.mkfifo(named["pipe"])
    named.update(picture=MODELS / "demo.jpg", program=Path(sys.executable).resolve())
    named.update(recognizer=MODELS / "digits.recognizer.tflite", nothing=folder / "no-such-file")
    named.update(null=Path("/dev/null"), zero=Path("/dev/zero"))
    for model in named.values():
        _refused_start(folder, model)
    return Row("a foreign file as model", f"{', '.join(named)}: each refused in one line, status 1")


def model_replaced(folder: Path, count: int, seed: int) -> Row:
    """The file of a model that runs is overwritten, cut off, removed, replaced; then a good one comes."""
    model, good = folder / "model.tflite", (MODELS / "fast.tflite").read_bytes()
    other = (MODELS / "digits.tflite").read_bytes()
    model.write_bytes(good)
    results = folder / "results.jsonl"

    def reload(run: Run) -> str:
        before = len(run.said())
        run.process.send_signal(signal.SIGHUP)
        run.wait_for("a word about the reload", lambda: re.search("reload: .*\n", run.said()[before:]))
        return run.said()[before:]

    def removed() -> None:
        model.unlink()

    def renamed() -> None:
        (folder / "new").write_bytes(b"no model")
        (folder / "new").replace(model)

    def overwritten() -> None:
        with open(model, "r+b") as file:
            file.write(bytes(len(good)))

    slowest = 0.0
    with running(folder, "--model", model, "--jsonl", results, "--commit-interval", "0") as run:
        run.wait_for("results", lambda: lines(results) > 3)
        for spoil in (overwritten, lambda: os.truncate(model, 100), lambda: os.truncate(model, 0), removed, renamed):
            spoil()
            before = lines(results)
            assert "the run goes on as it was" in reload(run)
            run.wait_for("further results", lambda before=before: lines(results) > before + 5)
            (folder / "new").write_bytes(other if spoil is removed else good)
            (folder / "new").replace(model)
            began = time.monotonic()
            assert "reload: model " in reload(run)
            slowest = max(slowest, time.monotonic() - began)
        assert run.end() == 0
    check_lines(results)
    told = (
        "overwritten, cut off, emptied, removed, replaced by another file: the run goes on with what it has, SIGHUP is"
        " refused in one line; then a good file and SIGHUP"
    )
    return Row("model file replaced while it runs", told, slowest)


# Outputs


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, of 40 MB; skips where none may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@contextlib.contextmanager
def hung_disk(folder: Path) -> Iterator[None]:
    """Inside the block the folder is a network disk whose server does not answer: what asks for it waits."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("a disk that hangs needs root and FUSE")
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        words = ["mount", "-i", "-t", "fuse", "-o", f"fd={server},rootmode=40000,user_id=0,group_id=0", "none", folder]
        if subprocess.run(words, pass_fds=[server], check=False).returncode:
            pytest.skip("nothing may be mounted here")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        os.close(server)


def disk_full(folder: Path, count: int, seed: int) -> Row:
    """A disk without room, and then with room again."""
    with small_disk(folder) as disk:
        results, saved, filler = disk / "a.jsonl", disk / "saved", disk / "filler"
        words = ("--jsonl", results, "--save", saved, "--save-format", "jpg", "--output", disk / "v.mkv")
        with running(folder, *words, "--commit-interval", "0.2") as run:
            run.wait_for("results", lambda: lines(results) > 5)
            with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 12))
            run.wait_for("the warning", lambda: f"cannot write {results}" in run.said())
            before = lines(results)
            filler.unlink()
            took = run.wait_for("further results", lambda: lines(results) > before)
            run.wait_for("pictures", lambda: f"{saved} can be written again" in run.said())
            assert run.end() == 0
        check_lines(results)
        pictures = check_pictures(saved)
        (dropped,) = re.findall(r"results not written: (\d+)", run.said())[-1:]
    told = (
        f"one warning an output, results dropped and counted ({dropped}), frames go on;"
        f" all {pictures} pictures are whole"
    )
    return Row("disk full, then freed", told, took)


def folder_gone(folder: Path, count: int, seed: int) -> Row:
    """The folder of the results is away for a while, as a stick that was pulled."""
    stick = folder / "stick"
    stick.mkdir()
    saved, results = stick / "saved", stick / "results.jsonl"
    with running(folder, "--save", saved, "--jsonl", results, "--commit-interval", "0") as run:
        run.wait_for("pictures", lambda: saved.exists() and any(saved.glob("*.png")))
        stick.rename(folder / "away")
        run.wait_for("the warning", lambda: f"cannot write {saved}" in run.said())
        (folder / "away").rename(stick)
        before = len(os.listdir(saved))
        took = run.wait_for("further pictures", lambda: len(os.listdir(saved)) > before)
        assert run.end() == 0
    check_pictures(saved)
    check_lines(results)
    return Row("output folder gone, then back", "a warning, pictures dropped and counted; no half one", took)


def output_hangs(folder: Path, count: int, seed: int) -> Row:
    """The disk of one output hangs, and the run is ended."""
    ends: list[float] = []
    pictures = results = 0
    for turn in range(count):
        disk, saved, jsonl = (folder / f"{turn}" / name for name in ("disk", "saved", "a.jsonl"))
        disk.mkdir(parents=True)
        with running(disk.parent, "--jsonl", jsonl, "--save", saved, "--output", disk / "v.mkv") as run:
            run.wait_for("results", lambda jsonl=jsonl: lines(jsonl) > 5)
            with hung_disk(disk):
                before = lines(jsonl)
                run.wait_for("further results", lambda jsonl=jsonl, before=before: lines(jsonl) > before + 10)
                began = time.monotonic()
                assert run.end() == 0, run.said()
                ends.append(time.monotonic() - began)
        results += check_lines(jsonl)
        assert check_pictures(saved) == 2 * lines(jsonl), run.said()
        assert not list(saved.glob(".*")), run.said()
        pictures += 2 * lines(jsonl)
        assert run.said().count("left to itself") == 1, run.said()
    told = f"{count} times: the other outputs have all {results} lines and {pictures} pictures, status 0, ended after"
    return Row("an output hangs (a network disk that does not answer), then SIGTERM", told, statistics.median(ends))


def _signals(folder: Path, count: int, seed: int, number: signal.Signals) -> Row:
    """A signal at a random moment while results, pictures and a video are written."""
    dice, pictures, results, cut = random.Random(seed), 0, 0, 0
    ends: list[float] = []
    for turn in range(count):
        place = folder / f"{turn}"
        place.mkdir()
        jsonl, saved = place / "a.jsonl", place / "saved"
        words = ("--jsonl", jsonl, "--save", saved, "--output", place / "v.mkv", "--commit-interval", "0.1")
        with running(place, *words) as run:
            run.wait_for("pictures", lambda saved=saved: saved.exists() and any(saved.glob("*.png")))
            time.sleep(dice.uniform(0, 0.5))
            began = time.monotonic()
            status = run.end(number)
            ends.append(time.monotonic() - began)
            said = run.said()
        killed = number == signal.SIGKILL
        assert status == (-number if killed else 0), said
        assert "Traceback" not in said, said
        results += check_lines(jsonl, may_be_cut=killed)
        cut += not jsonl.read_bytes().endswith(b"\n")
        pictures += check_pictures(saved)
        video = place / "v.mkv"
        assert killed or cv2.VideoCapture(str(video)).grab(), "no frame in the video"
        assert not killed or not video.exists(), "a video that was not ended has its final name"
        if turn % 5 == 0 and killed:  # the next start clears away
            with running(place, *words) as run:
                more = lines(jsonl)
                run.wait_for("results", lambda jsonl=jsonl, more=more: lines(jsonl) > more + 3)
                assert run.end() == 0
            assert not list(place.rglob("*.partial*")), list(place.rglob("*"))
        shutil.rmtree(place)
    told = f"{count} times at a random moment: {pictures} pictures and {results} lines, no half one under its name"
    if number == signal.SIGKILL:
        told += f" ({cut} last lines cut off); the next start goes on, and leaves no partial file"
        return Row(f"{number.name} during writes", told)
    return Row(f"{number.name} during writes", f"{told}; status 0, ended after", statistics.median(ends))


def sigterm(folder: Path, count: int, seed: int) -> Row:
    """SIGTERM while it writes."""
    return _signals(folder, count, seed, signal.SIGTERM)


def sigint(folder: Path, count: int, seed: int) -> Row:
    """Ctrl-C while it writes."""
    return _signals(folder, count, seed, signal.SIGINT)


def sigkill(folder: Path, count: int, seed: int) -> Row:
    """SIGKILL while it writes."""
    return _signals(folder, count, seed, signal.SIGKILL)


# Network


def broker_gone(folder: Path, count: int, seed: int) -> Row:
    """The MQTT broker is killed, and comes back after three seconds for each one counted: a minute for 20."""
    from tests.runtime.sinks.mqtt_broker import MOSQUITTO, Broker, Listener

    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Broker(folder).start()
    results = folder / "a.jsonl"
    words = ("--mqtt", f"mqtt://127.0.0.1:{broker.port}/door", "--mqtt-interval", "0.2", "--jsonl", results)
    away = 3.0 * count
    try:
        with running(folder, *words, "--commit-interval", "0") as run:
            listener = Listener(broker.port)
            run.wait_for("messages", lambda: len(listener.messages) > 5)
            listener.close()
            broker.kill()
            before, began = lines(results), time.monotonic()
            time.sleep(away)
            rate = (lines(results) - before) / (time.monotonic() - began)
            assert rate > 1, "frames waited for the broker"
            broker.start()
            listener = Listener(broker.port)
            held = len(listener.messages)
            took = run.wait_for("messages", lambda: len(listener.messages) > held)
            listener.close()
            assert run.end() == 0
            assert "Traceback" not in run.said(), run.said()
    finally:
        broker.kill()
    return Row(
        f"broker gone for {away:.0f} s", "a warning; frames and other outputs go on; it connects again by itself", took
    )


def slow_browser(folder: Path, count: int, seed: int) -> Row:
    """Browsers that read a byte a second of the pictures, for as many seconds as are counted."""
    results = folder / "a.jsonl"
    with running(folder, "--serve", "0", "--jsonl", results, "--commit-interval", "0") as run:
        run.wait_for("results", lambda: lines(results) > 20)
        address = run.address()
        clients = [_open_stream(address) for _ in range(10)]
        before_mb, before, began = run.resident_mb(), lines(results), time.monotonic()
        answers = []
        for _ in range(count):
            for client in clients:
                assert client.recv(1)
            asked = time.monotonic()
            assert urllib.request.urlopen(f"{address}healthz", timeout=DEADLINE_S).status == 200
            answers.append(time.monotonic() - asked)
            time.sleep(1)
        rate = (lines(results) - before) / (time.monotonic() - began)
        grown = run.resident_mb() - before_mb
        for client in clients:
            client.close()
        assert rate > 1, "frames waited for a browser"
        assert grown < 30, f"it grew by {grown:.0f} MB"
        assert run.end() == 0
    told = (
        f"10 of them for {count} s: {rate:.0f} frames a second go on, memory {grown:+.1f} MB,"
        f" /healthz answers after {1000 * max(answers):.0f} ms at most"
    )
    return Row("browser that reads a byte a second", told)


def _open_stream(address: str) -> socket.socket:
    """The stream of pictures, as the page opens it: a web socket, with a small buffer."""
    host = address.split("/")[2]
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(DEADLINE_S)
    client.connect((host.rpartition(":")[0], int(host.rpartition(":")[2])))
    lines = (
        "GET /stream HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", "",
    )  # fmt: skip
    client.sendall("\r\n".join(lines).encode())
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


# Starts


def restarts(folder: Path, count: int, seed: int, limit_s: float = math.inf) -> Row:
    """Starts and ends, one after the other, with the same files; the row says how many fitted into the time."""
    dice, starts, ends = random.Random(seed), list[float](), time.monotonic() + limit_s
    results, saved = folder / "a.jsonl", folder / "saved"
    words = ("--jsonl", results, "--save", saved, "--save-limit", "2M", "--serve", "0", "--commit-interval", "0.2")
    before_tmp = set(os.listdir(tempfile.gettempdir()))
    with stream_server() as server:
        for _ in range(count):
            held = _size(results)  # its lines are read once, at the end: of thousands of starts they are many
            began = time.monotonic()
            if began > ends:
                break
            run = Run(folder, server, *words)
            try:
                run.wait_for("a result", lambda held=held: _size(results) > held)
                starts.append(time.monotonic() - began)
                time.sleep(dice.uniform(0, 0.1))
                status = run.end()
                assert status == 0, f"status {status} of restart {len(starts)}: {run.said()[-1000:]}"
            finally:
                run.process.kill()
                run.process.wait()
    left = [
        name for name in set(os.listdir(tempfile.gettempdir())) - before_tmp if "stn" in name and "fault" not in name
    ]
    assert not left, left
    assert not list(folder.rglob("*.partial*"))
    check_lines(results)
    check_pictures(saved)
    assert starts, "no time for one start"
    told = f"{len(starts)} times: each has results, nothing is left behind; start to first result (median)"
    return Row("restarts", told, statistics.median(starts))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


FAULTS = {
    entry.__name__.replace("_", "-"): entry
    for entry in (
        model_truncated, model_flipped, model_foreign, model_replaced, disk_full, folder_gone, output_hangs, sigterm,
        sigint, sigkill, broker_gone, slow_browser, restarts,
    )
}  # fmt: skip


def main() -> int:
    """Prints the table; returns the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how often what is done several times (20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of moments and places (0)")
    parser.add_argument(
        "--limit", type=float, default=math.inf, metavar="S", help="longest time for restarts: as many as fit (none)"
    )
    parser.add_argument("--rows", type=Path, metavar="FILE", help="gets the rows, too")
    options = parser.parse_args()
    failed = 0
    print("| fault | observed | s |\n|---|---|---|")
    for name in options.faults or FAULTS:
        with tempfile.TemporaryDirectory(prefix="fault-") as folder:
            try:
                words = (options.limit,) if name == "restarts" else ()
                row = FAULTS[name](Path(folder), options.count, options.seed, *words)
            except (AssertionError, pytest.fail.Exception) as error:
                failed += 1
                row = Row(name, f"FAILED: {error}")
            except pytest.skip.Exception as reason:
                row = Row(name, f"not done: {reason}")
        seconds = "" if row.recovery_s is None else f"{row.recovery_s:.1f}"
        text = f"| {row.fault} | {row.observed} | {seconds} |"
        print(text, flush=True)
        if options.rows:
            with open(options.rows, "a") as file:
                file.write(f"{text}\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
