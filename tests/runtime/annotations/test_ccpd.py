"""CCPD, whose images are called what they show."""

from __future__ import annotations

import pytest

from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.runtime.annotations.made_folders import corners_of, save_image

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


def test_a_name_that_is_wrong_leaves_out_its_frame_alone(tmp_path):
    for name in (CCPD, CCPD.replace("0_0_22", "0_0_99")):
        save_image(tmp_path / name, (720, 1160))
    errors = []
    read = read_annotations(tmp_path, on_error=errors.append)
    assert [frame.path.name for frame in read.frames] == [CCPD]
    assert len(errors) == 1
