"""More threads than cores are not taken: each frame would take many times as long."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stn_rectify.runtime import Recognizer, Rectifier
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.process import cores


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    monkeypatch.setattr(cores, "_told", set())


@pytest.mark.parametrize("threads", [3, 64, 4000, 10**20 - 1])
def test_they_are_bounded_by_the_cores_with_a_warning(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    with Rectifier("fast", threads=threads) as rectifier, Recognizer("digits", threads=threads):
        assert rectifier.threads == 2
    warning = f"threads is {threads if threads < 10**6 else 'over a million'}, but this process has 2 cores"
    assert [record.getMessage() for record in caplog.records] == [f"{warning}: it computes with 2"]


def test_as_many_as_there_are_cores_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    with Rectifier("fast", threads=2) as rectifier:
        assert rectifier.threads == 2
    assert not caplog.records


@pytest.mark.parametrize("threads", ["64", "99999999999999999999"])
def test_so_it_is_on_the_command_line_and_in_a_file(
    threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "options.toml").write_text(f"demo = true\nmodel = 'fast'\nthreads = {threads}\n")
    for words in (["--demo", "--model", "fast", "--threads", threads], ["--config", str(tmp_path / "options.toml")]):
        assert main(words) == 0
        assert ", 2 threads" in capsys.readouterr().err
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
