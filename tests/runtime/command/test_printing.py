"""What the command prints of itself and says while it runs: help, models, schema, completion, lines for people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import ModelFile, bundled_models
from stn_rectify.runtime.command import manual
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options import run_options
from stn_rectify.runtime.command.options.run_options import SHELLS, make_parser, parse_options
from stn_rectify.runtime.results.line import line_schema

ROOT = Path(__file__).parents[3]


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        assert main(words) == 0
    except SystemExit as end:
        assert end.code in (0, None)  # noqa: PT017
    return capsys.readouterr().out


def options_in(text: str) -> set[str]:
    return set(re.findall(r"^  (--[a-z][a-z0-9-]*)", text, re.MULTILINE))


def test_help_opens_with_four_examples_and_has_the_usual_options(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["--help"], capsys)
    opening = text[: text.index("options:")]
    assert len(re.findall(r"^  stn-rectify ", opening, re.MULTILINE)) == 4
    assert {"--image", "--video", "--camera", "--model", "--jsonl", "--save", "--help-all"} <= options_in(text)
    assert options_in(text) == {f"--{name}" for name in run_options._USUAL}, "each of them is an option"
    assert "--mqtt-discovery" not in text
    assert printed(["-h"], capsys) == text


def test_the_examples_of_the_help_are_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"^  stn-rectify (.+?)(?:   .*)?$", printed(["--help"], capsys), re.MULTILINE)
    for example in examples[:4]:
        words = ["demo" if word == "scans/" else word for word in example.split() if word != "photo.jpg"]
        assert parse_options(words).source.is_named, example


def test_help_all_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["--help-all"], capsys)
    every = {action.option_strings[0] for action in make_parser()._actions}
    assert options_in(text) == every


def test_list_models_names_each_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["--list-models"], capsys)
    for name in bundled_models():
        assert re.search(rf"^model +{name} +\(INT8, .*KB\)", text, re.MULTILINE), name
    assert re.search(r"^recognizer +digits +\(INT8", text, re.MULTILINE)
    assert text.count("(default)") == 1


def test_print_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(["--print-schema"], capsys)) == line_schema()


@pytest.mark.parametrize("words", [("--model", "fast"), ("--model", "plates", "--max-targets", "3")], ids=" ".join)
def test_lines_of_a_run_are_as_the_schema_says(words: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    lines = printed(["--demo", *words, "--jsonl", "-"], capfd).splitlines()
    assert len(lines) == 1
    jsonschema.Draft202012Validator(line_schema()).validate(json.loads(lines[0]))


def test_images_are_a_line_each_whatever_else_they_become(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(images), "--model", str(model)]
    for more in (["--save", str(tmp_path / "out")], ["--jsonl", str(tmp_path / "out.jsonl")]):
        assert main([*words, *more]) == 0
        assert capsys.readouterr().err.count("corners (") == 3
    assert main([*words, "--jsonl", "-"]) == 0
    assert "corners (" not in capsys.readouterr().err, "the JSON line stands in its place"
    assert main([*words, "--jsonl", "-", "--verbose"]) == 0
    assert re.search(r"one\.png frame 0: corners .* px", capsys.readouterr().err)


def test_quiet_leaves_errors_and_warnings(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(images), "--model", str(model), "--save", str(tmp_path / "out"), "-q"]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    (images / "one.png").write_bytes(b"broken")
    assert main(words) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "one.png" in said[0]


def test_a_video_is_a_line_each_only_when_asked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for _ in range(2):
        writer.write(np.full((48, 64, 3), 99, np.uint8))
    writer.release()
    words = [str(video), "--model", str(model)]
    assert main(words) == 0
    assert "corners (" not in capsys.readouterr().err
    assert main([*words, "-v"]) == 0
    assert re.findall(r"clip\.avi frame (\d)", capsys.readouterr().err) == ["0", "1"]


BASH = """
source "$1"
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_stn_rectify
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("--jso",), {"--jsonl"}),
        (("--rotation", ""), {"0", "90", "180", "270"}),
        (("--model", "gen"), {"general"}),
        (("--model", "mine"), {"mine.tflite"}),
        (("--image", "pho"), {"photo.jpg"}),
        (("--save", "fol"), {"folder"}),
        (("doc",), {"doctor"}),
        (("models", "ver"), {"verify"}),
        (("evaluate", "--emp"), {"--empty"}),
    ],
)
def test_bash_completes(tmp_path: Path, words: tuple[str, ...], offered: set[str]) -> None:
    pytest.importorskip("shtab")
    (tmp_path / "script").write_text(manual.completion("bash"))
    for name in ("photo.jpg", "mine.tflite"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    command = ["bash", "-c", BASH, "bash", str(tmp_path / "script"), "stn-rectify", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_with_the_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    script = printed(["--print-completion", shell], capsys)
    assert "min-score" in script
    assert "stn-rectify" in script


def test_help_says_which_bundled_models_turn_targets(capsys: pytest.CaptureFixture[str]) -> None:
    turning = [name for name in bundled_models() if ModelFile.open(name).metadata.turn is not None]
    said = f"the bundled {' and '.join(turning)} have the network for it"
    assert said in " ".join(printed(["--help-all"], capsys).split())


def test_without_the_extra_completion_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 1
    assert "completion needs the extra completion: " in capsys.readouterr().err


def test_the_man_page_in_docs_is_that_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m stn_rectify.runtime.command.manual > docs/reference/stn-rectify.1`` writes it."""
    pytest.importorskip("argparse_manpage")
    page = (ROOT / "docs" / "reference" / "stn-rectify.1").read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "100")
    assert r"usage: stn\-rectify models verify [\-h]" in page
    assert page.count(".nf\n") == page.count("usage: ") == page.count(".fi\n")  # as argparse has broken its lines
    if sys.version_info[:2] == (3, 11):  # other versions of argparse word it otherwise
        assert page == manual.man_page()
    for action in make_parser()._actions:
        for name in action.option_strings:
            if name not in ("--help", "-h"):
                assert name.replace("-", r"\-") in page or name in page, name
