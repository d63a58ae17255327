"""`stn-rectify` told wrongly, or failing: one line, and the traceback with --debug."""

from __future__ import annotations

from pathlib import Path

import pytest

from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.command.cli import main


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param([], 2, "one of the arguments", id="nothing"),
        pytest.param(["--demo", "--camera", "0"], 2, "not allowed with", id="two sources"),
        pytest.param(
            ["--camera", "0", "--camera", "1"],
            2,
            "argument --camera: is given more than once, but a run has one source: keep one of them",
            id="two cameras",
        ),
        pytest.param(
            ["--video", "rtsp://me:SECRET@cam", "--video", "a.mp4"],
            2,
            "argument --video: is given more than once",
            id="two videos",
        ),
        pytest.param(["docter"], 2, "there is no such file or folder", id="no such thing"),
        pytest.param(["docter"], 2, "camera; did you mean doctor?", id="misspelt command"),
        pytest.param([""], 2, "'' is nothing to rectify", id="an empty word"),
        pytest.param(["photo.jpg"], 1, "image photo.jpg does not exist", id="no such image"),
        pytest.param(["nothere/"], 1, "folder nothere/ does not exist: check the path", id="no such folder"),
        pytest.param(["scans/nothere"], 1, "image scans/nothere does not exist: check the path", id="no such path"),
        pytest.param(["clip.mp4"], 1, "clip.mp4", id="no such video"),
        pytest.param(
            ["rtsp://me:SECRET@cam/1", "clip.mp4"], 2, "rtsp://cam/1 need not end: name it last", id="an endless one"
        ),
        pytest.param(["frame%04d.png"], 2, "is a pattern of images: write 'frame*.png'", id="FFmpeg's pattern"),
        pytest.param(["demo", "photo.jpg"], 2, "demo is the sample, which goes with nothing else", id="demo and more"),
        pytest.param(
            ["--camera", "0", "rtsp://me:SECRET@cam/1"],
            2,
            "rtsp://cam/1 beside --camera: a run has one source",
            id="two kinds",
        ),
        pytest.param(["--camera", "0", "doctor"], 2, "'doctor' is nothing to rectify", id="a command behind options"),
        pytest.param([], 2, "name a file, folder, address or camera; or one of the arguments --image", id="nothing"),
        pytest.param(["--demo", "-q", "-v"], 2, "--quiet and --verbose exclude each other", id="quiet and verbose"),
        pytest.param(["--json", "-"], 2, "unrecognized option --json: did you mean --jsonl?", id="cut short"),
        pytest.param(["--jsn", "-"], 2, "unrecognized option --jsn: did you mean --jsonl?", id="misspelt"),
        pytest.param(["--tokn=SECRET"], 2, "unrecognized option --tokn: did you mean --token?", id="misspelt secret"),
        pytest.param(["--min_score", "1"], 2, "--min_score: did you mean --min-score?", id="underscore"),
        pytest.param(["-image", "a"], 2, "unrecognized option -image: did you mean --image?", id="one dash"),
        pytest.param(["--zzz"], 2, "unrecognized option --zzz (see stn-rectify --help)", id="nothing like it"),
        pytest.param(["--demo", "--save", "out.png"], 2, "out.png would be a folder", id="a picture as a folder"),
        pytest.param(["--demo", "--width", "640"], 2, "--width needs --camera", id="camera option"),
        pytest.param(["--demo", "--rotation", "45"], 2, "invalid choice: 45", id="rotation"),
        pytest.param(["--demo", "--roi", "0,0,0.5"], 2, "is not X,Y,W,H", id="roi of three"),
        pytest.param(["--demo", "--roi", "0.5,0,0.6,1"], 2, "at most 1", id="roi beyond the frame"),
        pytest.param(["--demo", "--roi", "all"], 2, "is not X,Y,W,H", id="roi without numbers"),
        pytest.param(["--demo", "--min-score", "50"], 2, "not a number from 0 to 1", id="score in percent"),
        pytest.param(["--demo", "--on-miss", "drop"], 2, "invalid choice: 'drop'", id="on-miss"),
        pytest.param(["--demo", "--smooth"], 2, "--smooth needs --camera or --video", id="smoothed images"),
        pytest.param(["--video", "a.mp4", "--smooth-cutoff", "2"], 2, "--smooth-cutoff needs --smooth", id="no smooth"),
        pytest.param(
            ["--video", "a.mp4", "--smooth", "--smooth-cutoff", "0"], 2, "'0' is not a number of Hz", id="no cutoff"
        ),
        pytest.param(
            ["--demo", "--scan-every", "5"], 2, "--scan-every needs --camera or --video", id="followed images"
        ),
        pytest.param(["--demo", "--threads", "0"], 2, "whole number from 1", id="threads"),
        pytest.param(["--demo", "--refine", "101"], 2, "'101' is not a whole number from 0 to 100", id="refine"),
        pytest.param(["--demo", "--scan", "all"], 2, "invalid choice: 'all'", id="scan"),
        pytest.param(["--demo", "--margin", "-0.1"], 2, "'-0.1' is not a number from 0 to 4", id="negative margin"),
        pytest.param(["--demo", "--margin", "8%"], 2, "'8%' is not a number from 0 to 4", id="margin in percent"),
        pytest.param(["--demo", "--output-size", "big"], 2, "WIDTHxHEIGHT", id="size"),
        pytest.param(["--image", "x.png", "--output-size", "x"], 2, "WIDTHxHEIGHT", id="no size"),
        pytest.param(["--image", "x.png", "--output-size", "0x0"], 2, "1 to 16384", id="zero size"),
        pytest.param(["--image", "x.png", "--output", "model"], 2, "pose-only", id="pose-only"),
        pytest.param(["--demo", "--jsonl="], 2, "--jsonl is empty", id="empty results file"),
        pytest.param(["--demo", "--save="], 2, "--save is empty", id="empty folder"),
        pytest.param(["--demo", "--model", ""], 2, "--model is empty", id="empty model"),
        pytest.param(["--video", ""], 2, "--video is empty", id="empty video"),
        pytest.param(["--camera", ""], 2, "--camera is empty", id="empty camera"),
        pytest.param(["--image", "x.png", ""], 2, "--image is empty", id="empty image"),
        pytest.param(["--video", "x" * 300], 1, "does not exist", id="video with an over-long name"),
        pytest.param(["--image", "nowhere.png"], 1, "nowhere.png does not exist", id="image"),
        pytest.param(["--video", "nowhere.avi"], 1, "nowhere.avi does not exist", id="video"),
        pytest.param(["--camera", "987"], 1, "/dev/video987 does not exist", id="camera"),
        pytest.param(["--demo", "--model", "no.tflite"], 1, "no.tflite does not exist", id="model"),
    ],
)
def test_errors_are_one_line(
    model: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(model)]
    try:
        returned: object = main(arguments)
    except SystemExit as ended:  # argparse's way
        returned = ended.code
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("INFO")]
    assert returned == status
    assert len(lines) == 1
    assert lines[0].startswith("stn-rectify: error: ")
    assert message in lines[0]
    assert "SECRET" not in lines[0]


def test_debug_gives_the_traceback(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", "nowhere.png", "--model", str(model), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_one_line_and_debug_gives_the_traceback(
    model: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero\nand more")

    monkeypatch.setattr(Rectifier, "locate", fail)
    arguments = ["--image", str(images), "--model", str(model)]
    assert main(arguments) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "stn-rectify: error: unexpected ZeroDivisionError: by zero (run again with --debug for the traceback)"
    )
    assert main([*arguments, "--debug"]) == 1
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert errors.endswith("unexpected ZeroDivisionError: by zero\n")
