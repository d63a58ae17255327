"""``stn-rectify --serve`` as a program."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime.command.cli import main
from tests.waiting import DEADLINE_S, wait_for

TOKEN = "correct-horse"
StartProgram = Callable[..., Any]


def test_images_stay_in_view_until_ctrl_c(started: StartProgram, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", tmp_path / "out.jsonl"
    words = ("--demo", "--model", "fast", "--serve", 0, "--serve-models", "general", "--save", out, "--jsonl", lines)
    program = started(*words)
    state = program.wait_for("api/state", lambda state: state["all_done"])
    assert state["models"] == ["fast", "general"]
    saving = {"is_on": True, "impossible_because": None, "folder": str(out), "saved": 1, "unsaved": 0, "fault": None}
    assert state["saving"] == saving
    assert json.loads(program.get("api/latest")) == json.loads(lines.read_text())
    wait_for(
        "the names of the pictures, which the run's end does not wait for", lambda: len(list(out.glob("[!.]*"))) == 2
    )
    saved = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    assert len(saved) == 2
    program.post("api/model", {"name": "general"})
    program.wait_for("api/state", lambda later: later["latest"]["corners"] != state["latest"]["corners"])
    shown = program.wait_for("api/readings", lambda answer: answer["readings"])["readings"]
    assert [one["frame"] for one in shown] == [0]  # of both models: the same frame again is the same reading
    program.post("api/settings", {"margin": 0.5, "roi": [0, 0, 0.9, 1]})
    program.wait_for("api/state", lambda later: later["frame_size"][0] < state["frame_size"][0])
    program.post("api/settings", {"margin": 0, "roi": None})
    program.wait_for("api/state", lambda later: later["frame_size"] == state["frame_size"])
    program.post("api/snapshot", {})
    program.wait_for("api/state", lambda state: state["notice"]["text"] == "frame 0 saved")
    assert {file.name for file in out.iterdir()} == set(saved)
    assert all(file.stat().st_mtime_ns > saved[file.name] for file in out.iterdir())
    said = program.stop()
    assert "all frames are done" in said
    assert "1 frame in " in said.splitlines()[-1]
    assert len(lines.read_text().splitlines()) == 1


def test_ctrl_c_ends_a_run_with_an_open_stream(started: StartProgram) -> None:
    program = started("--demo", "--model", "fast", "--serve", 0)
    host, _, port = program.url.removeprefix("http://").rstrip("/").rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as client:
        client.sendall(
            b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert client.recv(12) == b"HTTP/1.1 101"
        program.wait_for("api/state", lambda state: state["all_done"])
        assert "1 frame in " in program.stop().splitlines()[-1]


def test_a_limit_ends_the_view(started: StartProgram) -> None:
    program = started("--demo", "--model", "fast", "--serve", 0, "--frames", 1)
    assert program.process.wait(DEADLINE_S) == 0


def test_the_token_comes_from_the_environment_and_is_not_said(started: StartProgram) -> None:
    program = started("--demo", "--model", "fast", "--serve", "0.0.0.0:0", STN_RECTIFY_TOKEN=TOKEN)
    program.url = re.sub(r"//.*:", "//127.0.0.1:", program.url)
    assert json.loads(program.get("api/state", Authorization=f"Bearer {TOKEN}"))["model"] == "fast"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        program.get("api/state")
    assert TOKEN not in program.stop()


def test_options_from_a_file_and_the_token_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "options.toml"
    file.write_text(f'demo = true\nserve = 8080\ntoken = "{TOKEN}"\nserve-models = ["fast"]\n')
    assert main(["--config", str(file), "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert {'serve = "8080"', 'serve-models = ["fast"]'} < set(printed.splitlines())
    assert "# token: " in printed
    assert TOKEN not in printed


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        pytest.param(["--serve", "web"], 2, "'web' is no address to serve at", id="no port"),
        pytest.param(["--serve", "0.0.0.0:0"], 2, "give a token as well (--token or STN_RECTIFY_TOKEN)", id="no token"),
        pytest.param(["--serve", "no.such.host.invalid:0"], 1, "'no.such.host.invalid': ", id="a name not known yet"),
        pytest.param(["--serve", f"{'a' * 64}:0"], 2, "no such host", id="never a name"),
        pytest.param(
            ["--serve", "192.0.2.1:0", "--token", TOKEN], 1, "192.0.2.1 is no address of this machine", id="elsewhere"
        ),
        pytest.param(["--serve", "0", "--token", "short"], 2, "8 characters or more", id="short token"),
        pytest.param(["--serve", "0", "--token", ""], 2, "--token is empty", id="empty token"),
        pytest.param(["--serve", ""], 2, "--serve is empty", id="empty address"),
        pytest.param(["--token", TOKEN], 2, "--token needs --serve", id="token alone"),
        pytest.param(["--serve-models", "fast"], 2, "--serve-models needs --serve", id="models alone"),
        pytest.param(["--serve", "0", "--serve-models", "no.tflite"], 1, "no.tflite does not exist", id="model"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, message: str
) -> None:
    monkeypatch.delenv("STN_RECTIFY_TOKEN", raising=False)
    assert main(["--demo", "--model", "fast", *words]) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("INFO")]
    assert len(lines) == 1
    assert lines[0].startswith("stn-rectify: error: ")
    assert message in lines[0]


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--demo", "--model", "fast", "--serve", str(port)]) == 1
    assert f"cannot serve on 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err.splitlines()[-1]
