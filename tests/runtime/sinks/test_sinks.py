from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    JsonlSink,
    MissRule,
    Rectification,
    ResultSink,
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


def test_a_json_file_that_is_removed_is_made_anew_once_its_folder_is_there(tmp_path: Path) -> None:
    path = tmp_path / "stick" / "out.jsonl"
    path.parent.mkdir()
    with JsonlSink(path) as sink:
        sink.write(captured(), result())
        shutil.rmtree(path.parent)
        for _ in range(2):
            with pytest.raises(StnRectifyError, match=r"cannot write .*out\.jsonl: No such file or directory"):
                sink.write(captured(), result())
        path.parent.mkdir()
        sink.write(captured(index=8), result())
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [8]


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


RULE = MissRule(0.3)


def several(count: int = 3) -> tuple[Rectification, ...]:
    """Targets beside one another, best first, of grey levels of their own."""
    return tuple(
        Rectification(
            np.full((20, 30, 3), 60 * number, np.uint8),
            np.add(CORNERS, (3 * number, 0)),
            np.eye(3),
            0.9 - number / 10,
            1.5,
        )
        for number in range(count)
    )


def test_a_json_line_lists_all_targets_where_several_are_looked_for(tmp_path: Path) -> None:
    best, other = several(2)
    best, other = (
        replace(best, track=4, turn=1, turn_score=0.98765, label="A", label_score=0.7),
        replace(other, track=2),
    )
    with JsonlSink(tmp_path / "out.jsonl") as sink, JsonlSink(tmp_path / "one.jsonl", targets=False) as one:
        for to in (sink, one):
            to.write_targets(captured(), best, (best, other), RULE)
            to.write_targets(captured(), other, (), RULE)
    line, miss = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    own = {"corners": [[10.123, 5.0], [50.0, 8.0], [48.0, 30.0], [12.0, 33.0]], "score": 0.9}
    own |= {"label": "A", "label_score": 0.7, "track": 4, "turn": 1, "turn_score": 0.9877}
    assert {key: line[key] for key in own} == own
    further = [[13.123, 5.0], [53.0, 8.0], [51.0, 30.0], [15.0, 33.0]]
    no_label = {"label": None, "label_score": None}
    assert line["targets"] == [own, {"corners": further, "score": 0.8, **no_label, "track": 2, "turn": None}]
    assert miss["targets"] == []
    assert all("targets" not in json.loads(text) for text in (tmp_path / "one.jsonl").read_text().splitlines())


def test_a_sink_without_a_method_for_all_targets_gets_the_best() -> None:
    class Own(ResultSink):
        def __init__(self) -> None:
            self.got: list[tuple[CapturedFrame, Rectification]] = []

        def write(self, frame: CapturedFrame, result: Rectification) -> None:
            self.got.append((frame, result))

    sink, frame, targets = Own(), captured(), several()
    sink.write_targets(frame, targets[0], targets, RULE)
    assert sink.got == [(frame, targets[0])]


def test_further_targets_are_pictures_of_their_own(tmp_path: Path) -> None:
    targets = several()
    with SaveSink(tmp_path) as sink:
        sink.write_targets(captured(), targets[0], targets, RULE)
    names = [f"photo_one-000007{part}.rectified.png" for part in ("", ".2", ".3")]
    assert {path.name for path in tmp_path.iterdir()} == {*names, "photo_one-000007.overview.jpg"}
    for name, target in zip(names, targets, strict=True):
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / name)), target.image)
    with SaveSink(tmp_path) as sink:  # a second run finds one: nothing says that there are three
        sink.write_targets(captured(), targets[0], targets[:1], RULE)
    assert {path.name for path in tmp_path.iterdir()} == {names[0], "photo_one-000007.overview.jpg"}


def test_a_size_limit_counts_the_pictures_of_further_targets(tmp_path: Path) -> None:
    targets = several()
    with SaveSink(tmp_path, dated=True, limit_bytes=8 * 4096) as sink:
        for index in range(5):
            frame = replace(captured(index=index), timestamp=1700000000.0 + index)
            sink.write_targets(frame, targets[0], targets, RULE)
    times = sorted(path.name.split("-")[-1][:15] for path in tmp_path.iterdir())
    assert times == ["20231114T221323"] * 4 + ["20231114T221324"] * 4  # of the last two seconds
    with SaveSink(tmp_path, dated=True, limit_bytes=4 * 4096) as sink:  # those of earlier runs are known by their names
        sink.write_targets(replace(captured(), timestamp=1700000009.0), targets[0], targets, RULE)
    assert {path.name.split("-")[-1][:15] for path in tmp_path.iterdir()} == {"20231114T221329"}


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_the_overview_shows_all_targets(count: int) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    corner = np.array([[0, 0], [30, 0], [30, 20], [0, 20]], np.float64)
    targets = tuple(
        Rectification(
            np.full((20, 30, 3), (255, 0, 20 * number), np.uint8), np.add(corner, (38 * number, 40)), np.eye(3), 0.4, 1
        )
        for number in range(count)
    )
    overview = draw_overview(frame, targets[0], targets, RULE)
    assert overview.shape[0] == 240
    assert 320 < overview.shape[1] <= 640
    for number in range(count):
        middle_of_an_edge = overview[60, 38 * number + 20]
        assert middle_of_an_edge[1] > 150, "green: above the rule's score"
        red = overview[:, 320:, 2][(overview[:, 320:, 0] == 255) & (overview[:, 320:, 1] == 0)]
        assert (red == 20 * number).sum() > 200, "its image"
    assert draw_overview(frame, targets[0], targets)[60, 20, 2] > 150, "red: not above a half"


def test_one_target_is_drawn_as_ever() -> None:
    (target,) = several(1)
    frame = captured().image
    np.testing.assert_array_equal(draw_overview(frame, target, (target,)), draw_overview(frame, target))
    assert (
        draw_overview(frame, replace(target, score=0.4), (), RULE) != draw_overview(frame, replace(target, score=0.4))
    ).any()
