"""Names that are no text, for every option that takes a path: a run, or one line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import pytest

from stn_rectify.runtime.command.cli import main
from tests.runtime.process.conftest import DEMO

FOLDER, VIDEO, IMAGE = (os.fsdecode(name) for name in (b"ou\xe9t", b"caf\xe9.avi", b"caf\xe9.jpg"))


@pytest.fixture(autouse=True)
def names(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder holds such files."""
    (tmp_path / FOLDER).mkdir()
    shutil.copy(DEMO, tmp_path / IMAGE)
    shutil.copy(DEMO, tmp_path / FOLDER / IMAGE)
    shutil.copy(video, tmp_path / VIDEO)
    shutil.copy(DEMO.with_name("fast.tflite"), tmp_path / os.fsdecode(b"m\xe9.tflite"))
    (tmp_path / os.fsdecode(b"l\xe9.txt")).write_text("\n".join("0123456789"))
    (tmp_path / os.fsdecode(b"c\xe9.toml")).write_text("demo = true\nmodel = 'fast'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words: str) -> int:
    """Runs the command; ``@`` stands for the byte that is no text."""
    return main([word.replace("@", "\udce9") for word in words.split()])


@pytest.mark.parametrize(
    "words",
    [
        "--image caf@.jpg --model fast",
        "--image ou@t/* --model fast",
        "--video caf@.avi --model fast --frames 1",
        "--demo --model fast --output ou@t/o.mkv",
        "--demo --model fast --output o@.mp4",
        "--demo --model fast --jsonl ou@t/a.jsonl",
        "--demo --model fast --save ou@t/s",
        "--demo --model m@.tflite",
        "--demo --recognizer digits --labels l@.txt",
        "--config c@.toml",
        "--demo --serve 0 --model fast --serve-models m@.tflite --frames 1",
        "evaluate --empty ou@t --model fast --json ou@t/j.json --sheet ou@t/s.png",
    ],
)
def test_a_path_may_have_any_bytes(words: str) -> None:
    assert run(words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--image nix@.jpg", r"image nix\udce9.jpg does not exist"),
        ("--image nix@*", r"nothing matches nix\udce9*"),
        ("--video nix@.avi", r"video nix\udce9.avi does not exist"),
        ("--video rtsp://localhost/@", r"the URL rtsp://localhost/\udce9 is not Unicode text"),
        ("--camera /dev/video@", r"camera /dev/video\udce9 does not exist"),
        ("--demo --output no@/o.mkv", r"cannot write no\udce9/o.mkv: No such file or directory"),
        ("--demo --jsonl no@/a.jsonl", r"cannot write no\udce9/a.jsonl: No such file or directory"),
        ("--demo --save c@.toml", r"c\udce9.toml is a file: name a folder for the pictures"),
        ("--demo --model no@.tflite", r"model file no\udce9.tflite does not exist"),
        ("--demo --recognizer no@", r"no bundled recognizer 'no\udce9'"),
        ("--demo --recognizer digits --labels no@", r"labels no\udce9 cannot be read"),
        ("--demo --recognizer digits --known no@", r"no\udce9"),
        ("--demo --recognizer digits --label-map no@", r"no\udce9"),
        ("--demo --recognizer-command no@", r"no\udce9"),
        ("--config no@", r"cannot read the configuration no\udce9"),
        ("--demo --mqtt mqtt://localhost --mqtt-discovery @", "discovery_prefix (--mqtt-discovery) is"),
        ("--image caf@.jpg --print-config", "--image is not Unicode text, which TOML has to be"),
        ("evaluate no@", r"no\udce9"),
        ("evaluate --empty no@", r"no\udce9"),
    ],
)
def test_what_is_wrong_with_such_a_name_is_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) in (1, 2)
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert "unexpected" not in said[-1]


def test_an_address_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--demo --mqtt mqtt://localhost/@")
    assert "the MQTT address is not Unicode text: write the other bytes as %XX" in capsys.readouterr().err


def test_the_pictures_are_those_of_the_file(names: Path) -> None:
    """The video that is written can be read again, and JSON has the name as Python does."""
    assert run("--video caf@.avi --frames 3 --model fast --jsonl a.jsonl --output o@.mkv") == 0
    assert [json.loads(line)["source"] for line in (names / "a.jsonl").read_text().splitlines()] == [VIDEO] * 3
    written = names / os.fsdecode(b"o\xe9.mkv")
    assert [path for path in names.iterdir() if path.suffix == ".mkv"] == [written]
    written.rename(names / "o.mkv")
    assert cv2.VideoCapture(str(names / "o.mkv")).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_an_evaluation_writes_such_names_as_json_does(names: Path) -> None:
    assert run("evaluate --empty ou@t --model fast --json j.json") == 0
    content = (names / "j.json").read_bytes()
    assert b"caf\\udce9.jpg" in content
    assert IMAGE in json.dumps(json.loads(content), ensure_ascii=False)
