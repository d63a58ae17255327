"""Which format a folder is of, and what all of them have in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stn_rectify.runtime.annotations import has_annotations, read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import (
    BOX,
    SQUARE,
    save,
    save_cvat,
    save_image,
    save_labelme,
    shape,
)


def test_a_folder_without_annotations_is_one_clear_error_that_names_what_was_looked_for(tmp_path):
    save_image(tmp_path / "a.jpg")
    assert not has_annotations(tmp_path)
    with pytest.raises(DataError) as error:
        read_annotations(tmp_path)
    for name in ("truth.json", "COCO", "YOLO-pose", "YOLO-OBB", "data.yaml", "labelme", "CVAT", "CCPD"):
        assert name in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="there is no such folder"):
        read_annotations(tmp_path / "missing")


def test_two_formats_in_a_folder_are_not_guessed_between(tmp_path):
    save_labelme(tmp_path, "b", shape("polygon", SQUARE))
    save_cvat(tmp_path, BOX.format(turn=""))
    with pytest.raises(DataError, match=r"several kinds \(labelme and CVAT\)"):
        read_annotations(tmp_path)
    assert read_annotations(tmp_path / "annotations.xml").format == "CVAT"
    save(tmp_path / "truth.json", {"b.jpg": SQUARE})
    assert read_annotations(tmp_path).format == "truth.json"


def test_of_many_frames_those_that_are_left_out_are_not_opened(tmp_path):
    save(tmp_path / "truth.json", {f"{k}.png": SQUARE for k in range(5)})
    for k in (0, 2, 4):
        save_image(tmp_path / f"{k}.png")
    read = read_annotations(tmp_path, limit=3)
    assert [frame.path.name for frame in read.frames] == ["0.png", "2.png", "4.png"]
    assert "3 of 5 frames with 3 targets" in read.summary
    assert read.files == (tmp_path / "truth.json",)
    with pytest.raises(DataError, match=r"missing or damaged.*1\.png"):
        read_annotations(tmp_path)


def test_a_folder_that_has_gone_is_an_error_of_its_frames_alone(tmp_path):
    save_image(tmp_path / "x" / "a.png")
    save_image(tmp_path / "x" / "other.png")
    save(tmp_path / "x.truth.json", {"a.png": SQUARE, "gone/b.png": None})
    errors = []
    read = read_annotations(tmp_path / "x.truth.json", on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == ["a.png"]
    assert "1 image that no annotation names left out" in read.notes
    assert len(errors) == 1


def test_single_targets_are_the_largest_of_each_frame(tmp_path):
    small = [[10, 10], [300, 10], [300, 20], [10, 20]]
    for name in ("one.jpg", "two.jpg", "none.jpg"):
        save_image(tmp_path / name)
    save(tmp_path / "truth.json", {"one.jpg": small, "two.jpg": [small, SQUARE], "none.jpg": []})
    read = read_annotations(tmp_path).largest_only()
    assert [[t.corners.tolist() for t in frame.targets] for frame in read.frames] == [[small], [SQUARE], []]
    assert read.notes == ("1 frame with several targets, of which the largest counts",)


def test_the_readers_need_no_package_of_the_workstation(tmp_path):
    save_image(tmp_path / "a.jpg")
    save(tmp_path / "truth.json", {"a.jpg": SQUARE})
    code = f"""
import sys
from pathlib import Path
from stn_rectify.runtime.annotations import read_annotations
read_annotations(Path({str(tmp_path)!r}))
sys.exit(", ".join({{"tensorflow", "keras", "matplotlib", "yaml", "stn_rectify.models"}} & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_frame_of_shapes_of_other_kinds_only_is_not_taken_for_one_without_a_target(tmp_path):
    points = [shape("point", [corner]) for corner in SQUARE]
    save_labelme(tmp_path, "a", shape("polygon", SQUARE), *points)
    save_labelme(tmp_path, "b", *points)
    save_labelme(tmp_path, "empty")
    read = read_annotations(tmp_path)
    assert [frame.path.name for frame in read.frames] == ["a.jpg", "empty.jpg"]
    assert "8 shapes of other kinds left out" in read.notes
    assert "1 frame with nothing but such shapes left out" in read.notes
    (tmp_path / "a.json").unlink()
    (tmp_path / "empty.json").unlink()
    with pytest.raises(DataError, match="labelme annotations have shapes of other kinds only"):
        read_annotations(tmp_path)


def test_what_to_name_instead_is_said(tmp_path):
    for part in ("train", "valid"):
        save_image(tmp_path / "set" / part / "a.jpg")
        save(tmp_path / "set" / part / "_annotations.coco.json", {"images": [], "annotations": []})
    with pytest.raises(DataError, match=r"no annotations: name .*/set/train or .*/set/valid; "):
        read_annotations(tmp_path / "set")
    (tmp_path / "set.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"set\.zip: no annotations: it is an archive.*unpack it, and name the folder"):
        read_annotations(tmp_path / "set.zip")
