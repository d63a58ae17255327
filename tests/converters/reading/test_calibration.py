"""What is read of calibration and validation frames, and what is refused."""

from __future__ import annotations

import json
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_rectify.converters.reading.calibration import (
    FrameSet,
    calibration_warnings,
    read_frames,
    refuse_unknown_labels,
    stored_number,
)
from stn_rectify.models.evaluation.known_frames import read_truth
from stn_rectify.runtime.errors import DataError
from tests.converters.keras_models import smooth_frames

_SHAPE = (16, 16, 3)
_SQUARE = [[2, 2], [12, 2], [12, 12], [2, 12]]
_ANTICLOCKWISE = [[2, 2], [2, 12], [12, 12], [12, 2]]
_CROSSED = [[2, 2], [12, 12], [12, 2], [2, 12]]
_ON_A_LINE = [[2, 2], [4, 4], [6, 6], [8, 8]]


def read(source, limit=200):
    return read_frames(source, _SHAPE, (0, 1), limit)


def save_npz(folder, **known):
    file = folder / "frames.npz"
    np.savez(file, frames=smooth_frames(_SHAPE, 3), **known)
    return file


def save_folder(folder, truth, size=32):
    for name in truth:
        cv2.imwrite(str(folder / name), np.full((size, size, 3), 7, np.uint8))
    (folder / "truth.json").write_text(json.dumps(truth))


@pytest.mark.parametrize("wrong", [_ANTICLOCKWISE, _CROSSED, _ON_A_LINE], ids=["anticlockwise", "crossed", "on a line"])
def test_corners_in_another_order_are_refused(tmp_path, wrong):
    """Later no check could use them, and the report would say that none were known."""
    expected = r"corners of 1 of 2 frames are not TL TR BR BL \(clockwise.*frame 2: put them"
    corners = np.array([np.full((4, 2), np.nan), _SQUARE, wrong])
    with pytest.raises(DataError, match=expected):
        read(save_npz(tmp_path, corners=corners))


@pytest.mark.parametrize("wrong", [_CROSSED, _ON_A_LINE], ids=["crossed", "on a line"])
def test_annotated_corners_that_cannot_be_put_in_order_are_refused(tmp_path, wrong):
    save_folder(tmp_path, {"a.png": None, "b.png": _SQUARE, "c.png": wrong})
    with pytest.raises(DataError, match=r"target 1 of c\.png: its corners are not TL TR BR BL, clockwise.*put them"):
        read(tmp_path)


def test_annotated_corners_that_go_round_the_wrong_way_are_turned_round_and_warned_of(tmp_path):
    save_folder(tmp_path, {"a.png": _SQUARE, "b.png": _ANTICLOCKWISE})
    known = read(tmp_path)
    np.testing.assert_array_equal(known.corners[0], known.corners[1])
    few, note = calibration_warnings(known)
    assert few.startswith("all 2 calibration frames are the same")
    assert note == f"{tmp_path}: corners of 1 target put in the order TL TR BR BL"


def test_annotations_of_other_tools_are_read_too_the_largest_target_of_each_frame(tmp_path):
    """YOLO-OBB: lines of shares of the frame's sides."""
    for name in ("a", "b"):
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((32, 64, 3), 7, np.uint8))
    (tmp_path / "labels").mkdir()
    lines = ["0 0.5 0.5 0.6 0.5 0.6 0.6 0.5 0.6", "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"]
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("names: [label]\n")
    known = read(tmp_path)
    np.testing.assert_allclose(known.corners[0], [[3.5, 3.5], [11.5, 3.5], [11.5, 11.5], [3.5, 11.5]])  # of 16×16
    assert np.isnan(known.corners[1]).all()
    assert any("several targets, of which the largest counts" in note for note in known.notes)


def test_a_target_that_is_half_known_is_refused(tmp_path):
    corners = np.array([_SQUARE] * 3, np.float64)
    corners[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="of 1 of 3 frames"):
        read(save_npz(tmp_path, corners=corners))


def test_a_frame_without_a_target_is_null_in_a_truth(tmp_path):
    save_folder(tmp_path, {"a.png": None, "b.png": _SQUARE})
    known = read(tmp_path)
    assert np.isnan(known.corners[0]).all()
    np.testing.assert_allclose(known.corners[1], (np.array(_SQUARE) + 0.5) / 2 - 0.5)  # 32 px → 16 px
    assert read_truth(tmp_path).corners[0] is None


def test_of_many_frames_with_truth_only_those_that_are_used_are_opened(tmp_path):
    truth = {f"{k}.png": _SQUARE for k in range(5)}
    save_folder(tmp_path, truth)
    (tmp_path / "1.png").unlink()
    assert len(read(tmp_path, limit=3)) == 3  # 0, 2 and 4
    with pytest.raises(DataError, match=r"missing or damaged.*1\.png"):
        read(tmp_path)


def test_frames_with_truth_are_shrunk_one_by_one(tmp_path):
    """At full resolution a thousand frames of a camera take gigabytes."""
    save_folder(tmp_path, {f"{k}.png": _SQUARE for k in range(12)}, size=600)
    tracemalloc.start()
    try:
        read(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 600 * 600 * 3


def test_arrays_that_are_not_ours_are_not_read(tmp_path):
    notes = np.array([{"camera": 1}], dtype=object)  # NumPy would have to unpickle it
    known = read(save_npz(tmp_path, notes=notes, labels=np.array([0, -1, 1])))
    assert known.labels.tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 7], "label 3 is no class of the recognizer, and so with 2 of 3 frames: it has 3"),
        ([0, -2, 1], "-2 is no"),
    ],
)
def test_labels_without_a_class_are_refused(tmp_path, labels, message):
    known = read(save_npz(tmp_path, labels=np.array(labels)))
    with pytest.raises(DataError, match=message):
        refuse_unknown_labels(tmp_path, known, 3)
    refuse_unknown_labels(tmp_path, known, None)  # no recognizer: they count for nothing
    refuse_unknown_labels(tmp_path, read(save_npz(tmp_path, labels=np.array([0, 2, -1]))), 3)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(smooth_frames(_SHAPE, 1), "only 1 calibration frame:", id="one"),
        pytest.param(smooth_frames(_SHAPE, 19), "only 19 calibration frames:", id="few"),
        pytest.param(
            np.repeat(smooth_frames(_SHAPE, 1), 30, axis=0), "all 30 calibration frames are the same", id="same"
        ),
        pytest.param(smooth_frames(_SHAPE, 20), None, id="enough"),
    ],
)
def test_frames_that_say_little_are_warned_of(frames, expected):
    warnings = calibration_warnings(FrameSet(frames.astype(np.float32)))
    assert [warning.startswith(expected) for warning in warnings] == ([] if expected is None else [True])


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "not a picture", "unreadable"])
def test_a_picture_that_cannot_be_read_is_one_clear_line(tmp_path, content):
    if content is None:
        (tmp_path / "a.png").symlink_to("/proc/self/mem")  # its first byte cannot be read, by root neither
    else:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read the image .*a\.png: .*; remove it, or mend it"):
        read(tmp_path)


def test_what_a_calibration_folder_holds_besides_is_warned_of(tmp_path):
    for name in ("a.png", "b.jfif", "inner/c.tif", "d.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (30, 20), (9, 9, 9)).save(tmp_path / name, "TIFF" if name.endswith("tif") else "PNG")
    (tmp_path / "inner/again").symlink_to("..")
    frames = read(tmp_path)
    assert len(frames) == 3
    (note,) = frames.notes
    assert "left out 1 .heic file (" in note
    assert note in calibration_warnings(frames)


def test_calibration_frames_are_seen_as_the_runtime_sees_them(tmp_path):
    image = Image.new("RGBA", (30, 20))  # black on a transparent ground
    image.paste((0, 0, 0, 255), (10, 5, 20, 15))
    image.save(tmp_path / "a.png")
    assert read(tmp_path).frames.max() == 1.0


@pytest.mark.parametrize(
    ("stored", "expected"), [({}, 0.2), ({"margin": 0.35}, 0.35), ({"margin": 0}, 0.0), ({"margin": np.uint8(1)}, 1.0)]
)
def test_a_number_beside_the_frames_is_read_and_else_the_default(tmp_path, stored, expected):
    assert stored_number(save_npz(tmp_path, **stored), "margin", 0.2, 1.0) == expected


@pytest.mark.parametrize(
    "wrong",
    [-0.1, 1.1, np.nan, True, [0.2, 0.2], "wide", 1j, {"margin": 0.2}],
    ids=["below", "above", "NaN", "a truth value", "two", "a word", "complex", "an object"],
)
def test_a_number_beside_the_frames_that_is_none_is_refused(tmp_path, wrong):
    with pytest.raises(DataError, match=r"frames\.npz: margin .*expected one number from 0 to 1"):
        stored_number(save_npz(tmp_path, margin=wrong), "margin", 0.2, 1.0)
