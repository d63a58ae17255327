"""The headline of a report: proved integers are never called a success of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement, class_agreement
from stn_rectify.converters.report.comparisons.composite_comparison import CompositeComparison, SamplerPoses
from stn_rectify.converters.report.verdict import Verdict, class_doubts, pose_doubts, poses_check, sampler_doubts
from tests.converters.report.test_page import COMPARISON, SCAN, TARGETS, Page, make_report, written

SIZE = (64, 64)
OFF = replace(TARGETS, corners_mean_px=13.6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, [], id="well trained"),
        pytest.param({"int8_targets": OFF}, ["13.60 px from the true", "10.50 px"], id="as far off as a fixed pose"),
        pytest.param({"poses_spread_px": 0.0}, ["theta hardly varies", "10.50 px"], id="the same pose for all"),
        pytest.param({"poses_spread_px": 1.0}, ["theta hardly varies"], id="hardly another pose"),
        pytest.param({"corners_mean_px": 6.0}, ["INT8 moves the corners by 6.00 px", "9.50 px"], id="badly quantized"),
        pytest.param({"corners_mean_px": 2.5}, ["INT8 moves the corners by 2.50 px"], id="a quarter is lost"),
        pytest.param({"mirrored_poses": 7}, ["in 7 of", "mirrored or has no area"], id="mirrored"),
        pytest.param({"mirrored_poses": 1}, [], id="one without a target"),
        pytest.param(
            {"int8_targets": None, "float_targets": None, "true_spread_px": None, "poses_spread_px": 0.2},
            ["theta hardly varies over the frames (the corners by 0.20 px):"],
            id="the same pose for all, no truth",
        ),
        pytest.param(
            {"true_spread_px": 0.1, "poses_spread_px": 0.1, "int8_targets": replace(TARGETS, corners_mean_px=0.2)},
            [],
            id="a camera that sees one pose, and the network finds it",
        ),
    ],
)
def test_doubts_about_poses(changes, said):
    doubts = pose_doubts(replace(COMPARISON, **changes), SIZE, frames_are_alike=False)
    assert len(doubts) == bool(said)
    for part in said:
        assert part in doubts[0]


@pytest.mark.parametrize(
    ("moved", "spread", "passed"),
    [(0.1, 9.5, True), (9.4, 9.5, True), (9.5, 9.5, False), (12.0, 3.0, False), (2.0, 0.1, False), (0.1, 0.05, None)],
)
def test_an_error_as_large_as_the_spread_of_poses_fails(moved, spread, passed):
    errors = np.full(12, moved)
    errors[0] += 100  # one wild pose, which counts for nothing
    outputs = replace(COMPARISON.outputs, corner_error_px=errors)
    comparison = replace(COMPARISON, outputs=outputs, poses_spread_px=spread)
    check = poses_check(comparison, SIZE, frames_are_alike=False)
    assert (None if check is None else check.passed) is passed
    assert poses_check(comparison, SIZE, frames_are_alike=True) is None


def test_frames_that_are_all_the_same_say_nothing_about_the_poses():
    still = replace(COMPARISON, poses_spread_px=0.0, true_spread_px=None, int8_targets=None)
    assert pose_doubts(still, SIZE, frames_are_alike=True) == []


@pytest.mark.parametrize(
    ("moved", "spread", "doubted"),
    [(0.05, 3.0, False), (0.8, 3.0, True), (0.7, 3.0, False), (0.05, 0.01, False), (0.2, 0.01, True)],
)
def test_doubts_about_one_of_two_samplers_inside(moved, spread, doubted):
    """The second reads a map of 14 x 16, of whose diagonal 0.5 % are 0.11 px."""
    poses = SamplerPoses(1, 0.05, 0.1, 0.2, 5.0), SamplerPoses(2, moved, moved, moved, spread)
    comparison, sizes = CompositeComparison(20, (), poses, None), [(28, 32), (14, 16)]
    doubts = sampler_doubts(comparison, sizes)
    assert len(doubts) == doubted
    assert all(f"the corners of sampler 2 by {moved:.2f} px" in doubt for doubt in doubts)


@pytest.mark.parametrize(
    ("agreement", "said"),
    [
        pytest.param(ClassAgreement(1.0, 100, 0.9, 0.9, 0.1, 10), "", id="right"),
        pytest.param(ClassAgreement(1.0, 100, 0.12, 0.12, 0.1, 7), "right in 12.0 %", id="guesses"),
        pytest.param(ClassAgreement(0.7, 0, None, None, None, 7), "in 70.0 % only", id="badly quantized"),
        pytest.param(ClassAgreement(1.0, 0, None, None, None, 1), "the same answer for every frame", id="one answer"),
    ],
)
def test_doubts_about_classes(agreement, said):
    doubts = class_doubts(agreement)
    assert len(doubts) == bool(said)
    assert said in "".join(doubts)


def test_one_answer_for_all_is_as_good_as_the_commonest_class_is_frequent():
    scores = np.eye(3)[[0, 0, 0, 0, 0]]
    found = class_agreement(scores, scores, np.array([0, 0, 1, 2, -1]))
    assert (found.accuracy_of_one_class, found.accuracy_int8, found.answers) == (0.5, 0.5, 1)
    assert class_doubts(found)


DOUBT = "the corners are 13.60 px from the true ones on average"
DOUBTFUL = replace(
    SCAN, comparison=replace(COMPARISON, int8_targets=OFF), doubts=[DOUBT], warnings=[DOUBT, "few frames"]
)


@pytest.mark.parametrize(
    ("network", "failures", "tone"),
    [
        (SCAN, [], "good"),
        (replace(SCAN, truth_is_known=False), [], "unmeasured"),
        (DOUBTFUL, [], "doubtful"),
        (DOUBTFUL, ["float tensors: 3"], "failed"),
    ],
)
def test_the_verdict(network, failures, tone):
    assert Verdict.of([network], failures).tone == tone


def test_a_doubtful_network_is_not_headed_as_a_success(tmp_path):
    report = make_report(DOUBTFUL)
    assert report["passed"]
    assert report["verdict"] == {
        "tone": "doubtful",
        "headline": "integers proved, network doubtful",
        "doubts": [DOUBT],
    }
    text, page = written(tmp_path, report)
    heading = text[text.index("<h1>") : text.index("</h1>")]
    assert '<span class="doubtful">integers proved, network doubtful</span>' in heading
    assert page.words().count(DOUBT) == 1  # not once more among the other warnings
    assert text.index(DOUBT) < text.index("few frames") < text.index('class="figures"')
    first_tile = text[text.index('class="figures"') :]
    assert first_tile.index("13.60 px") < first_tile.index("Corner error float")


def test_without_known_truth_the_first_tile_says_so(tmp_path):
    bare = replace(COMPARISON, int8_targets=None, float_targets=None, true_spread_px=None, known_targets=0)
    _, page = written(tmp_path, make_report(replace(SCAN, comparison=bare, truth_is_known=False)))
    assert isinstance(page, Page)
    assert "general: integers proved, accuracy not measured" in page.words()
    assert "Corners from the true ones not known" in page.words()
