"""Boxes of another detector in place of a scan: what is accepted, where it starts, which box a result is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import DataError, Rectifier, UsageError
from stn_rectify.runtime.rectifying.refining.refinement import RefineNetwork
from stn_rectify.runtime.rectifying.searching.boxes import BOX_SHARE, box_starts

MakeModel = Callable[..., Path]

UNCHANGED = (1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)
BOX = [40.0, 60.0, 120.0, 100.0]
QUADRILATERAL = [[40.0, 60.0], [120.0, 64.0], [118.0, 100.0], [42.0, 98.0]]
SIZE = (320, 240)


@dataclass
class Detections:
    """As a detector hands them on."""

    xyxy: object


class Tensor:
    """As PyTorch's: on another device until it is asked for."""

    def __init__(self, values: object, *, is_here: bool = False) -> None:
        self.values, self.is_here = values, is_here

    def cpu(self) -> Tensor:
        return Tensor(self.values, is_here=True)

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        assert self.is_here, "can't convert a cuda tensor to numpy"
        return np.asarray(self.values, np.float32)


@pytest.fixture
def refining(make_model: MakeModel) -> Path:
    """A file whose refine network leaves poses of a black frame where they are; its score is 0 there."""
    return make_model(refine={"theta": UNCHANGED})


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param([BOX], id="a list"),
        pytest.param(np.array([BOX]), id="float64"),
        pytest.param(np.array([BOX], np.float32), id="float32"),
        pytest.param(np.array([BOX], np.int32), id="integers"),
        pytest.param(Detections(np.array([BOX], np.float32)), id="an object with xyxy"),
        pytest.param(Detections(Tensor([BOX])), id="an object whose xyxy is a tensor elsewhere"),
        pytest.param(Tensor([BOX]), id="a tensor"),
    ],
)
def test_boxes_of_all_kinds_start_around_their_middle(boxes: object) -> None:
    (start,) = box_starts(boxes, SIZE)
    half = np.array([40, 20]) * BOX_SHARE
    np.testing.assert_allclose(start.corners, [79.5, 79.5] + half * [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    assert start.row == 0
    assert start.more_passes > 0


def test_a_quadrilateral_is_a_pose_itself() -> None:
    (start,) = box_starts([QUADRILATERAL], SIZE)
    np.testing.assert_array_equal(start.corners, QUADRILATERAL)
    assert start.more_passes == 0


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4)), np.empty((0, 4, 2)), Detections(np.empty((0, 4), np.float32))])
def test_no_boxes_are_no_results(refining: Path, frame: np.ndarray, boxes: object) -> None:
    with Rectifier(refining) as rectifier:
        assert rectifier.locate_all(frame, boxes=boxes) == []
        assert rectifier.rectify_all(frame, boxes=boxes) == []
        assert rectifier.locate(frame, boxes=boxes).theta is None
        assert rectifier.rectify(frame, boxes=boxes).score == 0


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        pytest.param([[40, 60, float("nan"), 100]], r"boxes\[0\] is .*finite", id="NaN"),
        pytest.param([BOX, [0, 0, np.inf, 9]], r"boxes\[1\] is .*finite", id="infinite"),
        pytest.param(BOX, r"shape \(4,\).*\[N, 4\]", id="one box without its axis"),
        pytest.param([[*BOX, 0.9]], r"shape \(1, 5\)", id="with a score"),
        pytest.param([[BOX]], r"shape \(1, 1, 4\)", id="an axis too many"),
        pytest.param([BOX, BOX[:3]], "no numbers", id="rows of different lengths"),
        pytest.param("40,60,120,100", "boxes are str, no numbers", id="a text"),
        pytest.param(Detections("boxes"), "boxes are Detections, no numbers", id="an xyxy of no numbers"),
        pytest.param([[True] * 4], "no numbers", id="truth values"),
        pytest.param([[100, 60, 40, 100]], r"boxes\[0\] .*x, y, width, height", id="sides in the wrong order"),
        pytest.param([QUADRILATERAL[::-1]], r"boxes\[0\] is .*top-left", id="corners the other way round"),
        pytest.param([[QUADRILATERAL[k] for k in (0, 2, 1, 3)]], r"boxes\[0\] is .*top-left", id="crossed"),
    ],
)
def test_boxes_that_are_none_are_named(refining: Path, frame: np.ndarray, boxes: object, message: str) -> None:
    with Rectifier(refining) as rectifier:
        for call in (rectifier.locate, rectifier.locate_all, rectifier.rectify, rectifier.rectify_all):
            with pytest.raises(DataError, match=message):
                call(frame, boxes=boxes)
        rectifier.locate(frame)  # and it goes on working


@pytest.mark.parametrize(
    "outside",
    [
        pytest.param([-50, 10, -1, 60], id="on the left"),
        pytest.param([321, 10, 400, 60], id="on the right"),
        pytest.param([10, 240, 60, 300], id="below"),
        pytest.param([10, 10, 10, 60], id="without a width"),
        pytest.param([10, 10, 12, 12], id="of four pixels"),
        pytest.param([-500, 10, 1, 20], id="of a stripe in the frame"),
    ],
)
def test_boxes_outside_the_frame_are_skipped(refining: Path, outside: list[float]) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    with Rectifier(refining) as rectifier:
        locations = rectifier.locate_all(frame, boxes=[outside, BOX])
        assert [location.box for location in locations] == [1]
        assert rectifier.locate_all(frame, boxes=[outside]) == []
    x0, y0, x1, y1 = outside
    quadrilateral = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    if x0 >= -50:
        assert box_starts([quadrilateral], SIZE) == []


def test_a_box_that_reaches_beyond_the_frame_counts_inside_it() -> None:
    (start,) = box_starts([[-100.0, -100, 80, 60]], SIZE)
    np.testing.assert_allclose(start.corners.mean(axis=0), [39.5, 29.5])


def test_each_box_gives_a_result_that_says_which(
    refining: Path, monkeypatch: pytest.MonkeyPatch, frame: np.ndarray
) -> None:
    look = RefineNetwork.look
    passes = []

    def left_is_best(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, samples: int) -> object:
        passes.append(samples)
        return look(self, frame, homography, samples)[0], float(0.5 - homography[0, 2] / 4)

    monkeypatch.setattr(RefineNetwork, "look", left_is_best)
    boxes = [[200, 60, 280, 100], [20, 60, 100, 100], [120, 60, 200, 100]]
    black = np.zeros_like(frame)
    with Rectifier(refining, refine=2) as rectifier:
        locations = rectifier.locate_all(black, boxes=boxes)
        assert passes == [1, 1, 2] * 3
        assert [location.box for location in locations] == [1, 2, 0]
        np.testing.assert_allclose([location.score for location in locations], [0.656, 0.5, 0.375], atol=0.05)
        results = rectifier.rectify_all(black, boxes=boxes)
        assert [result.box for result in results] == [1, 2, 0]
        assert [location.box for location in rectifier.locate_all(black, 2, boxes=boxes)] == [1, 2]
        assert len(rectifier.locate_all(black, boxes=boxes * 4)) == 12
        assert rectifier.locate(black, boxes=boxes).box == 1
        assert rectifier.rectify(black, boxes=boxes).box == 1
        assert rectifier.locate(black).box is None
    left = locations[0].corners
    np.testing.assert_allclose(left.mean(axis=0), [59.5, 79.5], atol=0.01)
    np.testing.assert_allclose(left[2] - left[0], [80 * BOX_SHARE, 40 * BOX_SHARE], atol=0.01)


def test_a_dense_file_does_not_scan_for_boxes(make_dense_model: MakeModel) -> None:
    frame = np.zeros((192, 256, 3), np.uint8)
    frame[16:32, 16:32] = (0, 40, 220)
    with Rectifier(make_dense_model(refine={"theta": UNCHANGED})) as rectifier:
        (scanned,) = rectifier.locate_all(frame)
        (boxed,) = rectifier.locate_all(frame, boxes=[[150, 100, 230, 160]])
    assert scanned.corners[0, 0] < 100 < boxed.corners[0, 0]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        pytest.param({}, {}, "boxes need a refine network, and model 'test' has none", id="no refine network"),
        pytest.param({"refine": {"theta": UNCHANGED}}, {"refine": 0}, "leave refine=0", id="no passes"),
        pytest.param(
            {"in_graph": True, "refine": {"theta": UNCHANGED}}, {"output": "model"}, "output='frame'", id="own image"
        ),
    ],
)
def test_boxes_need_something_to_refine_them(
    make_model: MakeModel, frame: np.ndarray, model: dict[str, object], options: dict[str, object], message: str
) -> None:
    with Rectifier(make_model(**model), **options) as rectifier, pytest.raises(UsageError, match=message):
        rectifier.rectify(frame, boxes=[BOX])
