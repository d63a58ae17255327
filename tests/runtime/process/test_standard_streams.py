"""Standard streams that are closed, full, or whose readers leave, and names with any bytes in messages."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stn_rectify.runtime.process.standard_streams import escaped, stderr_without
from tests.runtime.process.conftest import Shell, Start
from tests.waiting import DEADLINE_S, wait_for


def test_messages_stay_out_of_the_results_where_standard_error_is_closed(shell: Shell) -> None:
    done = shell("$P --demo --model fast --jsonl - 2>&-")
    assert done.returncode == 0
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0]


def test_no_file_gets_the_descriptor_of_a_closed_stream(shell: Shell, tmp_path: Path) -> None:
    """Messages, of libraries as well, would land in it."""
    done = shell("$P --image nowhere.png --jsonl a.jsonl 2>&-; $P --demo --model fast --jsonl a.jsonl <&- >&- 2>&-")
    assert done.returncode == 0
    assert [json.loads(line)["frame"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--demo --model fast --jsonl - >&-", "cannot write standard output: it is closed"),
        ("--print-config >&-", "cannot write standard output: it is closed"),
        ("evaluate --empty frames --json - >&-", "cannot write standard output: it is closed"),
        ("evaluate --empty frames >&-", "cannot write standard output: it is closed"),
        ("--image - <&-", "standard input is closed: send an image through a pipe, or name a file"),
        ("--print-config >/dev/full", "cannot write standard output: No space left on device"),
        ("--version >/dev/full", "cannot write standard output: No space left on device"),
        ("doctor >/dev/full", "cannot write standard output: No space left on device"),
        ("models list >/dev/full", "cannot write standard output: No space left on device"),
    ],
)
def test_a_stream_that_is_needed_and_closed_or_full_is_one_line(shell: Shell, line: str, message: str) -> None:
    done = shell(f"$P {line}")
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_of_messages_that_leaves_does_not_end_the_run(shell: Shell) -> None:
    """The lines of the run come when there is no reader any more."""
    done = shell("mkfifo gone; (exec <gone) & $P --demo --model fast --jsonl - 2>gone; exit $?")
    assert done.returncode == 0
    assert json.loads(done.stdout)["frame"] == 0


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_the_reader_of_standard_output_has_what_it_wanted(shell: Shell, video: Path, name: str) -> None:
    done = shell(f"$P --video {video} --model fast --jsonl {name} | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert b"error" not in done.stderr


def test_the_reader_of_another_pipe_that_leaves_is_an_error(start: Start, tmp_path: Path, video: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = start("--video", video, "--model", "fast", "--jsonl", "pipe")
    with open(tmp_path / "pipe", "rb") as reader:
        reader.readline()
    _, errors = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 1
    assert errors.decode().splitlines()[-1].endswith("error: cannot write pipe: its reader has left; start it again")


def test_control_characters_of_names_are_escaped_in_messages(start: Start, tmp_path: Path) -> None:
    name = "red\x1b[31m\nstn-rectify: all is well\u202e.png"
    (tmp_path / name).write_bytes(b"no image")
    run = start("--image", name, "--jsonl", "-")
    wait_for("the end", lambda: run.poll() is not None)
    out, errors = run.communicate(timeout=DEADLINE_S)
    assert out == b""
    assert "\x1b" not in errors.decode()
    assert "\u202e" not in errors.decode()
    assert r"error: cannot read the image red\x1b[31m\nstn-rectify: all is well\u202e.png: " in errors.decode()


def test_escaped_keeps_what_can_be_read() -> None:
    assert escaped("Größe 例 · 3 px") == "Größe 例 · 3 px"
    assert escaped(os.fsdecode(b"caf\xe9.mp4")) == r"caf\udce9.mp4"
    assert escaped("a\tb\rc\x7f\x9b") == r"a\tb\rc\x7f\x9b"


def test_one_line_of_a_library_is_left_out_and_all_else_comes(capfd: pytest.CaptureFixture[str]) -> None:
    def call() -> None:
        os.write(2, b"ERROR: bad\nINFO: made\nINFO: made it\nno end")
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"), stderr_without(b"INFO: made"):
        call()
    assert capfd.readouterr().err == "ERROR: bad\nINFO: made it\nno end"
    os.write(2, b"INFO: made\n")
    assert capfd.readouterr().err == "INFO: made\n"
