from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    JsonlSink,
    Rectification,
    SaveSink,
    StnRectifyError,
    draw_overview,
)

CORNERS = np.array([[10.12345, 5.0], [50.0, 8.0], [48.0, 30.0], [12.0, 33.0]])


def captured(source: str = "/data/photo one.jpg", index: int = 7) -> CapturedFrame:
    return CapturedFrame(source, index, 1700000000.25, np.full((40, 60, 3), 99, np.uint8))


def result(corners: np.ndarray = CORNERS, score: float = 0.9) -> Rectification:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    return Rectification(image, corners, np.eye(3), score, 1.5)


def test_a_json_line_has_the_promised_keys(tmp_path: Path) -> None:
    with JsonlSink(tmp_path / "out.jsonl") as sink:
        sink.write(captured(), result())
        before_close = (tmp_path / "out.jsonl").read_text()
        sink.write(captured(index=8), result())
    assert json.loads(before_close) == {
        "source": "/data/photo one.jpg",
        "frame": 7,
        "timestamp": 1700000000.25,
        "corners": [[10.123, 5.0], [50.0, 8.0], [48.0, 30.0], [12.0, 33.0]],
        "score": 0.9,
        "label": None,
        "label_score": None,
        "latency_ms": 1.5,
    }
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_a_file_name_that_is_no_unicode_still_makes_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"bild-\xe4.png")
    with JsonlSink(tmp_path / "out.jsonl") as sink:
        sink.write(captured(name), result())
    assert json.loads((tmp_path / "out.jsonl").read_bytes())["source"] == name


@pytest.mark.parametrize(
    ("earlier", "lines"),
    [
        pytest.param(b"", 1, id="empty"),
        pytest.param(b'{"frame": 0}\n', 2, id="whole lines"),
        pytest.param(b'{"frame": 0}\n{"fra', 3, id="cut off within a line"),
    ],
)
def test_an_earlier_runs_results_are_kept(tmp_path: Path, earlier: bytes, lines: int) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(earlier)
    with JsonlSink(path) as sink:
        sink.write(captured(), result())
    content = path.read_bytes()
    assert content.startswith(earlier)
    assert len(content.splitlines()) == lines
    assert json.loads(content.splitlines()[-1])["frame"] == 7


def test_a_full_disk_is_one_clear_error() -> None:
    with (
        JsonlSink("/dev/full") as sink,
        pytest.raises(StnRectifyError, match="/dev/full: No space left") as caught,
    ):
        sink.write(captured(), result())
    assert "\n" not in str(caught.value)
    assert "free space" in str(caught.value)


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(StnRectifyError, match="No such file or directory"):
        JsonlSink(tmp_path / "none" / "out.jsonl")


def test_saved_pictures_are_named_after_source_and_frame(tmp_path: Path) -> None:
    with SaveSink(tmp_path / "new" / "out") as sink:
        sink.write(captured(), result())
    files = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert files == ["photo_one-000007.overview.jpg", "photo_one-000007.rectified.png"]
    image = cv2.imread(str(tmp_path / "new" / "out" / files[1]))
    np.testing.assert_array_equal(image, result().image)


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("/dev/video0", "video0"),
        ("rtsp://camera.local:554/a?b=c/../../etc/passwd", "passwd"),
        ("größe.png", "größe"),
        ("..", "frame"),
        ("x" * 300 + ".png", "x" * 80),
    ],
)
def test_a_source_makes_a_safe_file_name(tmp_path: Path, source: str, stem: str) -> None:
    with SaveSink(tmp_path) as sink:
        sink.write(captured(source, 0), result())
    assert (tmp_path / f"{stem}-000000.rectified.png").exists()


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "photo_one-000007.rectified.png").mkdir()  # renaming onto a folder fails
    with SaveSink(tmp_path) as sink, pytest.raises(StnRectifyError, match="cannot write"):
        sink.write(captured(), result())
    assert [path.name for path in tmp_path.iterdir()] == ["photo_one-000007.rectified.png"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StnRectifyError, match="pictures: Not a directory; choose another place") as caught:
        SaveSink(tmp_path / "file" / "pictures")
    assert "space" not in str(caught.value)


@pytest.mark.parametrize("score", [0.9, 0.1])
def test_the_overview_marks_the_corners_and_shows_the_result(score: float) -> None:
    frame = captured().image
    before = frame.copy()
    overview = draw_overview(frame, result(score=score))
    np.testing.assert_array_equal(frame, before)
    assert overview.shape == (40, 120, 3)
    _, green, red = overview[8, 50].astype(int)
    assert (green > red) == (score > 0.5)
    assert overview[:, 60:].std() > 10


def test_corners_far_away_can_be_drawn() -> None:
    far = CORNERS * 1e7
    assert draw_overview(captured().image[..., 0], result(far)).shape[0] == 40
