"""More threads than cores are not taken: each frame would take many times as long."""

from __future__ import annotations

from pathlib import Path

import pytest

from stn_rectify.runtime import Recognizer, Rectifier, StnRectifyWarning
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.process import cores


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)


@pytest.mark.parametrize("threads", [3, 64, 4000, 10**20 - 1])
def test_they_are_bounded_by_the_cores_with_a_warning(threads: int) -> None:
    warning = f"threads is {threads if threads < 10**6 else 'over a million'}, but this process has 2 cores"
    with pytest.warns(StnRectifyWarning, match=warning), Recognizer("digits", threads=threads):
        rectifier = Rectifier("fast", threads=threads)
    with rectifier:
        assert rectifier.threads == 2


@pytest.mark.filterwarnings("error")
def test_as_many_as_there_are_cores_are_taken() -> None:
    with Rectifier("fast", threads=2) as rectifier:
        assert rectifier.threads == 2


@pytest.mark.parametrize("threads", ["64", "99999999999999999999"])
def test_so_it_is_on_the_command_line_and_in_a_file(
    threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options.toml").write_text(f"demo = true\nmodel = 'fast'\nthreads = {threads}\n")
    for words in (["--demo", "--model", "fast", "--threads", threads], ["--config", str(tmp_path / "options.toml")]):
        assert main(words) == 0
        said = capsys.readouterr().err
        assert ", 2 threads" in said
        assert said.count("stn-rectify: warning: threads is ") == 1
