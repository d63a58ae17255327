"""YOLO-pose and YOLO-OBB data sets."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.annotations import has_annotations, read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import HEIGHT, SQUARE, UPSIDE_DOWN, WIDTH, corners_of, save, save_image


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


def test_a_line_or_an_image_that_is_wrong_leaves_out_its_frame_alone(tmp_path):
    save_pose(tmp_path, pose_line(SQUARE))
    save_image(tmp_path / "images" / "train" / "b.jpg")
    for name, line in (("b", "0 0.5 0.5 0.1 0.1"), ("lost", pose_line(SQUARE))):
        save(tmp_path / "labels" / "train" / f"{name}.txt", line)
    errors = []
    read = read_annotations(tmp_path, on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == ["a.jpg"]
    assert ["b.txt" in str(error) or "lost.txt" in str(error) for error in errors] == [True, True]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ("names:\n  0: lorry\n  1: plate, EU", "plate, EU"),
        ("names:\n  0: lorry\n  1: plate:EU [new]", "plate:EU [new]"),
        ("names:\n  0: lorry\n  1: driver's # or not", "driver's"),
        ("names:\n  0: lorry\n  1: 'it''s'", "it's"),
        ('names:\n  0: lorry\n  1: "\\u8F66\\u724C"', "\u8f66\u724c"),
        ("names: ['lorry', 'plate #1']  # two", "plate #1"),
        ("names:\n  [lorry,\n   plate]", "plate"),
        ("names:\r\n- lorry\r\n- plate\r", "plate"),
    ],
    ids=["comma", "signs", "apostrophe", "quote", "escaped", "hash", "next line", "CRLF"],
)
def test_names_are_read_as_yaml_has_them(tmp_path, names, label):
    save_pose(tmp_path, pose_line(SQUARE), f"kpt_shape: [4, 3]\n{names}\n")
    assert read_annotations(tmp_path).frames[0].targets[0].label == label


def test_a_description_that_lies_elsewhere_leads_to_its_images(tmp_path):
    save_pose(tmp_path / "datasets" / "plates", pose_line(SQUARE))
    (tmp_path / "datasets" / "plates" / "data.yaml").unlink()
    description = tmp_path / "settings" / "plates.yaml"
    save(description, POSE_YAML)  # its path is ../datasets/plates
    np.testing.assert_allclose(corners_of(description)["a.jpg"], [SQUARE], atol=1e-3)
    save(description, POSE_YAML.replace("datasets", "gone"))
    with pytest.raises(DataError, match=r"no images .* beside it or in its path, \.\./gone/plates: name"):
        read_annotations(description)


def test_a_class_may_have_a_point_and_another_encoding_is_said(tmp_path):
    save_pose(tmp_path, "1.0" + pose_line(SQUARE)[1:])
    assert read_annotations(tmp_path).frames[0].targets[0].label == "shipping: label"
    save(tmp_path / "labels" / "train" / "a.txt", "1.5" + pose_line(SQUARE)[1:])
    with pytest.raises(DataError, match="expected a class and numbers"):
        read_annotations(tmp_path)
    (tmp_path / "data.yaml").write_bytes("names: [f\u00fcr]".encode("latin-1"))
    with pytest.raises(DataError, match=r"data\.yaml cannot be read: it is not in UTF-8 .*: store it as UTF-8"):
        read_annotations(tmp_path)
