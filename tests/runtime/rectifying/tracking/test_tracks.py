"""Targets keep their numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stn_rectify.runtime import TargetTracker, UsageError
from stn_rectify.runtime.rectifying.searching.candidates import overlap

FRAME_S = 1 / 30
PLATE = np.array([[100, 100], [200, 100], [200, 140], [100, 140]], np.float64)


def moved(x: float, y: float = 0.0) -> np.ndarray:
    return np.add(PLATE, (x, y))


def test_numbers_start_at_1_and_follow_the_targets_not_their_order() -> None:
    tracker = TargetTracker()
    assert tracker.update([moved(0), moved(300)], 0.0) == [1, 2]
    assert tracker.update([moved(304), moved(4)], FRAME_S) == [2, 1]
    assert tracker.update([moved(8)], 2 * FRAME_S) == [1]
    assert tracker.numbers == {1, 2}


def test_a_new_target_takes_a_number_that_none_had_before() -> None:
    tracker = TargetTracker()
    tracker.update([moved(0)], 0.0)
    tracker.reset()
    assert tracker.update([moved(0)], FRAME_S) == [2]
    assert tracker.update([moved(0), moved(500)], 2 * FRAME_S) == [2, 3]


@pytest.mark.parametrize(
    ("gap_s", "number"), [pytest.param(0.9, 1, id="comes again"), pytest.param(1.1, 2, id="is given up")]
)
def test_a_target_may_go_unseen_for_a_while(gap_s: float, number: int) -> None:
    tracker = TargetTracker(max_gap_s=1.0)
    tracker.update([moved(0)], 5.0)
    assert tracker.update([], 5.0 + gap_s / 2) == []
    assert tracker.update([moved(0)], 5.0 + gap_s) == [number]


def test_where_time_goes_back_all_are_new() -> None:
    tracker = TargetTracker()
    tracker.update([moved(0)], 100.0)
    assert tracker.update([moved(0)], 99.0) == [2]


def test_two_that_cross_keep_their_numbers() -> None:
    """They lie over one another for some frames, where the place of before alone would mix them up."""
    tracker = TargetTracker()
    for step in range(41):
        left, right = moved(10 * step), moved(400 - 10 * step, 8)
        order = [left, right] if step % 2 else [right, left]  # which scores higher changes
        numbers = tracker.update(order, step * FRAME_S)
        by_name = dict(zip(("left", "right") if step % 2 else ("right", "left"), numbers, strict=True))
        assert by_name == {"left": 2, "right": 1}, step


@pytest.mark.parametrize(
    ("step_px", "follows"),
    [
        pytest.param(45.0, True, id="farther in a frame than it is high, no overlap"),
        pytest.param(200.0, False, id="elsewhere"),
    ],
)
def test_a_small_fast_target_is_followed_by_its_centre(step_px: float, follows: bool) -> None:
    tracker = TargetTracker()
    numbers = [tracker.update([moved(0, step_px * step)], step * FRAME_S)[0] for step in range(4)]
    assert numbers == ([1] * 4 if follows else [1, 2, 3, 4])


def test_a_small_one_in_the_place_of_a_large_one_is_another() -> None:
    tracker = TargetTracker()
    tracker.update([moved(0)], 0.0)
    small = moved(0).mean(axis=0) + (moved(0) - moved(0).mean(axis=0)) / 4
    assert tracker.update([small], FRAME_S) == [2]


def test_it_says_where_targets_would_be_and_no_farther_than_is_likely() -> None:
    tracker = TargetTracker()
    for step in range(4):
        tracker.update([moved(6 * step)], step * FRAME_S)
    tracker.update([moved(24), moved(700)], 4 * FRAME_S)
    soon = tracker.predicted(5 * FRAME_S)
    assert list(soon) == [1, 2]
    np.testing.assert_allclose(soon[1], moved(30), atol=1e-9)
    np.testing.assert_allclose(soon[2], moved(700), atol=1e-9)
    late = tracker.predicted(4 * FRAME_S + 0.9)[1]
    np.testing.assert_allclose(late, moved(24 + 0.25 * 180), atol=1e-9)
    assert tracker.predicted(4 * FRAME_S + 1.1) == {}


def test_overlap_is_that_of_areas() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float64)
    diamond = np.array([[5, -2], [12, 5], [5, 12], [-2, 5]], np.float64)
    assert overlap(square, square) == pytest.approx(1)
    assert overlap(square, np.array([[5, 0], [10, 0], [10, 10], [5, 10]], np.float64)) == pytest.approx(0.5, rel=2e-3)
    assert overlap(square, np.add(square, (5, 0))) == pytest.approx(50 / 150, rel=2e-3)
    assert overlap(square + 30_000.25, np.add(square, (30_005.25, 30_000.25))) == pytest.approx(50 / 150, rel=2e-3)
    inside = 98 - 4 * 4  # four corners stand out, triangles of height 2
    assert overlap(square, diamond) == pytest.approx(inside / (100 + 98 - inside), rel=2e-3)
    assert overlap(square, square + 50) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"min_overlap": 0.0}, {"min_overlap": 1.5}, {"reach": -1.0}, {"reach": math.nan}, {"max_gap_s": 0.0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is"):
        TargetTracker(**wrong)
