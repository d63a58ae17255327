from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.command.options.run_options import options_as_toml, parse_options
from tests.waiting import DEADLINE_S

COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]


@pytest.mark.parametrize(
    ("words", "reconnect", "timeout_s"),
    [("", True, None), ("--no-reconnect", False, None), ("--reconnect --reconnect-timeout 2.5", True, 2.5)],
)
def test_reconnection_options_go_through_a_file(
    words: str, reconnect: bool, timeout_s: float | None, tmp_path: Path
) -> None:
    (tmp_path / "options.toml").write_text(options_as_toml(parse_options(["--camera", "0", *words.split()])))
    options = parse_options(["--config", str(tmp_path / "options.toml")]).reconnection
    assert (options.reconnect, options.reconnect_timeout) == (reconnect, timeout_s)
    options = parse_options(["--config", str(tmp_path / "options.toml"), "--reconnect"]).reconnection
    assert options.reconnect


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_reconnect_timeout_is_a_time_above_0(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--camera", "0", f"--reconnect-timeout={value}"])
    assert "is not a number of seconds above 0" in capsys.readouterr().err


def test_images_come_through_a_pipe_and_a_signal_ends_the_wait_for_the_next() -> None:
    image = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    reader, writer = os.pipe()
    arguments = ["--image", "-", "--model", "fast", "--jsonl", "-"]
    process = subprocess.Popen([*COMMAND, *arguments], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(writer, image * 2)
    assert process.stdout is not None
    assert b'"frame": 0' in process.stdout.readline()
    assert b'"frame": 1' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=DEADLINE_S)[1]
    os.close(reader)
    os.close(writer)
    assert process.returncode == 0
    assert b"2 frames in" in errors.splitlines()[-1]
