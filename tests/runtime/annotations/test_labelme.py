"""Files of labelme."""

from __future__ import annotations

import json

import pytest

from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import SQUARE, corners_of, save, save_image, save_labelme, shape


def test_labelme_polygons_and_rectangles_are_targets(tmp_path):
    polygon = [[x + 0.5, y + 0.5] for x, y in (SQUARE[k] for k in (2, 1, 0, 3))]  # against the clock
    rectangle = [[300.5, 100.5], [100.5, 200.5]]
    shapes = [shape("polygon", polygon, description="AB 123"), shape("rectangle", rectangle), shape("point", [[1, 1]])]
    save_labelme(tmp_path, "a", *shapes)
    save_labelme(tmp_path, "empty")
    save_image(tmp_path / "not_annotated.jpg")
    read = read_annotations(tmp_path)
    assert read.format == "labelme"
    assert corners_of(tmp_path) == {"a.jpg": [SQUARE, SQUARE], "empty.jpg": []}
    assert [(t.label, t.text) for t in read.frames[0].targets] == [("page", "AB 123"), ("page", "")]
    assert read.notes == (
        "1 shape of other kinds left out",
        "1 image without a file left out",
        "corners of 2 targets put in the order TL TR BR BL",
    )


def test_a_labelme_image_is_found_where_a_windows_machine_says(tmp_path):
    save_labelme(tmp_path, "a", shape("polygon", SQUARE), image="..\\photographs\\a.jpg")
    assert list(corners_of(tmp_path)) == ["a.jpg"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (shape("polygon", SQUARE[:3]), "shape 1 of a.jpg has 3 points"),
        (shape("polygon", [*SQUARE, [9, 150]]), "shape 1 of a.jpg has 5 points"),
        (shape("polygon", [*SQUARE[:3], [float("nan"), 1]]), "not a finite number"),
        (shape("polygon", [[5000, 1], [6000, 1], [6000, 90], [5000, 90]]), "far outside its frame"),
        (shape("polygon", [[-90, 1], [-20, 1], [-20, 90], [-90, 90]]), "lies outside its frame"),
        (shape("polygon", [[1, 1], [2, 2], [3, 3], [4, 4]]), "not those of a convex quadrilateral: draw it again"),
        ({"label": "page", "shape_type": "polygon"}, "shape 1 is not as labelme writes it"),
    ],
    ids=["3 points", "5 points", "NaN", "far outside", "outside", "on a line", "no points"],
)
def test_wrong_labelme_shapes_are_one_clear_error(tmp_path, wrong, message):
    save_labelme(tmp_path, "a", wrong)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "a.json"))


def test_a_labelme_file_that_was_cut_off_is_one_clear_error(tmp_path):
    save_labelme(tmp_path, "a", shape("polygon", SQUARE))
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text[: text.index("imageHeight")])
    with pytest.raises(DataError, match=r"a\.json is damaged or no JSON"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("kept", [0, 60], ids=["empty", "a few words"])
def test_one_of_which_hardly_anything_is_left_is_no_image_without_a_file(tmp_path, kept):
    for name in ("a", "b"):
        save_labelme(tmp_path, name, shape("polygon", SQUARE))
    save(tmp_path / "b.json", (tmp_path / "b.json").read_text()[:kept])
    with pytest.raises(DataError, match=r"b\.json is damaged or no JSON"):
        read_annotations(tmp_path)
    save(tmp_path / "b.json", {"taken": "2026-11-22"})  # of a camera
    assert read_annotations(tmp_path).notes == ("1 image without a file left out",)


@pytest.mark.parametrize("kind", ["rotation", "oriented_rectangle", "quadrilateral"])
def test_shapes_of_four_points_of_other_programs_are_targets(tmp_path, kind):
    save_labelme(tmp_path, "a", shape(kind, [[x + 0.5, y + 0.5] for x, y in SQUARE]))
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]


def test_a_file_that_is_wrong_leaves_out_its_frame_alone(tmp_path):
    for name in ("a", "b", "c", "d"):
        save_labelme(tmp_path, name, shape("polygon", SQUARE))
    save(tmp_path / "b.json", (tmp_path / "b.json").read_text()[:-2] + ",}")
    save(tmp_path / "c.json", "")
    save_labelme(tmp_path, "d", shape("polygon", None))
    errors = []
    read = read_annotations(tmp_path, on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == ["a.jpg"]
    assert sorted(str(error).split(" is ")[0].rpartition("/")[2] for error in errors) == [
        "b.json",
        "c.json",
        "d.json: shape 1",
    ]
    assert not any("without a file" in note for note in read.notes)


def test_two_files_of_one_image_are_one_clear_error(tmp_path):
    save_labelme(tmp_path, "a", shape("polygon", SQUARE))
    save(tmp_path / "a copy.json", (tmp_path / "a.json").read_text())
    with pytest.raises(DataError, match=r"a\.json: a\.jpg is annotated in .*a copy\.json, too"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("name", ["", None, "a" * 5000], ids=["empty", "none", "long"])
def test_a_labelme_file_that_names_no_image_is_one_clear_error(tmp_path, name):
    save_labelme(tmp_path, "a", shape("polygon", SQUARE))
    save(tmp_path / "a.json", json.loads((tmp_path / "a.json").read_text()) | {"imagePath": name})
    with pytest.raises(DataError, match=r"does not name an image|which is missing"):
        read_annotations(tmp_path)
