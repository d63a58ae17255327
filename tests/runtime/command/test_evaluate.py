"""`stn-rectify evaluate` from its words to its tables, sheet and JSON."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.evaluation import search
from stn_rectify.runtime.images.reading import read_image
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from tests.runtime.conftest import ModelFactory

SIZE = (320, 240)


def picture(path: Path, level: int = 200) -> Path:
    """A picture whose score, by the models made here, is ``level`` / 256."""
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame[:120] = level
    cv2.imwrite(str(path), frame)
    return path


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """Three frames whose targets lie where the model says, of the last one shifted by half its width."""
    made = tmp_path / "frames"
    made.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        picture(made / name)
    with Rectifier(model) as rectifier:
        corners = rectifier.locate(cv2.imread(str(made / "a.png"))).corners
    shifted = corners + (corners[1] - corners[0]) / 2
    known = {"a.png": corners.tolist(), "b.png": [corners.tolist()], "c.png": shifted.tolist()}
    (made / "truth.json").write_text(json.dumps(known))
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    made = tmp_path / "empty"
    made.mkdir()
    for level in (10, 100, 180):
        picture(made / f"{level}.png", level)
    return made


def test_the_bundled_model_finds_the_target_of_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DEMO_IMAGE, tmp_path / "demo.jpg")
    shutil.copy(DEMO_IMAGE.with_name("demo.truth.json"), tmp_path / "truth.json")
    assert main(["evaluate", str(tmp_path), "--json", "-"]) == 0
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)["folders"]
    assert found["overlaps"][0]["found"] == 1
    assert found["overlaps"][0]["upright"] == 1
    assert 0.9 < found["overlaps"][0]["mean"] < 1
    with Rectifier() as rectifier:
        location = rectifier.locate(cv2.imread(str(DEMO_IMAGE)))
    (result,) = found["found_in"][0]["found"]
    np.testing.assert_allclose(result["corners"], location.corners, atol=0.001)
    assert result["score"] == pytest.approx(location.score, abs=1e-4)
    assert "1 frame, 1 target, 0 without" in printed.err


def test_tables_of_folders_with_known_results(
    model: Path, folder: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder), "--empty", str(empty), "--model", str(model), "--min-score", "0.39", "--max-targets", "1"]
    assert main(["evaluate", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(k for k, line in enumerate(lines) if "frames: 3 frames, 3 targets, 3 without" in line)
    rows = [line.split() for line in lines[first:]]
    overlap = next(row for row in rows if row[:1] == ["best"])
    assert overlap[:3] == ["best", "3", "1.000"]
    assert overlap[4] == "66.7"  # 0.5 or more
    assert ["0.39", "66.7", "%", "0.33", "66.7", "%", "--min-score"] in rows
    assert "--min-score 0.704 lets 0.0 % of 3 empty frames pass, and keeps 66.7 % of the targets" in lines[first:]


def test_boxes_and_texts_are_compared_where_they_are_known(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cars = tmp_path / "cars"
    cars.mkdir()
    with Rectifier(model) as rectifier:
        corners = rectifier.locate(cv2.imread(str(picture(cars / "a.png")))).corners
    low, high = corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5
    entry = {"box": [*low, *(high - low)], "text": "7"}
    (tmp_path / "cars.boxes.json").write_text(json.dumps({"a.png": entry}))
    picture(cars / "not-named.png")
    words = ["evaluate", str(cars), "--model", str(model), "--recognizer-command", "printf 7%.0s {}", "--json", "-"]
    assert main(words) == 0
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)["folders"]
    assert found["overlaps"][0]["mean"] == pytest.approx(1)
    assert found["found_in"][0]["found"][0]["text"] == "7"
    assert found["overlaps"][0]["text"] == 1
    (tmp_path / "cars.boxes.json").write_text(json.dumps({"a.png": [{**entry, "text": "8"}]}))
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["folders"][0]["overlaps"][0]["text"] == 0
    assert "1 box," in printed.err
    assert "cars: 1 image that cars.boxes.json does not name left out" in printed.err


def test_a_bad_image_is_named_and_counted_and_the_rest_goes_on(
    model: Path, folder: Path, empty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    (empty / "no.png").write_bytes(b"no image")
    sheet = tmp_path / "sheet.png"
    words = ["evaluate", str(folder), "--empty", str(empty), "--model", str(model), "--sheet", str(sheet)]
    assert main(words) == 1
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("stn-rectify evaluate: error: ")]
    assert len(errors) == 2
    assert f"cannot read the image {folder / 'b.png'}" in errors[0]
    assert f"cannot read the image {empty / 'no.png'}" in errors[1]
    assert "frames: 2 frames, 2 targets, 3 without, 1 failed" in printed.out
    assert "empty: 3 frames, 0 targets, 3 without, 1 failed" in printed.out
    assert cv2.imread(str(sheet)).shape[0] > 500


def test_a_folder_that_cannot_be_read_is_said_and_the_others_are_evaluated(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(folder, tmp_path / "others")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "truth.json").write_text("{")
    assert main(["evaluate", str(folder), str(bad), str(other), "--model", str(model)]) == 1
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("stn-rectify evaluate: error: ")]
    assert len(errors) == 1
    assert "bad/truth.json is damaged or no JSON" in errors[0]
    assert "/frames: 3 frames, 3 targets" in printed.out
    assert "/others: 3 frames, 3 targets" in printed.out


def test_without_a_folder_that_can_be_read_it_ends_with_the_last_error(
    model: Path, folder: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "truth.json").write_text("{")
    words = ["evaluate", str(folder), str(folder / "none"), "--model", str(model)]
    assert main(words) == 1
    printed = capsys.readouterr()
    first, second = printed.err.splitlines()
    assert "truth.json is damaged or no JSON" in first
    assert "none: there is no such folder" in second
    assert printed.out == ""
    assert main([*words, "--empty", str(empty)]) == 1  # which can be looked at by themselves
    assert "/empty: 3 frames, 0 targets" in capsys.readouterr().out


def test_annotations_of_a_frame_that_are_wrong_leave_out_that_frame_alone(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = json.loads((folder / "truth.json").read_text())
    (folder / "truth.json").write_text(json.dumps({**known, "b.png": 7}))
    assert main(["evaluate", str(folder), "--model", str(model)]) == 1
    printed = capsys.readouterr()
    assert "error: " in printed.err
    assert "b.png has 7" in printed.err
    assert "/frames: 2 frames, 2 targets, 0 without, 1 failed" in printed.out
    (folder / "truth.json").write_text(json.dumps(dict.fromkeys(known, 7)))
    assert main(["evaluate", str(folder), "--model", str(model)]) == 1
    printed = capsys.readouterr()
    assert "a.png has 7 (and 2 more: no frame is left)" in printed.err
    assert printed.err.count("\n") == 1


def test_a_file_of_boxes_may_be_named_and_its_wrong_entries_leave_out_their_frames(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "truth.json").unlink()
    boxes = {"a.png": {"box": [10, 20, 80, 30]}, "b.png": {"box": [1, 2, 0, 3]}, "c.png": 7}
    beside = folder.with_name("frames.boxes.json")
    for file in (folder / "boxes.json", beside):
        file.write_text(json.dumps(boxes))
        assert main(["evaluate", str(file), "--model", str(model)]) == 1
        printed = capsys.readouterr()
        assert "boxes.json: b.png: expected" in printed.err
        assert "boxes.json: c.png: expected" in printed.err
        assert "/frames: 1 frame, 1 box, 0 without, 2 failed" in printed.out
        file.unlink()
    beside.write_text('{"a.png": null, "a.png": null}')
    assert main(["evaluate", str(folder), "--model", str(model)]) == 1
    assert "a.png stands in it twice" in capsys.readouterr().err


def test_frames_with_more_pixels_than_allowed_are_errors(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(folder / "b.png"), np.zeros((1000, 1001, 3), np.uint8))
    assert main(["evaluate", str(folder), "--model", str(model), "--max-pixels", "1M"]) == 1
    assert "b.png: 1001x1000 are 1.001 million pixels, more than 1 million" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_the_tables_of_what_was_done(
    make_model: ModelFactory, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[Path] = []

    def interrupted(file: Path, **options: Any) -> Image:
        read.append(file)
        if len(read) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return read_image(file, **options)

    monkeypatch.setattr(search, "read_image", interrupted)
    assert main(["evaluate", str(folder), str(folder), "--model", str(make_model())]) == 130
    printed = capsys.readouterr()
    assert "stopped after 2 of 3 frames" in printed.err
    assert "frames: 2 frames, 2 targets" in printed.out
    assert printed.out.count("targets,") == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        pytest.param(
            [], 2, "name a folder of annotated frames, or frames without targets by --empty DIR", id="nothing"
        ),
        pytest.param(
            ["{}"],
            1,
            "FOLDER.boxes.json beside it). Frames that show no target are named by --empty",
            id="no annotations",
        ),
        pytest.param(["--empty", "{}"], 1, "no image in the folder", id="no images"),
        pytest.param(["{}", "--iou", "0"], 2, "'0' is not an overlap (IoU) above 0, to 1", id="overlap"),
        pytest.param(["{}", "--max-targets", "0"], 2, "'0' is not a whole number from 1 to 100", id="no targets"),
        pytest.param(["{}", "--sheet", "a.jpg"], 2, "call it NAME.png", id="kind of sheet"),
        pytest.param(["{}", "--output", "a.mp4"], 2, "--output a.mp4: an evaluation has", id="a video"),
        pytest.param(["{}", "--sheet", ""], 2, "--sheet is empty", id="empty name"),
        pytest.param(["{}", "--modle", "a"], 2, "unrecognized option --modle: did you mean --model?", id="misspelt"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    try:
        ended = main(["evaluate", *(word.format(tmp_path / "folder") for word in words)])
    except SystemExit as error:
        ended = int(str(error.code))
    assert ended == status
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_options_of_a_recognizer_need_one(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folder), "--model", str(model), "--beam-width", "3"]) == 2
    assert "--beam-width needs --recognizer" in capsys.readouterr().err


def test_it_needs_the_packages_of_the_base_install_only(model: Path, folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(folder), "--model", str(model), "--sheet", str(tmp_path / "sheet.png")]
    code = (
        "import sys\n"
        "from stn_rectify.runtime.command.cli import main\n"
        f"assert main({words!r}) == 0\n"
        "print(sorted({'keras', 'matplotlib', 'tensorflow', 'tqdm', 'stn_rectify.models'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
