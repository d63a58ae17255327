"""What a result does by itself: it draws, saves, shows and describes itself."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageShow

from stn_rectify.runtime import CapturedFrame, DataError, Location, MissRule, Rectification, StnRectifyError, UsageError
from stn_rectify.runtime.sinks import result_values

CORNERS = np.array([[20.0, 30.0], [80.0, 32.0], [78.0, 70.0], [22.0, 68.0]])
FRAME = np.full((120, 160, 3), 90, np.uint8)
CAPTURED = CapturedFrame("clip.mp4", 7, 1795949219.25, FRAME)


def result(score: float = 0.9, image: np.ndarray | None = None, **more: object) -> Rectification:
    picture = np.zeros((40, 60, 3), np.uint8) if image is None else image
    return Rectification(picture, CORNERS, np.eye(3), score, 3.21, **more)


def gradient() -> np.ndarray:
    """Three channels that differ, and that JPEG keeps."""
    ramp = np.linspace(0, 255, 60).astype(np.uint8)
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0], image[..., 2] = ramp, ramp[::-1]
    return image


@pytest.mark.parametrize(
    ("rule", "score", "found"),
    [
        pytest.param(MissRule(), 0.51, True, id="no lowest score: above a half"),
        pytest.param(MissRule(), 0.5, False, id="a half is not enough"),
        pytest.param(MissRule(0.9), 0.89, False, id="below that of the model"),
        pytest.param(MissRule(0.2), 0.2, True, id="at a low one of the model"),
        pytest.param(MissRule(0.0), 0.0, False, id="no usable pose"),
    ],
)
def test_found_follows_the_rule_of_the_model(rule: MissRule, score: float, found: bool) -> None:
    assert result(score, rule=rule).found is found
    assert Location(CORNERS, score, 1.0, rule=rule).found is found


def test_a_result_gives_the_values_of_its_line() -> None:
    made = result(label="AB12", label_score=0.75, track=3, turn=1, turn_score=0.9, top_labels=(("AB12", None),))
    values = replace(made, frame=CAPTURED).to_dict()
    assert values == result_values(CAPTURED, made)
    assert json.loads(json.dumps(values)) == values
    assert values["source"] == "clip.mp4"
    assert values["frame"] == 7
    assert values["corners"][1] == [80.0, 32.0]
    assert (values["track"], values["turn"], values["labels"]) == (3, 1, [["AB12", None]])


def test_of_an_array_nothing_is_said_of_where_it_comes_from() -> None:
    values = result().to_dict()
    assert [values[key] for key in ("source", "frame", "timestamp")] == [None, None, None]
    assert set(values) == set(result_values(CAPTURED, result()))


def test_draw_marks_a_copy_of_the_frame() -> None:
    drawn = result().draw(FRAME)
    assert drawn.shape == FRAME.shape
    assert (FRAME == 90).all()
    blue, green, red = map(int, drawn[50, 20:23].max(axis=0))
    assert green > max(blue, red) + 50, "its left edge is green"
    red_one = result(0.1).draw(FRAME)[50, 20:23].max(axis=0)
    assert red_one[2] > red_one[1], "what is not found is red"
    np.testing.assert_array_equal(result(frame=CAPTURED).draw(), drawn)


def test_draw_takes_what_rectify_takes(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), FRAME)
    expected = result().draw(FRAME)
    for frame in (path, str(path), path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(result().draw(frame), expected)
    assert result().draw(FRAME[..., 0]).shape == FRAME.shape, "grey ones, too"


def test_score_and_label_stand_beside_the_outline() -> None:
    plain, labelled = result().draw(FRAME), result(label="Größe\n42", label_score=0.5).draw(FRAME)
    assert (plain != labelled).any(), "a label"
    assert (result(0.62).draw(FRAME)[:28] != plain[:28]).any(), "another score, above the target"


def test_without_a_frame_draw_says_what_to_pass() -> None:
    with pytest.raises(UsageError, match=r"made of an array: pass the frame, draw\(frame\)"):
        result().draw()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_a_frame_of_any_number_of_channels_is_drawn_as_it_is_seen(channels: int) -> None:
    frame = np.zeros((120, 160, channels), np.uint8)
    frame[..., : 3 if channels > 2 else 1] = 90
    np.testing.assert_array_equal(result().draw(frame), result().draw(FRAME))


@pytest.mark.parametrize(
    "frame", [np.zeros((0, 5, 3), np.uint8), np.zeros((9, 9), np.float32), np.zeros(9, np.uint8), 5], ids=type
)
def test_draw_refuses_what_is_no_picture(frame: object) -> None:
    with pytest.raises(DataError, match="no picture"):
        result().draw(frame)


@pytest.mark.parametrize("name", ["upright.png", "new/folder/upright.bmp", "upright.TIF", "upright.webp"])
def test_save_writes_what_the_ending_says(tmp_path: Path, name: str) -> None:
    saved = result(image=gradient()).save(tmp_path / name)
    assert saved == tmp_path / name
    assert abs(cv2.imread(str(saved)).astype(int) - gradient()).mean() < 3
    assert list(tmp_path.rglob("*.partial*")) == []


def test_save_writes_grey_and_jpeg(tmp_path: Path) -> None:
    saved = result(image=gradient()[..., 0]).save(str(tmp_path / "grey.jpg"))
    assert Image.open(saved).mode == "L"
    assert abs(np.asarray(Image.open(saved)).astype(int) - gradient()[..., 0]).max() < 10
    assert Image.open(saved).format == "JPEG"


@pytest.mark.parametrize("name", ["upright", "upright.xyz", "upright.mp4"])
def test_save_names_the_endings_that_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"says no format of a picture.*use \.png"):
        result().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_save_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StnRectifyError, match=r"cannot write .*upright\.png"):
        result().save(tmp_path / "file" / "upright.png")


def test_notebooks_get_the_picture() -> None:
    shown = np.asarray(Image.open(io.BytesIO(result(image=gradient())._repr_png_())))
    np.testing.assert_array_equal(shown[..., ::-1], gradient())


def test_show_hands_the_picture_to_a_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Viewer(ImageShow.Viewer):
        def show(self, image: Image.Image, **options: object) -> int:
            seen.append(np.asarray(image))
            return 1

    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(ImageShow, "_viewers", [Viewer()])
    result(image=gradient()).show()
    np.testing.assert_array_equal(seen[0][..., ::-1], gradient())


def test_show_in_a_notebook_is_the_output_of_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    ipython = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()), display=SimpleNamespace(display=shown.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    one = result()
    one.show()
    assert shown == [one]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
def test_show_without_a_desktop_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(StnRectifyError, match=r"no desktop.*save\(\)"):
        result().show()


def test_a_desktop_without_a_viewer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(ImageShow, "_viewers", [])
    with pytest.raises(StnRectifyError, match="no program that shows pictures"):
        result().show()


def test_supervision_gets_boxes_corners_and_scores() -> None:
    supervision = pytest.importorskip("supervision")
    found = [result(label="AB12", track=4), replace(result(0.7, track=5), corners=CORNERS + 40)]
    detections = supervision.Detections.merge([target.to_supervision() for target in found])
    np.testing.assert_allclose(detections.xyxy[0], [20.5, 30.5, 80.5, 70.5])
    np.testing.assert_allclose(detections.confidence, [0.9, 0.7])
    np.testing.assert_allclose(detections.data["corners"], [CORNERS, CORNERS + 40])
    assert detections.tracker_id.tolist() == [4, 5]
    assert detections["class_name"].tolist() == ["AB12", ""]
    annotated = supervision.OrientedBoxAnnotator().annotate(FRAME.copy(), detections)
    assert (annotated[50, 19:24] != 90).any(), "its own annotators find the corners"
    assert len(result(0.0).to_supervision()) == 0
    assert len(result(0.3, rule=MissRule(0.5)).to_supervision()) == 0


def test_without_supervision_the_error_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(StnRectifyError, match="pip install supervision"):
        result().to_supervision()


def test_the_runtime_does_not_import_supervision() -> None:
    code = "import sys, stn_rectify.runtime; sys.exit(int('supervision' in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
