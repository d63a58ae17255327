"""Files of labelme."""

from __future__ import annotations

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
