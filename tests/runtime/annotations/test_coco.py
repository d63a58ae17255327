"""COCO files."""

from __future__ import annotations

import json
from pathlib import Path
from unicodedata import normalize

import pytest

from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import HEIGHT, SQUARE, UPSIDE_DOWN, WIDTH, corners_of, save, save_image


def coco(annotations, keypoints=None):
    category = {"id": 3, "name": "plate", "supercategory": ""}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [category | ({"keypoints": keypoints, "skeleton": []} if keypoints else {})],
        "images": [
            {"id": 1, "width": WIDTH, "height": HEIGHT, "file_name": "a.jpg", "license": 0, "coco_url": ""},
            {"id": 2, "width": WIDTH, "height": HEIGHT, "file_name": "empty.jpg", "license": 0, "coco_url": ""},
        ],
        "annotations": [
            {"id": 7 + k, "image_id": 1, "category_id": 3, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1, **annotation}
            for k, annotation in enumerate(annotations)
        ],
    }


def save_coco(folder, *annotations, keypoints=None):
    """As CVAT exports it: annotations/ and images/."""
    for name in ("a.jpg", "empty.jpg"):
        save_image(folder / "images" / "default" / name)
    save(folder / "annotations" / "person_keypoints_default.json", coco(annotations, keypoints))


def flat(points, visible=2):
    return [number for x, y in points for number in (x, y, visible)]


def test_coco_keypoints_are_taken_by_their_names(tmp_path):
    """Named from the bottom left on; the target stands on its head, and its corners keep their names."""
    named = {"keypoints": flat([UPSIDE_DOWN[k] for k in (3, 0, 1, 2)]), "num_keypoints": 4}
    names = ["bottom_left", "top-left", "Top Right", "BR"]
    save_coco(tmp_path, {**named, "attributes": {"occluded": False, "text": "AB 123"}}, keypoints=names)
    read = read_annotations(tmp_path)
    (target,) = read.frames[0].targets
    assert target.corners.tolist() == UPSIDE_DOWN
    assert (target.label, target.text) == ("plate", "AB 123")
    assert read.frames[1].targets == ()
    assert read.notes == ()
    assert read.format == "COCO"


def test_coco_keypoints_without_names_begin_at_the_top_left(tmp_path):
    save_coco(tmp_path, {"keypoints": flat(UPSIDE_DOWN)}, keypoints=["1", "2", "3", "4"])
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]
    assert any("not named" in note for note in read_annotations(tmp_path).notes)


def test_coco_polygons_of_four_points_are_targets(tmp_path):
    """Their coordinates are of edges, not of the centres of pixels: half a pixel less. Closed ones have a fifth."""
    open_polygon = {"segmentation": [[100.5, 100.5, 300.5, 100.5, 300.5, 200.5, 100.5, 200.5]]}
    closed = {"segmentation": [[*open_polygon["segmentation"][0], 100.5, 100.5]]}
    save_coco(tmp_path, open_polygon, closed)
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE, SQUARE]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"keypoints": flat(SQUARE[:3])}, "annotation 7 has 3 keypoints"),
        ({"keypoints": flat([*SQUARE, [1, 1]])}, "annotation 7 has 5 keypoints"),
        ({"keypoints": [*flat(SQUARE[:3]), 0, 0, 0]}, "keypoint that is not marked"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9]]}, "annotation 7 of a.jpg has 3 points"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9, 5, 7, 1, 9]]}, "annotation 7 of a.jpg has 5 points"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]] * 2}, "2 polygons"),
        ({"segmentation": {"counts": [1, 2], "size": [480, 640]}}, "no keypoints and a mask"),
        ({"segmentation": []}, "no keypoints and 0 polygons"),
        ({"segmentation": [["a", 1, 9, 1, 9, 9, 1, 9]]}, "expected four corners"),
        ({"image_id": 9, "keypoints": flat(SQUARE)}, "image 9, which is missing"),
        ({"image_id": 1, "keypoints": 7}, "no COCO file as it should be"),
    ],
    ids=["3 keypoints", "5 keypoints", "not marked", "3 points", "5 points", "2 polygons", "a mask", "a box", "a word",
         "no such image", "a number"],
)  # fmt: skip
def test_coco_instances_without_four_corners_are_one_clear_error(tmp_path, annotation, message):
    save_coco(tmp_path, annotation)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(tmp_path)
    assert "person_keypoints_default.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_of_several_coco_files_one_has_to_be_named(tmp_path):
    save_coco(tmp_path, {"keypoints": flat(SQUARE)})
    other = tmp_path / "annotations" / "instances_train.json"
    save(other, coco([{"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}]))
    with pytest.raises(DataError, match=r"several COCO files \(annotations/instances_train.json, annotations/person_"):
        read_annotations(tmp_path)
    assert corners_of(other)["a.jpg"] == [[[0.5, 0.5], [8.5, 0.5], [8.5, 8.5], [0.5, 8.5]]]


def test_an_instance_that_is_wrong_leaves_out_its_frame_alone(tmp_path):
    save_coco(tmp_path, {"keypoints": flat(SQUARE[:3])}, {"image_id": 2, "keypoints": flat(SQUARE)})
    errors = []
    read = read_annotations(tmp_path, on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == ["empty.jpg"]
    assert len(errors) == 1
    assert "annotation 7 has 3 keypoints" in str(errors[0])


def test_a_polygon_without_the_list_around_it_is_taken(tmp_path):
    save_coco(tmp_path, {"segmentation": [100.5, 100.5, 300.5, 100.5, 300.5, 200.5, 100.5, 200.5]})
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 1}, r"two of its images have the id 1 \(a\.jpg and empty\.jpg\)"),
        ({"file_name": "images/default/a.jpg"}, r"a\.jpg is annotated twice"),
        ({"width": float("inf")}, "no COCO file as it should be"),
    ],
    ids=["one id", "one image", "an endless image"],
)
def test_images_that_cannot_be_told_apart_or_measured_are_one_clear_error(tmp_path, change, message):
    """Of two images with one id the first would be lost; of an image listed twice each would miss some targets."""
    save_coco(tmp_path, {"keypoints": flat(SQUARE)})
    file = tmp_path / "annotations" / "person_keypoints_default.json"
    content = json.loads(file.read_text())
    content["images"][1] |= change
    save(file, content)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_of_windows_are_read(tmp_path, encoding):
    save_coco(tmp_path, {"keypoints": flat(SQUARE)})
    file = tmp_path / "annotations" / "person_keypoints_default.json"
    file.write_bytes(file.read_text().encode(encoding))
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]


@pytest.mark.parametrize(("written", "kept"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_image_is_found_however_its_accents_are_kept(tmp_path, written, kept):
    save_image(tmp_path / normalize(kept, "Stra\u00dfe \u00fc.jpg"))
    name = normalize(written, "Stra\u00dfe \u00fc.jpg")
    save(tmp_path / "a.json", {"images": [{"id": 0, "file_name": name}], "annotations": []})
    assert len(read_annotations(tmp_path).frames) == 1


def test_the_folders_of_images_are_looked_for_once(tmp_path, monkeypatch):
    """For each of them it would take as long as the square of their number."""
    listed = []
    whole = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or whole(folder))
    for k in range(20):
        save_image(tmp_path / "images" / f"{k}.jpg")
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in range(20)]
    save(tmp_path / "a.json", {"images": images, "annotations": []})
    assert len(read_annotations(tmp_path).frames) == 20
    assert listed.count(tmp_path / "images") <= 2
