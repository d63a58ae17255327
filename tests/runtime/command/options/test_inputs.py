"""Sources that are named without an option: the kind is that of the thing, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.runtime import UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.command.options.run_options import check_options, options_as_toml, parse_options
from stn_rectify.runtime.command.options.source import open_source

TEXTURE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one thing of each kind, in which the command runs."""
    folder = tmp_path / "things"
    (folder / "photos").mkdir(parents=True)
    for name in ("photo.jpg", "photos/one.png", "no_suffix.png"):
        cv2.imwrite(str(folder / name), TEXTURE)
    (folder / "no_suffix.png").rename(folder / "no_suffix")
    Image.fromarray(TEXTURE).save(folder / "moves.gif", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    (folder / "moves").write_bytes((folder / "moves.gif").read_bytes())
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for _ in range(2):
        writer.write(TEXTURE)
    writer.release()
    (folder / "clip.avi").rename(folder / "recording")
    (folder / "clip.mp4").write_bytes(b"")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("photo.jpg", {"image": ("photo.jpg",)}),
        ("photos", {"image": ("photos",)}),
        ("photos/ photo.jpg no_suffix", {"image": ("photos/", "photo.jpg", "no_suffix")}),
        ("photos/*.png", {"image": ("photos/*.png",)}),
        ("**/*.jpg", {"image": ("**/*.jpg",)}),
        ("moves.gif", {"image": ("moves.gif",)}),
        ("moves", {"image": ("moves",)}),
        ("-", {"image": ("-",)}),
        ("recording", {"video": "recording"}),
        ("clip.mp4", {"video": "clip.mp4"}),
        ("rtsp://host/1", {"video": "rtsp://host/1"}),
        ("http://host/snap.jpg", {"video": "http://host/snap.jpg"}),
        ("0", {"camera": "0"}),
        ("/dev/video7", {"camera": "/dev/video7"}),
        ("picamera2:1", {"camera": "picamera2:1"}),
        ("auto", {"camera": "auto"}),
        ("demo", {"demo": True}),
        ("photo.jpg recording photos", {"input": ("photo.jpg", "recording", "photos")}),
        ("photo.jpg 0", {"input": ("photo.jpg", "0")}),
        ("--input photo.jpg photos", {"image": ("photo.jpg", "photos")}),
        ("--threads 2 photo.jpg --smooth photos", {"image": ("photo.jpg", "photos")}),
        ("--save out photo.jpg", {"image": ("photo.jpg",)}),
        ("--save=out photo.jpg", {"image": ("photo.jpg",)}),
        ("--output results.mkv recording", {"video": "recording"}),
        ("--output results.mkv clip.mp4", {"video": "clip.mp4"}),
        ("--output frame results.mkv clip.mp4", {"video": "clip.mp4"}),
        ("--output frame photo.jpg", {"image": ("photo.jpg",)}),
        ("recording --output results.mkv frame", {"video": "recording"}),
        ("-v photo.jpg -q", {"image": ("photo.jpg",)}),
        ("photo.jpg --image photos", {"image": ("photos", "photo.jpg")}),
        ("--smooth -- photo.jpg", {"image": ("photo.jpg",)}),
    ],
)
def test_the_kind_is_picked(things: Path, words: str, source: dict[str, object]) -> None:
    assert parse_options(words.split()).source.changed() == source


def test_a_name_with_a_dash_in_front_stands_behind_two(things: Path) -> None:
    (things / "photo.jpg").rename(things / "-v.jpg")
    assert parse_options(["--", "-v.jpg"]).source.image == ("-v.jpg",)
    assert parse_options(["-q", "--", "no_suffix", "-v.jpg"]).source.image == ("no_suffix", "-v.jpg")


def test_what_names_nothing_says_so(things: Path) -> None:
    with pytest.raises(UsageError, match="'notes' is nothing to rectify: there is no such file or folder"):
        parse_options(["photo.jpg", "notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("photos --video recording", "photos beside --video"),
        ("--demo photos", "photos beside --demo"),
        ("--video recording recording", "recording beside --video"),
        ("recording --image=photo.jpg", "recording beside --image"),
        ("--camera 0 photo.jpg recording", "photo.jpg beside --camera"),
    ],
)
def test_an_input_beside_another_ones_option_is_told_so_in_the_words_that_were_typed(
    things: Path, words: str, said: str
) -> None:
    with pytest.raises(UsageError, match=f"^{said}: a run has one source; name all inputs without an option"):
        parse_options(words.split())


def test_images_may_stand_beside_their_option(things: Path) -> None:
    assert parse_options(["photos", "--image", "photo.jpg"]).source.image == ("photo.jpg", "photos")


def test_a_misspelt_option_is_what_is_complained_about(things: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_status(["photo.jpg", "--jsn", "out.jsonl"]) == 2
    assert "unrecognized option --jsn: did you mean --jsonl?" in capsys.readouterr().err


def main_status(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as end:
        return int(str(end.code))


def test_a_file_of_options_names_inputs_too(things: Path) -> None:
    (things / "options.toml").write_text('input = ["photo.jpg", "photos"]\n')
    assert parse_options(["--config", "options.toml"]).source.image == ("photo.jpg", "photos")
    assert parse_options(["--config", "options.toml", "recording"]).source.changed() == {"video": "recording"}
    (things / "options.toml").write_text('input = "nothing"\n')
    with pytest.raises(UsageError, match=r"options.toml: input: 'nothing' is nothing to rectify"):
        parse_options(["--config", "options.toml"])
    mixed = parse_options(["photo.jpg", "recording"])
    (things / "options.toml").write_text(options_as_toml(mixed))
    assert parse_options(["--config", "options.toml"]).source == mixed.source


@pytest.mark.parametrize(
    ("words", "width"),
    [
        pytest.param(["photo.jpg", "recording"], None, id="no camera among them"),
        pytest.param(["photo.jpg", "0"], 640, id="a camera, which stands last"),
    ],
)
def test_several_inputs_leave_aside_what_the_file_says_of_others(
    things: Path, words: list[str], width: int | None
) -> None:
    (things / "options.toml").write_text("camera = 0\nwidth = 640\nsmooth = true\nmax-pixels = '9M'\n")
    options = parse_options(["--config", "options.toml", *words])
    check_options(options)
    assert (options.camera.width, options.target.smooth) == (width, False)
    assert options.images.max_pixels.number == 9_000_000


def test_options_of_cameras_need_one_among_several_inputs(things: Path) -> None:
    check_options(parse_options(["photo.jpg", "0", "--width", "640"]))
    check_options(parse_options(["photo.jpg", "rtsp://host/1", "--framerate", "5"]))
    for words in ("recording --width 640", "rtsp://host/1 --width 640", "recording --framerate 5"):
        with pytest.raises(UsageError, match=r"--(width|framerate) needs --camera"):
            check_options(parse_options(["photo.jpg", *words.split()]))


def test_nothing_behind_two_dashes_is_no_input(things: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_status(["--"]) == 2
    assert "name a file, folder, address or camera" in capsys.readouterr().err


def test_inputs_of_several_kinds_are_one_run(things: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (things / "broken.jpg").write_bytes(b"broken")
    inputs = ["photo.jpg", "recording", "clip.mp4", "broken.jpg", "nothing*.png", "photos"]
    assert main([*inputs, "--model", str(model), "--jsonl", "-", "--save", "out"]) == 1, "three of them give nothing"
    printed = capfd.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    named = [(Path(line["source"]).name, line["frame"]) for line in lines]
    assert named[:3] == [("photo.jpg", 0), ("recording", 0), ("recording", 1)]
    assert named[3][0] == "one.png"
    assert "clip.mp4" in printed.err
    assert "broken.jpg" in printed.err
    assert "4 frames in " in printed.err
    assert "nothing matches nothing*.png" in printed.err
    assert "3 failed" in printed.err
    names = {path.name for path in (things / "out").glob("*.png")}
    assert names == {f"{name}.rectified.png" for name in ("photo", "recording-000000", "recording-000001", "one")}


def test_frames_of_several_inputs_do_not_follow_one_another(
    things: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["photo.jpg", "recording", "--model", str(model), "--smooth"]) == 2
    assert "--smooth needs --camera or --video alone" in capsys.readouterr().err
    options = parse_options(["photo.jpg", "recording"])
    with open_source(options.source, options.images, options.camera, options.reconnection, print) as source:
        assert not source.frames_follow  # nor does the page of --serve smooth them
