"""What the command lines of all three programs share."""

from __future__ import annotations

import argparse

import pytest

from stn_rectify.runtime.command.parsing.parser import OneLineParser, did_you_mean, number, whole_number


def parser() -> OneLineParser:
    made = OneLineParser(prog="program")
    made.add_argument("--jsonl")
    commands = made.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", example="program train m --out x")
    train.add_argument("model")
    train.add_argument("--out", required=True)
    train.add_argument("--shape", choices=("affine", "projective"))
    train.add_argument("--sheet", action=argparse.BooleanOptionalAction)
    return made


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--json - train m --out x", "program: error: unrecognized option --json: did you mean --jsonl?"),
        ("--json=- train m --out x", "program: error: unrecognized option --json: did you mean --jsonl?"),
        ("train m --out x --no-shet", "program train: error: unrecognized option --no-shet: did you mean --no-sheet?"),
        ("train m --ot x", "program train: error: unrecognized option --ot: did you mean --out?"),
        ("train m --out x --zzzz", "program train: error: unrecognized option --zzzz"),
        ("train m --out x -z", "program train: error: unrecognized option -z"),
        ("train m n --out x", "program train: error: unrecognized arguments: n"),
        ("train m", "are required: --out; for example: program train m --out x (see"),
        ("trin m", "did you mean train?"),
        ("train m --out x --shape projectiv", "did you mean projective?"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_what_was_meant(
    capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words.split())
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert line in said
    assert said.count("\n") == 1
    assert said.endswith(" --help)\n")


def test_options_are_not_abbreviated() -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--json", "-", "train", "m", "--out", "x"])
    assert parser().parse_args(["train", "m", "--out", "x"]).out == "x"


def test_words_that_are_no_options_keep_their_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "m", "--out", "x", "rtsp://ann:secret@camera/stream"])
    assert "secret" not in capsys.readouterr().err


def test_nothing_is_suggested_for_a_word_like_none() -> None:
    assert did_you_mean("--zzzz", ["--out", "--jsonl"]) == ""
    assert did_you_mean("--foo", ["--smooth", "--vote"]) == ""  # dashes make no option like another
    assert did_you_mean("--HFlip", ["--vflip", "--hflip"]) == ": did you mean --hflip?"
    assert did_you_mean("--save_limit", ["--save-limit", "--save-every"]) == ": did you mean --save-limit?"
    assert did_you_mean("--save-l", ["--save-limit", "--smooth"]) == ": did you mean --save-limit?"


@pytest.mark.parametrize("text", ["", "-1", "3", "1.5", "one", "1e0"])
def test_whole_numbers_have_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 0 to 2"):
        whole_number(0, 2)(text)
    assert [whole_number(0, 2)(good) for good in "012"] == [0, 1, 2]


@pytest.mark.parametrize("text", ["nan", "-0.1", "x", "", "inf"])
def test_numbers_fit_or_are_refused(text: str) -> None:
    parse = number("a small number", lambda value: 0 <= value <= 1)
    with pytest.raises(argparse.ArgumentTypeError, match="is not a small number"):
        parse(text)
    assert parse("0.5") == 0.5
