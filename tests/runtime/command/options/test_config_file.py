from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import (
    NOT_IN_FILES,
    RunOptions,
    make_parser,
    options_as_toml,
    parse_options,
)

ALL = """
image = ["a", "b"]
width = 800
height = 600
framerate = 30
fourcc = "MJPG"
hflip = true
vflip = true
rotation = 180
roi = "0.25,0.25,0.5,0.5"
model = "fast"
threads = 2
output = "frame"
output-size = "320x240"
refine = 0
scan = "fine"
margin = 0.1
recognizer = "digits"
min-score = 0.7
on-miss = "skip"
smooth = true
jsonl = "-"
save = "out"
frames = 5
debug = true
"""


def write(folder: Path, text: str) -> str:
    file = folder / "options.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def without_file(options: RunOptions) -> RunOptions:
    return replace(options, program=replace(options.program, config=None))


def test_a_file_says_what_the_command_line_would(tmp_path: Path) -> None:
    words = (
        "--image a b --width 800 --height 600 --framerate 30 --fourcc MJPG --hflip --vflip --rotation 180 "
        "--roi 0.25,0.25,0.5,0.5 --model fast --threads 2 --output frame --output-size 320x240 --refine 0 "
        "--scan fine --margin 0.1 --recognizer digits --min-score 0.7 --on-miss skip --smooth --jsonl - --save out "
        "--frames 5 --debug"
    )
    assert without_file(parse_options(["--config", write(tmp_path, ALL)])) == parse_options(words.split())


def test_numbers_and_single_words_where_they_are_natural(tmp_path: Path) -> None:
    assert parse_options(["--config", write(tmp_path, "camera = 0\n")]).source.camera == "0"
    assert parse_options(["--config", write(tmp_path, 'image = "one.png"\n')]).source.image == ("one.png",)
    assert parse_options(["--config", write(tmp_path, "\ufeffdemo = true\nmin-score = 1\n")]).target.min_score == 1.0


def test_false_and_values_that_begin_with_a_dash(tmp_path: Path) -> None:
    text = 'image = ["-x.png", "-", "--jsonl"]\nhflip = false\nreconnect = false\nmqtt-discovery = "-"\ndemo = false\n'
    options = parse_options(["--config", write(tmp_path, text)])
    assert options.source.image == ("-x.png", "-", "--jsonl")
    assert (options.view.hflip, options.reconnection.reconnect, options.source.demo) == (False, False, False)
    assert (options.mqtt.mqtt_discovery, options.results.jsonl) == ("-", None)


def test_the_command_line_wins(tmp_path: Path) -> None:
    words = "--threads 1 --min-score 0.2 --image c --on-miss pass --rotation 0"
    options = parse_options(["--config", write(tmp_path, ALL), *words.split()])
    assert (options.model.threads, options.target.min_score, options.source.image) == (1, 0.2, ("c",))
    assert (options.target.on_miss, options.view.rotation) == ("pass", 0)
    assert options.results.frames == 5


def test_lists_of_the_command_line_replace_the_files(tmp_path: Path) -> None:
    file = write(tmp_path, 'image = ["a", "b"]\nserve = "0"\nserve-models = ["fast"]\n')
    words = "--image c --image d e --serve-models general --serve-models digits"
    options = parse_options(["--config", file, *words.split()])
    assert (options.source.image, options.web.serve_models) == (("c", "d", "e"), ("general", "digits"))
    options = parse_options(["--config", file])
    assert (options.source.image, options.web.serve_models) == (("a", "b"), ("fast",))


def test_a_source_replaces_the_files_source_and_what_only_that_takes(tmp_path: Path) -> None:
    file = write(tmp_path, "camera = 0\nwidth = 1280\nsmooth = true\nscan-every = 5\nevery = 3\nthreads = 2\n")
    for words in (["--demo"], ["--image", "a.png"]):
        images = parse_options([*words, "--config", file])
        assert (images.source.camera, images.camera.width, images.target.smooth) == (None, None, False)
        assert (images.target.scan_every, images.schedule.every, images.model.threads) == (1, 1, 2)
    video = parse_options(["--config", file, "--video", "a.mp4"])
    assert (video.source.camera, video.source.video) == (None, "a.mp4")
    assert (video.camera.width, video.target.smooth, video.schedule.every) == (None, True, 3)
    other = parse_options(["--config", file, "--camera", "1"])
    assert (other.source.camera, other.camera.width, other.target.smooth) == ("1", 1280, True)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("--print-config", id="defaults"),
        pytest.param("--camera 0 --width 320 --framerate 29.97 --fourcc YUYV --smooth", id="camera"),
        pytest.param("--image a b --roi 0.1,0.2,0.3,0.4 --output-size 32x24 --min-score 1e-7 --save x", id="images"),
    ],
)
def test_what_is_printed_can_be_read_back(tmp_path: Path, words: str) -> None:
    before = parse_options([*words.split(), "--print-config"])
    after = parse_options(["--config", write(tmp_path, options_as_toml(before)), "--print-config"])
    assert without_file(after) == before


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("rtsp://me:SECRET@cam/1?key=SECRET", "rtsp://***@cam/1?***"),
        ("HTTP://cam/video?token=SECRET", "HTTP://cam/video?***"),
        ("rtsp://me:SECRET/@SECRET@cam:554/1", "rtsp://***@cam:554/1"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("clip?***@.mp4", "clip?***@.mp4"),
    ],
)
def test_a_streams_secrets_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, printed: str
) -> None:
    assert main(["--video", url, "--print-config"]) == 0
    text = capsys.readouterr().out
    assert f'video = "{printed}"' in text.splitlines()
    assert "SECRET" not in text
    status = main(["--config", write(tmp_path, text), "--print-config"])
    message = "options.toml: video: the URL has ***, as --print-config writes it: put user and password"
    if printed == url:
        assert (status, capsys.readouterr().out) == (0, text)
    else:
        errors = capsys.readouterr().err
        assert (status, len(errors.splitlines()), message in errors) == (2, 1, True)


def test_any_text_can_be_read_back(tmp_path: Path) -> None:
    names = ['quo"te', "back\\slash", "line\nbreak", "é 字 🙂", "".join(map(chr, range(1, 128)))]
    before = parse_options(["--image", *names])
    assert parse_options(["--config", write(tmp_path, options_as_toml(before))]).source.image == tuple(names)


def test_every_option_stands_in_the_printed_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    keys = {line.lstrip("# ").partition(":")[0].partition(" =")[0] for line in lines}
    options = set(re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)", make_parser().format_help(), re.MULTILINE))
    assert "min-score" in keys & options
    assert options - keys == {"help", "help-all", "version", *NOT_IN_FILES}


def test_print_config_prints_what_a_run_would_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", write(tmp_path, ALL), "--video", "x.mp4", "--min-score", "0.5", "--print-config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {'video = "x.mp4"', "min-score = 0.5", "threads = 2", 'output-size = "320x240"'} < set(lines)
    assert not [line for line in lines if line.startswith("image")]


def test_a_run_from_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'demo = true\nmodel = "fast"\njsonl = "out.jsonl"\n')
    command = [sys.executable, "-m", "stn_rectify.runtime.command.cli", "--config", file]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.jsonl").read_text())["source"].endswith("demo.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("min_score = 0.7", "unknown key 'min_score': did you mean min-score?", id="underscore"),
        pytest.param("treads = 2", "unknown key 'treads': did you mean threads?", id="misspelt"),
        pytest.param("json = '-'", "unknown key 'json': did you mean jsonl?", id="cut short"),
        pytest.param("zzz = 2", "unknown key 'zzz': --help lists the options", id="nothing like it"),
        pytest.param("config = 'x.toml'", "unknown key 'config'", id="a file in a file"),
        pytest.param("threads = '2'", "threads: takes a whole number, not a string", id="number as text"),
        pytest.param("threads = 2.0", "threads: takes a whole number, not a decimal number", id="fraction"),
        pytest.param("threads = true", "threads: takes a whole number, not true or false", id="bool as number"),
        pytest.param("threads = 0", "threads: '0' is not a whole number from 1", id="out of range"),
        pytest.param("min-score = 50", "min-score: '50' is not a number from 0 to 1", id="score in percent"),
        pytest.param("min-score = nan", "min-score: 'nan' is not a number from 0 to 1", id="not a number"),
        pytest.param("hflip = 'yes'", "hflip: takes true or false, not a string", id="word for a flag"),
        pytest.param("hflip = 1", "hflip: takes true or false, not a whole number", id="number for a flag"),
        pytest.param("model = false", "model: takes a string, not true or false", id="bool as text"),
        pytest.param("model = ['a']", "model: takes a string, not a list", id="list as text"),
        pytest.param("model = ''", "model: is empty", id="empty text"),
        pytest.param("image = []", "image: is empty", id="empty list"),
        pytest.param("image = ['a', '']", "image: is empty", id="empty item"),
        pytest.param(
            "image = [1]",
            "image: takes a string or a list of strings, not a list of other things",
            id="list of numbers",
        ),
        pytest.param("roi = [0, 0, 1, 1]", "roi: takes a string, not a list", id="region as a list"),
        pytest.param("roi = 'all'", "roi: 'all' is not X,Y,W,H", id="region without numbers"),
        pytest.param("output-size = 320", "output-size: takes a string, not a whole number", id="size as number"),
        pytest.param("rotation = 45", "rotation: invalid choice: 45 (choose from 0, 90, 180, 270)", id="choice"),
        pytest.param("on-miss = 'drop'", "on-miss: invalid choice: 'drop'", id="choice of words"),
        pytest.param("[camera]\nwidth = 3", "camera: takes a string, not a table", id="table"),
        pytest.param("camera = 2020-01-01", "camera: takes a string, not a date or time", id="date"),
        pytest.param("demo = true\ncamera = 0", "camera and demo exclude each other", id="two sources"),
        pytest.param("threads 2", "is not a TOML file (", id="no TOML"),
        pytest.param("threads = 2\nthreads = 3", "is not a TOML file (", id="twice the same key"),
        pytest.param("width = 5\nimage = 'a'", "--width needs --camera", id="options that do not go together"),
        pytest.param("threads = 2", "one of the arguments --image --video --camera", id="no source"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    file = write(tmp_path, text)
    check_error(["--config", file], message, capsys)


def test_errors_name_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "threads = '2'")
    check_error(["--demo", "--config", file], f"{file}: threads: takes", capsys)
    (tmp_path / "options.toml").write_bytes(b"model = '\xff'")
    check_error(["--demo", "--config", file], f"{file} is not UTF-8 text", capsys)
    missing = str(tmp_path / "missing.toml")
    check_error(["--demo", "--config", missing], f"cannot read the configuration {missing}: No such file", capsys)
    check_error(["--demo", "--config", str(tmp_path)], f"cannot read the configuration {tmp_path}: Is a dir", capsys)
    check_error(["--demo", "--config", ""], "--config is empty", capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video = 'rtsp://me:SECRET@cam/***'", "video: the URL has ***"),
        ("mqtt = 'http://me:SECRET@host'", "mqtt: the MQTT address is not mqtt"),
        ("mqtt = 'mqtt://me:SECRET@host/a+'", "mqtt: an MQTT topic to publish to has no +"),
        ("token = ['SECRET']", "token: takes a string, not a list"),
        ("tokn = 'SECRET'", "unknown key 'tokn': did you mean token?"),
        ("token = SECRET", "is not a TOML file ("),
    ],
)
def test_errors_keep_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    assert "SECRET" not in check_error(["--demo", "--config", write(tmp_path, text)], message, capsys)


def test_a_token_stands_neither_in_the_printed_file_nor_in_the_options_repr(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--demo", "--serve", "0", "--token", "SECRET", "--mqtt", "mqtt://me:SECRET@host"]
    assert main([*words, "--print-config"]) == 0
    assert "SECRET" not in capsys.readouterr().out
    assert "SECRET" not in repr(parse_options(words))


def test_a_name_that_is_no_text_cannot_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    check_error(["--image", "\udcff.png", "--print-config"], "--image is not Unicode text", capsys)


def check_error(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> str:
    try:
        status: object = main(words)
    except SystemExit as ended:  # argparse's way
        status = ended.code
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("stn-rectify: error: ")
    assert message in shown.err
    return shown.err
