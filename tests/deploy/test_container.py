"""The container file: what it copies, asks and starts is what the tree has. Linted by .ci/security; built by hand."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import parse_options
from stn_rectify.runtime.command.upkeep.health import health_parser

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
PARTS = set(runpy.run_path(str(ROOT / "deploy" / "build_wheel.py"))["PARTS"])
NEEDED = PARTS | {"deploy/requirements.txt", "deploy/build_wheel.py"}


def _words(instruction: str) -> list[str]:
    """Of the last stage's, in the form of JSON."""
    (text,) = re.findall(rf"^{instruction} .*?(\[.*\])$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    words: list[str] = json.loads(text)
    return words


def test_it_copies_what_the_wheel_is_made_of_and_no_more() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == NEEDED


def test_nothing_else_is_sent_to_the_builder() -> None:
    lines = (CONTAINER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == NEEDED


def test_its_user_is_not_root() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    assert int(user) > 999
    assert f"useradd --uid {user} " in DOCKERFILE


def test_it_starts_a_run_whose_health_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert _words("ENTRYPOINT") == ["stn-rectify"]
    options = parse_options(_words("CMD"))
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert options.web.serve == f"0.0.0.0:{port}"
    program, command, *words = _words("HEALTHCHECK")
    assert (program, command) == ("stn-rectify", "health")
    _, address = health_parser().parse_args(words).address
    assert str(address.port) == port
    with pytest.raises(SystemExit) as ended:
        main(["health", "--help"])
    assert ended.value.code == 0
    assert "Asks a run with --serve how it is" in capsys.readouterr().out
