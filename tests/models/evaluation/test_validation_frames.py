"""Frames with known corners: a folder with its truth, and the errors on it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.evaluation.known_frames import KnownFrames, read_truth
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.evaluation.corner_errors import summarise
from stn_rectify.runtime.geometry import homography_to_corners
from tests.models.command.test_training_command import ARGUMENTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no truth.json"),
        ("{", "damaged or no JSON"),
        ("[]", "expected"),
        ("{}", "names no image"),
        ('{"b.png": {"x": 0}}', "expected"),
        ('{"b.png": [[0,0],[1,0]]}', "target 1 of b.png has 2 points"),
        ('{"b.png": [[0,0],[1,0],[1,1],[0,NaN]]}', "not a finite number"),
        ('{"b.png": [[0,0],[1,0],[1,1],[0,1]]}', "b.png"),
        ('{"truth.json": [[0,0],[1,0],[1,1],[0,1]]}', "missing or damaged"),
    ],
    ids=[
        "no truth",
        "broken truth",
        "a list",
        "no images",
        "a dictionary for corners",
        "two corners",
        "a corner that is no number",
        "missing image",
        "no image",
    ],
)
def test_bad_validation_data_is_one_clear_line_before_any_work(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    assert main(["pose", "--out", str(tmp_path / "m.keras"), *ARGUMENTS, "--validate", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m.training").exists()


def test_validation_reads_a_folder_with_its_truth(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    truth = {"a.png": [[0, 0], [63, 0], [63, 47], [0, 47]]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    known = read_truth(tmp_path)
    assert known.frames[0].shape == (48, 64, 3)
    errors = summarise(known, [homography_to_corners(np.eye(3), 64, 48)], None)
    assert errors.mean == pytest.approx(100 * np.hypot(0.5, 0.5) / np.hypot(63, 47), rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_frames_that_are_all_empty_have_no_corner_error():
    empty = KnownFrames("empty", (np.zeros((48, 64, 3), np.uint8),), (None,))
    errors = summarise(empty, [homography_to_corners(np.eye(3), 64, 48)], np.array([0.1]))
    assert errors.count == 0
    assert np.isnan([errors.mean, errors.median, errors.p95, errors.centred_box]).all()
    assert errors.score_accuracy == 1


def test_a_truth_that_cannot_be_read_is_one_clear_error(tmp_path):
    (tmp_path / "truth.json").symlink_to("/proc/self/mem")  # its first byte cannot be read, by root neither
    with pytest.raises(DataError, match=r"truth\.json cannot be read"):
        read_truth(tmp_path)


def test_grey_validation_images_are_read_as_colour(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64), 7, np.uint8))
    (tmp_path / "truth.json").write_text('{"a.png": [[0, 0], [63, 0], [63, 47], [0, 47]]}')
    np.testing.assert_array_equal(read_truth(tmp_path).frames[0], np.full((48, 64, 3), 7, np.uint8))
