"""Our own truth.json."""

from __future__ import annotations

import pytest

from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import HEIGHT, SQUARE, UPSIDE_DOWN, WIDTH, corners_of, save, save_image


def test_truth_json_has_one_target_several_or_none(tmp_path):
    for name in ("one.jpg", "two.jpg", "null.jpg", "none.jpg"):
        save_image(tmp_path / name)
    truth = {"one.jpg": SQUARE, "two.jpg": [SQUARE, UPSIDE_DOWN], "null.jpg": None, "none.jpg": []}
    save(tmp_path / "truth.json", truth)
    expected = {"one.jpg": [SQUARE], "two.jpg": [SQUARE, UPSIDE_DOWN], "null.jpg": [], "none.jpg": []}
    assert corners_of(tmp_path) == expected
    read = read_annotations(tmp_path)
    assert read.summary == f"{tmp_path}: truth.json, 4 frames with 3 targets, 2 without"
    assert read.frames[0].size == (WIDTH, HEIGHT)


def test_truth_json_may_lie_beside_its_folder_and_be_named_itself(tmp_path):
    save_image(tmp_path / "frames" / "a.jpg")
    save(tmp_path / "frames.truth.json", {"a.jpg": SQUARE})
    assert corners_of(tmp_path / "frames") == corners_of(tmp_path / "frames.truth.json") == {"a.jpg": [SQUARE]}


def test_images_that_a_list_does_not_name_are_counted(tmp_path):
    for name in ("a.jpg", "b.jpg", "inner/c.jfif"):
        save_image(tmp_path / "frames" / name.replace("jfif", "jpg"))
    (tmp_path / "frames/inner/c.jpg").rename(tmp_path / "frames/inner/c.jfif")
    save(tmp_path / "frames/truth.json", {"a.jpg": SQUARE})
    assert read_annotations(tmp_path / "frames").notes == ("2 images that no annotation names left out",)
    save(tmp_path / "frames/truth.json", {"a.jpg": SQUARE, "b.jpg": None, "inner/c.jfif": None})
    assert read_annotations(tmp_path / "frames").notes == ()


def test_a_name_that_stands_twice_in_truth_json_is_one_clear_error(tmp_path):
    save_image(tmp_path / "a.jpg")
    save(tmp_path / "truth.json", '{"a.jpg": null, "a.jpg": null}')
    with pytest.raises(DataError, match=r"truth\.json.* a\.jpg stands in it twice"):
        read_annotations(tmp_path)


def test_a_link_to_an_image_is_another_one(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    save(tmp_path / "truth.json", {"a.jpg": SQUARE, "b.jpg": SQUARE})
    assert corners_of(tmp_path) == {"a.jpg": [SQUARE], "b.jpg": [SQUARE]}
    save(tmp_path / "truth.json", {"a.jpg": SQUARE, "./a.jpg": SQUARE})
    with pytest.raises(DataError, match=r"a\.jpg is annotated twice: put all of its targets in one place"):
        read_annotations(tmp_path)
