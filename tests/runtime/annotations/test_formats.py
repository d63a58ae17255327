"""Annotated frames of each format, in small folders as the tools write them."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.annotations import has_annotations, read_annotations
from stn_rectify.runtime.errors import DataError

WIDTH, HEIGHT = 640, 480


def save_image(file, size=(WIDTH, HEIGHT)):
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imencode(file.suffix, np.full((size[1], size[0], 3), 7, np.uint8))[1].tofile(file) is None


def save(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def corners_of(source, **arguments):
    """The corners of all targets by the names of the images."""
    read = read_annotations(source, **arguments)
    return {frame.path.name: [target.corners.tolist() for target in frame.targets] for frame in read.frames}


SQUARE = [[100, 100], [300, 100], [300, 200], [100, 200]]
UPSIDE_DOWN = [[300, 200], [100, 200], [100, 100], [300, 100]]


# Our own.


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


# COCO.


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


# YOLO.


def shares(points):
    """As ultralytics writes them, the outer edges of the frame at 0 and 1."""
    return " ".join(f"{(x + 0.5) / WIDTH:.6f} {(y + 0.5) / HEIGHT:.6f}" for x, y in points)


POSE_YAML = """\
# Plates  # data set
path: ../datasets/plates # dataset root dir
train: images/train # train images (relative to 'path') 1 image
val: images/train
test: # test images (optional)

# Keypoints
kpt_shape: [4, 3] # number of keypoints, number of dims (2 for x,y or 3 for x,y,visible)
flip_idx: [1, 0, 3, 2]

# Classes
names:
  0: plate
  1: "shipping: label"
"""


def save_pose(folder, line, yaml=POSE_YAML):
    save_image(folder / "images" / "train" / "a.jpg")
    save(folder / "labels" / "train" / "a.txt", line)
    save(folder / "data.yaml", yaml)


def pose_line(points, visible=" 2"):
    pairs = shares(points).split()
    return "1 0.3 0.3 0.3 0.2 " + " ".join(f"{x} {y}{visible}" for x, y in zip(pairs[::2], pairs[1::2], strict=True))


@pytest.mark.parametrize("place", [".", "images/train", "data.yaml"])
def test_yolo_pose_is_read_from_its_root_its_images_or_its_description(tmp_path, place):
    save_pose(tmp_path, pose_line(UPSIDE_DOWN) + "\n")
    save_image(tmp_path / "images" / "train" / "empty.jpg")
    read = read_annotations(tmp_path / place)
    assert read.format == "YOLO-pose"
    (target,) = read.frames[0].targets
    np.testing.assert_allclose(target.corners, SQUARE, atol=1e-3)
    assert target.label == "shipping: label"
    assert [frame.targets for frame in read.frames[1:]] == [()]
    assert "1 image without a label file taken as empty" in read.notes
    assert any("kpt_names" in note for note in read.notes)


@pytest.mark.parametrize(
    "names",
    [
        "kpt_names:\n  0:\n    - tl\n    - tr\n    - br\n    - bl\n",
        "kpt_names: {0: [tl, tr, br, bl]}\n",
        "keypoints: [tl, tr, br, bl]\n",
    ],
    ids=["as ultralytics", "in braces", "one list"],
)
def test_yolo_keypoints_with_names_keep_them(tmp_path, names):
    save_pose(tmp_path, pose_line(UPSIDE_DOWN), POSE_YAML + names)
    np.testing.assert_allclose(corners_of(tmp_path)["a.jpg"], [UPSIDE_DOWN], atol=1e-3)


def test_yolo_pose_without_visibility(tmp_path):
    yaml = "train: images/train\nkpt_shape:\n- 4\n- 2\nnames: [plate, label]\n"
    save_pose(tmp_path, pose_line(SQUARE, ""), yaml)
    np.testing.assert_allclose(corners_of(tmp_path)["a.jpg"], [SQUARE], atol=1e-3)
    assert read_annotations(tmp_path).frames[0].targets[0].label == "label"


@pytest.mark.parametrize("layout", ["images first", "split first", "side by side"])
def test_yolo_obb_in_the_layouts_that_ultralytics_reads(tmp_path, layout):
    image, labels = {
        "images first": ("images/train/a.jpg", "labels/train/a.txt"),
        "split first": ("train/images/a.jpg", "train/labels/a.txt"),
        "side by side": ("a.jpg", "a.txt"),
    }[layout]
    save_image(tmp_path / image)
    save(tmp_path / labels, f"0 {shares(UPSIDE_DOWN)}\n\n0 {shares(SQUARE)}\n")
    save(tmp_path / "data.yaml", "train: images/train\nval: images/val\n\nnc: 1\nnames: ['plate']\n")
    read = read_annotations(tmp_path)
    assert read.format == "YOLO-OBB"
    np.testing.assert_allclose([t.corners for t in read.frames[0].targets], [SQUARE, SQUARE], atol=1e-3)
    assert {target.label for target in read.frames[0].targets} == {"plate"}


def test_a_text_file_beside_an_image_is_no_annotation_where_nothing_says_so(tmp_path):
    save_image(tmp_path / "a.jpg")
    save(tmp_path / "a.txt", "a note\n")
    assert not has_annotations(tmp_path)


@pytest.mark.parametrize(
    ("line", "yaml", "message"),
    [
        ("0 0.5 0.5 0.1 0.1", "names: [plate]", "line 1 has 5 numbers, expected 9 .* it is a box"),
        ("0 " + "0.5 " * 16, "names: [plate]", r"kpt_shape: \[4, 3\]"),
        ("0 " + "0.5 " * 10, "names: [plate]", "line 1 has 11 numbers, expected 9"),
        ("0 0.1 0.1 nan 0.1 0.2 0.2 0.1 0.2", "names: [plate]", "not a finite number"),
        ("0 100 100 300 100 300 200 100 200", "names: [plate]", "far outside its frame of 640x480"),
        ("plate 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "names: [plate]", "line 1: expected a class and numbers"),
        ("\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.15 0.15", "names: [plate]", "line 2 of a.jpg: its corners are not those"),
        (pose_line(SQUARE, ""), POSE_YAML, r"line 1 has 13 numbers, expected 17"),
        (pose_line(SQUARE[:3]) + " 0 0 0", POSE_YAML, "keypoint that is not marked"),
        (pose_line(SQUARE), "kpt_shape: [17, 3]\nnames: [person]", r"kpt_shape is .*, expected \[4, 2\] or \[4, 3\]"),
        (pose_line(SQUARE), "kpt_shape: [4, 3\nnames: [plate]", "line 1.* a bracket is not closed"),
    ],
    ids=["box", "keypoints not described", "5 points", "NaN", "pixels", "a word", "concave", "2 dimensions", "hidden",
         "17 keypoints", "damaged YAML"],
)  # fmt: skip
def test_wrong_yolo_labels_are_one_clear_error(tmp_path, line, yaml, message):
    save_pose(tmp_path, line, yaml)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(tmp_path)
    assert "\n" not in str(error.value)


def test_a_yolo_label_whose_image_is_missing_is_one_clear_error(tmp_path):
    save_pose(tmp_path, pose_line(SQUARE))
    save(tmp_path / "labels" / "train" / "classes.txt", "plate\n")
    read_annotations(tmp_path)
    save(tmp_path / "labels" / "train" / "b.txt", pose_line(SQUARE))
    with pytest.raises(DataError, match=r"b\.txt: its image is missing"):
        read_annotations(tmp_path)


# labelme.


def shape(kind, points, label="page", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def save_labelme(folder, name, *shapes, image=None):
    save_image(folder / f"{name}.jpg")
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image or f"{name}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    save(folder / f"{name}.json", json.dumps(content, indent=2))


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


# CVAT.

CVAT = """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>plates</name>
      <size>2</size>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>plate</name>
          <color>#c06060</color>
          <type>any</type>
          <attributes>
            <attribute>
              <name>reading</name>
              <mutable>False</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
          </attributes>
        </label>
      </labels>
    </task>
    <dumped>2024-05-13 09:12:12.084302+00:00</dumped>
  </meta>
  <image id="0" name="a.jpg" width="640" height="480">
    {shapes}
  </image>
  <image id="1" name="empty.jpg" width="640" height="480">
  </image>
</annotations>
"""
POLYGON = """\
<polygon label="plate" source="manual" occluded="0" points="{points}" z_order="0">
      <attribute name="reading">AB 123</attribute>
    </polygon>"""
BOX = '<box label="plate" occluded="0" xtl="100.5" ytl="100.5" xbr="300.5" ybr="200.5"{turn} z_order="0"/>'


def save_cvat(folder, *shapes):
    for name in ("a.jpg", "empty.jpg"):
        save_image(folder / "images" / name)
    save(folder / "annotations.xml", CVAT.format(shapes="\n    ".join(shapes)))


def test_cvat_polygons_and_boxes_are_targets(tmp_path):
    points = "300.50,200.50;100.50,200.50;100.50,100.50;300.50,100.50"
    point = '<points label="plate" occluded="0" points="1.0,1.0" z_order="0"/>'
    save_cvat(tmp_path, POLYGON.format(points=points), BOX.format(turn=""), point)
    read = read_annotations(tmp_path)
    assert read.format == "CVAT"
    assert corners_of(tmp_path) == {"a.jpg": [SQUARE, SQUARE], "empty.jpg": []}
    assert [(t.label, t.text) for t in read.frames[0].targets] == [("plate", "AB 123"), ("plate", "")]
    assert "1 shape of other kinds left out" in read.notes


@pytest.mark.parametrize(
    ("degrees", "corners"),
    [
        ("90.00", [[250, 50], [250, 250], [150, 250], [150, 50]]),
        ("180.00", UPSIDE_DOWN),
        ("36.87", [[150, 50], [310, 170], [250, 250], [90, 130]]),  # cosine 0.8, sine 0.6
    ],
)
def test_cvat_boxes_turn_clockwise_and_keep_their_corners(tmp_path, degrees, corners):
    save_cvat(tmp_path, BOX.format(turn=f' rotation="{degrees}"'))
    np.testing.assert_allclose(corners_of(tmp_path)["a.jpg"], [corners], atol=0.01)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (POLYGON.format(points="1,1;9,1;9,9"), "polygon 1 of a.jpg has 3 points"),
        (POLYGON.format(points="1,1;9,1;9,9;5,5;1,9"), "polygon 1 of a.jpg has 5 points"),
        (POLYGON.format(points="1,1;9,1;9,9;nan,5"), "not a finite number"),
        (POLYGON.format(points="1,1;9,1;9,9;x,5"), "polygon 1 of a.jpg is not as CVAT writes it"),
        ('<box label="plate" xtl="1"/>', "box 1 of a.jpg is not as CVAT writes it"),
        ('</image><track id="0" label="plate"></track><image id="2" name="b.jpg">', 'export the task as "CVAT for im'),
        ('</image><image id="2" name="b.jpg" width="640" height="480">', "names the image b.jpg, which is missing"),
        ('</image><image id="2" name="b.jpg">', "no name, width and height"),
        ('</image><image id="2" name="empty.jpg" width="480" height="640">', "annotated as 480x640 pixels, but has"),
        ("</image>", "annotations.xml is damaged or no XML"),
    ],
    ids=["3 points", "5 points", "NaN", "a word", "half a box", "a video", "missing image", "no size", "another size",
         "damaged"],
)  # fmt: skip
def test_wrong_cvat_shapes_are_one_clear_error(tmp_path, wrong, message):
    save_cvat(tmp_path, wrong)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(tmp_path)
    assert "\n" not in str(error.value)


# CCPD.

CCPD = "025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg"


def test_ccpd_names_say_corners_and_text(tmp_path):
    """The example of the data set's README; its corners begin at the bottom right."""
    save_image(tmp_path / "ccpd_base" / CCPD, (720, 1160))
    save_image(tmp_path / "ccpd_np" / "1.jpg", (720, 1160))
    save_image(tmp_path / "other.jpg")
    read = read_annotations(tmp_path)
    assert read.format == "CCPD"
    assert corners_of(tmp_path) == {CCPD: [[[154, 383], [363, 402], [386, 473], [177, 454]]], "1.jpg": []}
    assert read.frames[0].targets[0].text == "皖AY339S"
    assert read.notes == ("1 image with other names left out",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (CCPD.replace("_363&402", ""), "has 3 points"),
        (CCPD.replace("_363&402", "_363&402_1&1"), "has 5 points"),
        (CCPD.replace("363&402", "363402"), "corners that are not x&y"),
        (CCPD.replace("0_0_22", "0_0_99"), "a character that CCPD does not know"),
    ],
    ids=["3 points", "5 points", "no point", "a character"],
)
def test_wrong_ccpd_names_are_one_clear_error(tmp_path, name, message):
    save_image(tmp_path / name, (720, 1160))
    with pytest.raises(DataError, match=message):
        read_annotations(tmp_path)


# Which format.


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
