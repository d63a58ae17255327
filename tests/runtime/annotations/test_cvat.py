"""Files of CVAT."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import (
    BOX,
    POLYGON,
    SQUARE,
    UPSIDE_DOWN,
    corners_of,
    save,
    save_cvat,
    save_image,
)


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


SKELETON = '<skeleton label="plate" source="manual" z_order="0">{points}</skeleton>'
ELEMENT = '<points label="{label}" source="manual" outside="{outside}" occluded="0" points="{x:.2f},{y:.2f}"></points>'


def skeleton(points, labels, outside=()):
    elements = zip(points, labels, strict=True)
    return SKELETON.format(
        points="".join(
            ELEMENT.format(label=label, outside=int(label in outside), x=x + 0.5, y=y + 0.5)
            for (x, y), label in elements
        )
    )


def test_skeletons_are_taken_by_the_names_of_their_points(tmp_path):
    save_cvat(tmp_path, skeleton([UPSIDE_DOWN[k] for k in (3, 0, 1, 2)], ["bl", "tl", "tr", "br"]))
    read = read_annotations(tmp_path)
    assert corners_of(tmp_path)["a.jpg"] == [UPSIDE_DOWN]
    assert read.notes == ()
    save_cvat(tmp_path, skeleton(UPSIDE_DOWN, ["1", "2", "3", "4"]))
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]
    assert "points of 1 skeleton not named as corners, so the top left comes first" in read_annotations(tmp_path).notes


def test_four_points_of_one_shape_are_a_target(tmp_path):
    pairs = ";".join(f"{x + 0.5},{y + 0.5}" for x, y in UPSIDE_DOWN)
    save_cvat(tmp_path, f'<points label="plate" occluded="0" points="{pairs}" z_order="0"/>')
    assert corners_of(tmp_path)["a.jpg"] == [SQUARE]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (skeleton(SQUARE[:3], ["tl", "tr", "br"]), "skeleton 1 of a.jpg has 3 points"),
        (skeleton(SQUARE, ["tl", "tr", "br", "bl"], outside=["br"]), "a point is not marked: mark all four corners"),
    ],
    ids=["3 points", "not marked"],
)
def test_skeletons_without_four_corners_leave_out_their_frame_alone(tmp_path, wrong, message):
    save_cvat(tmp_path, wrong)
    errors = []
    read = read_annotations(tmp_path, on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == ["empty.jpg"]
    assert message in str(errors[0])


def test_frames_of_a_video_are_named_without_suffix(tmp_path):
    save_cvat(tmp_path, BOX.format(turn=""))
    file = tmp_path / "annotations.xml"
    save(file, file.read_text().replace("a.jpg", "frame_000000"))
    save_image(tmp_path / "images" / "frame_000000.PNG")
    assert corners_of(tmp_path)["frame_000000.PNG"] == [SQUARE]


def test_images_of_one_name_are_those_of_their_subsets(tmp_path):
    images = "".join(
        f'<image id="{k}" name="a.jpg" subset="{subset}" task_id="{k}" width="640" height="480">{shapes}</image>'
        for k, (subset, shapes) in enumerate([("Train", BOX.format(turn="")), ("Validation", "")])
    )
    save(tmp_path / "annotations.xml", f"<annotations><version>1.1</version>{images}</annotations>")
    for subset in ("Train", "Validation"):
        save_image(tmp_path / "images" / subset / "a.jpg")
    read = read_annotations(tmp_path)
    assert [(frame.path.parent.name, len(frame.targets)) for frame in read.frames] == [("Train", 1), ("Validation", 0)]
