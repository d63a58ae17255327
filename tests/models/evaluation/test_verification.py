"""Figures and sheets of what a model found: overlap, what is kept, the score, means of rectified images."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_rectify.models.evaluation.aligned_mean import WHOLE_FRAME, aligned_mean
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, save_sheet, sheet
from stn_rectify.runtime.evaluation.corner_errors import error_table, frame_errors, summarise
from stn_rectify.runtime.evaluation.presence import presence
from stn_rectify.runtime.geometry import homography_to_corners

WIDTH, HEIGHT = 96, 72


def box(left, top, width, height):
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], float)


def painted(corners, shade=255):
    """A grey frame with a white target."""
    frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    cv2.fillConvexPoly(frame, np.round(corners).astype(np.int32), (shade,) * 3)
    return frame


@pytest.fixture(scope="module")
def known():
    """Ten white targets on grey, of two kinds, and two empty frames."""
    rng = np.random.default_rng(0)
    corners = [box(*rng.uniform(5, 40, 2), *rng.uniform(20, 30, 2)) for _ in range(10)]
    frames = [painted(c) for c in corners] + [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 2
    return KnownFrames(
        "made up", tuple(frames), (*corners, None, None), ("card",) * 5 + ("plate",) * 5 + ("empty",) * 2
    )


def whole_frames(known):
    return tuple(homography_to_corners(np.eye(3), WIDTH, HEIGHT) for _ in known.frames)


def exact(known):
    return tuple(w if t is None else t for t, w in zip(known.corners, whole_frames(known), strict=True))


def test_frame_errors_of_known_shifts():
    truth = box(10, 10, 40, 30)
    found = [truth, box(30, 10, 40, 30), box(70, 10, 40, 30), truth[::-1], box(0, 0, 60, 50)]
    errors = frame_errors(KnownFrames("", (painted(truth),) * 5, (truth,) * 5), found)
    np.testing.assert_allclose(errors.percent[:3], [0, 40, 120])
    np.testing.assert_allclose(errors.overlap, [1, 1 / 3, 0, 0, 0.4])
    np.testing.assert_allclose(errors.kept, [1, 0.5, 0, 0, 1])


def test_the_summary_counts_targets_and_leaves_empty_frames_out(known):
    found = list(exact(known))
    found[0] = found[0] + 1000
    errors = summarise(known, found, None)
    assert errors.count == 10
    assert errors.overlap_median == pytest.approx(1)
    assert (errors.overlap_mean, errors.overlap_good, errors.kept_mean) == pytest.approx((0.9, 0.9, 0.9))
    assert errors.kept_p5 == pytest.approx(0.45)  # between the worst, 0, and the next, 1
    assert (errors.median, errors.presence) == (pytest.approx(0), None)


def test_presence_at_its_operating_points():
    """100 empty frames at 0.00 to 0.99 and 20 targets, all but two of which are above."""
    empty = np.arange(100) / 100
    targets = np.array([0.975, 0.5, *np.linspace(0.985, 1, 18)])
    measured = presence(np.concatenate([empty, targets]), np.arange(120) >= 100)
    assert measured.empty == 100
    assert measured.threshold == pytest.approx(0.97)  # 0.98 and 0.99 are above it: 2 %
    assert measured.targets_accepted == pytest.approx(19 / 20)
    assert measured.empty_accepted == pytest.approx(0.02)  # 19 of 20 need 0.975, and so let 0.98 and 0.99 in
    worse = presence(np.concatenate([empty, targets - 0.5]), np.arange(120) >= 100)
    assert worse.targets_accepted == 0
    assert worse.empty_accepted == pytest.approx(0.52)


def test_a_score_that_says_the_same_of_all_frames_tells_nothing_apart():
    measured = presence(np.full(50, 0.9), np.arange(50) < 45)
    assert (measured.targets_accepted, measured.empty_accepted) == (0, 1)
    assert measured.calibration_error == pytest.approx(0)  # 0.9 it says, and 90 % hold a target
    sure = presence(np.ones(50), np.arange(50) < 45)
    assert sure.calibration_error == pytest.approx(0.1)


def test_the_calibration_error_does_not_let_bins_cancel():
    """0.2 too low for the one half, 0.2 too high for the other."""
    score = np.repeat([0.25, 0.75], 100)
    has_target = np.tile(np.arange(100) < 45, 2)
    has_target[100:] = np.arange(100) < 55
    assert presence(score, has_target).calibration_error == pytest.approx(0.2)


@pytest.mark.parametrize("share", [0, 1], ids=["only empty frames", "only targets"])
def test_presence_needs_both_kinds_of_frames(share):
    assert presence(np.linspace(0, 1, 9), np.full(9, share, bool)) is None


def test_the_table_has_a_line_of_equal_length_for_each_row(known):
    score = np.array([0.9] * 10 + [0.1] * 2)
    good, bad = summarise(known, exact(known), score), summarise(known, whole_frames(known), None)
    lines = error_table([good, replace(bad, name="a longer name than the others")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "100.0 %" in lines[2]
    assert lines[3].startswith("a longer name than the others      10")


def test_the_mean_over_true_corners_has_sharp_borders_and_others_do_not(known):
    targets = known.frames[:10]
    by_truth = aligned_mean(targets, known.corners[:10])
    off = np.random.default_rng(1).normal(0, 3, (10, 1, 2))
    by_guess = aligned_mean(targets, [c + o for c, o in zip(known.corners, off, strict=False)])
    as_they_are = aligned_mean(targets, [homography_to_corners(WHOLE_FRAME, WIDTH, HEIGHT)] * 10)
    assert by_truth.border > 1.7 * by_guess.border > 1.7 * 1.5 * as_they_are.border
    middle, rim = by_truth.plain[48, 48], by_truth.plain[2, 48]
    np.testing.assert_allclose(middle, 255, atol=1)
    np.testing.assert_allclose(rim, 90, atol=1)


def test_poses_without_a_crop_are_left_out_of_the_mean(known):
    corners = [known.corners[0], np.full((4, 2), np.nan), known.corners[2][::-1]]
    assert aligned_mean(known.frames[:3], corners).count == 1
    assert aligned_mean(known.frames[:3], [np.full((4, 2), np.nan)] * 3) is None


def test_the_sheet_shows_frames_means_and_histograms_of_each_model(known):
    found = tuple(corners + 3 for corners in exact(known))
    one = sheet(known, [FoundPoses("float", found)])
    both = sheet(known, [FoundPoses("float", found), FoundPoses("INT8", whole_frames(known))])
    assert both.shape[0] > one.shape[0] + 150  # a row of rectified images more, and two lines of means
    assert both.shape[1] > 6 * 180
    for colour in ((255, 119, 34), (58, 158, 10), (32, 32, 224)):  # truth, float, INT8
        assert (both == colour).all(axis=2).sum() > 100
    assert not (one == (32, 32, 224)).all(axis=2).any()
    assert 0.1 < (one < 250).any(axis=2).mean() < 0.9


def test_frames_without_true_corners_have_a_sheet_of_means_by_kind(known, tmp_path):
    """As digits have: labels, but no corners."""
    labelled = KnownFrames("digits", known.frames[:10] * 2, (None,) * 20, ("3", "5") * 10)
    found = [FoundPoses("float", exact(known)[:10] * 2)]
    save_sheet(tmp_path / "a.png", "a model", [(labelled, found)])
    image = cv2.imread(str(tmp_path / "a.png"))
    assert 4 * 96 < image.shape[0] < 700
    of_kinds = image[150:, 14 + 92 + 8 + 96 + 8 :]  # right of the row's name and of the mean of all
    assert (of_kinds < 128).any()
    assert sheet(replace(labelled, kinds=()), found).shape[0] < image.shape[0] - 150
