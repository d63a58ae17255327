"""Candidates: read off a dense network's numbers, and thinned where several lie in one place."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.model.metadata import DenseSpec, LevelSpec, ScoreSpec
from stn_rectify.runtime.rectifying.searching.candidates import NESTED_AREA, Candidate, decode, thinned

SPEC = DenseSpec((LevelSpec("serving_default", 64, 96),), 8, 32.0, ScoreSpec(1 / 256, -128), ScoreSpec(1 / 32, 5))
UPRIGHT = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


def outputs(*cells: tuple[int, int, float, float, float]) -> dict[str, np.ndarray]:
    """Scores and corners of a level, from row, column, score, half the width and half the height, pixels."""
    scores, corners = np.full((1, 8, 12, 1), -128, np.int8), np.zeros((1, 8, 12, 8), np.int8)
    for row, column, score, half_width, half_height in cells:
        scores[0, row, column] = round(256 * score) - 128
        corners[0, row, column] = np.rint(UPRIGHT * [half_width, half_height]).ravel() + 5
    return {"score": scores, "corners": corners}


def read(*cells: tuple[int, int, float, float, float], min_score: float = 0.1) -> list[Candidate]:
    return decode([outputs(*cells)], SPEC, frame_size=(96, 64), min_score=min_score)


def box(x: float, y: float, width: float, height: float, score: float) -> Candidate:
    return Candidate(np.array([x, y]) + np.array([width, height]) * (UPRIGHT + 1) / 2, score)


def test_a_cell_says_its_corners_from_the_pixel_that_it_looks_at() -> None:
    (candidate,) = read((3, 5, 0.5, 20, 10))
    assert candidate.score == 0.5
    np.testing.assert_allclose(candidate.corners, [43.5, 27.5] + UPRIGHT * [20, 10])


def test_the_best_of_neighbours_is_taken_and_both_say_where() -> None:
    (candidate,) = read((3, 5, 0.8, 40, 20), (3, 6, 0.4, 40, 20))
    assert candidate.score == pytest.approx(0.8, abs=0.01)
    share = 102 / (102 + 205)  # of the two scores' levels
    np.testing.assert_allclose(candidate.corners, [43.5 + 8 * share, 27.5] + UPRIGHT * [40, 20])


def test_a_neighbour_that_means_another_target_is_not_asked() -> None:
    (candidate,) = read((3, 5, 0.8, 20, 10), (3, 6, 0.7, 50, 30))
    np.testing.assert_allclose(candidate.corners, [43.5, 27.5] + UPRIGHT * [20, 10])


def test_cells_at_the_border_have_fewer_neighbours() -> None:
    for row, column in ((0, 0), (7, 11)):
        (candidate,) = read((row, column, 0.8, 20, 10))
        np.testing.assert_allclose(candidate.corners.mean(axis=0), [8 * column + 3.5, 8 * row + 3.5])


def test_cells_below_the_least_score_are_left_out() -> None:
    cells = (1, 1, 0.25, 8, 8), (5, 8, 0.5, 8, 8)
    assert [c.score for c in read(*cells, min_score=0.25)] == [0.25, 0.5]
    assert [c.score for c in read(*cells, min_score=0.26)] == [0.5]
    assert read(*cells, min_score=0.6) == []
    assert read(min_score=0.0) == []  # a score of 0 is none


def test_the_same_place_in_a_frame_of_another_size() -> None:
    (candidate,) = decode([outputs((3, 5, 0.5, 20, 10))], SPEC, frame_size=(960, 64), min_score=0.1)
    np.testing.assert_allclose(candidate.corners, ([43.5, 27.5] + UPRIGHT * [20, 10] + [0.5, 0]) * [10, 1] - [0.5, 0])


def test_levels_are_read_together() -> None:
    coarse = {"score": np.full((1, 4, 6, 1), -128, np.int8), "corners": np.full((1, 4, 6, 8), 5, np.int8)}
    coarse["score"][0, 2, 3], coarse["corners"][0, 2, 3] = 64, np.rint(UPRIGHT * [16, 8]).ravel() + 5
    nothing = outputs()
    found = decode([outputs((3, 5, 0.5, 20, 10)), nothing, coarse], SPEC, frame_size=(96, 64), min_score=0.1)
    assert [c.score for c in found] == [0.5, 0.75]
    np.testing.assert_allclose(found[0].corners, [43.5, 27.5] + UPRIGHT * [20, 10])
    np.testing.assert_allclose(found[1].corners, [55.5, 39.5] + UPRIGHT * [32, 16])  # pixels twice as large


def test_what_is_no_quadrilateral_is_left_out() -> None:
    assert read((3, 5, 0.9, -20, 10)) == []  # mirrored
    assert read((3, 5, 0.9, 0, 0)) == []
    level = outputs((3, 5, 0.9, 20, 10))
    level["corners"][0, 3, 5, 4:6] = level["corners"][0, 3, 5, [2, 3]] // 2 + level["corners"][0, 3, 5, [6, 7]] // 2
    assert decode([level], SPEC, frame_size=(640, 480), min_score=0.1) == []  # three corners on one line


def test_of_two_in_one_place_the_better_one_stays() -> None:
    assert thinned([box(10, 10, 40, 20, 0.6), box(14, 12, 40, 20, 0.9)]) == [1]
    assert thinned([box(10, 10, 40, 20, 0.9), box(10, 10, 40, 20, 0.9)]) == [0]


def test_neighbours_stay_best_first() -> None:
    assert thinned([box(10, 10, 40, 20, 0.6), box(52, 10, 40, 20, 0.9), box(10, 32, 40, 20, 0.7)]) == [1, 2, 0]
    assert thinned([box(10, 10, 40, 20, 0.6), box(52, 10, 40, 20, 0.9), box(10, 32, 40, 20, 0.7)], 2) == [1, 2]
    assert thinned([]) == []


def test_a_label_on_a_page_stays_if_both_are_sure() -> None:
    page, label = box(0, 0, 100, 100, 0.9), box(40, 40, 30, 20, 0.8)
    assert thinned([page, label]) == [0, 1]
    assert thinned([page, Candidate(label.corners, 0.3)]) == [0]
    assert thinned([Candidate(page.corners, 0.3), label]) == [1]
    assert thinned([page, box(10, 10, 70, 60, 0.8)]) == [0]  # of nearly the same size: a part of it


def test_a_part_at_the_edge_lies_in_the_same_place() -> None:
    assert thinned([box(0, 0, 100, 40, 0.9), box(75, 2, 30, 30, 0.4)]) == [0]  # five sixths of it inside
    assert thinned([box(0, 0, 100, 40, 0.9), box(85, 2, 30, 30, 0.4)]) == [0, 1]


def test_overlap_is_that_of_the_quadrilaterals_exactly() -> None:
    """Against polygon clipping, also where edges coincide, which OpenCV alone gets wrong."""
    rng = np.random.default_rng(3)
    checked = 0
    for _ in range(2000):
        angle = rng.uniform(-3, 3)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        a = (UPRIGHT * rng.uniform(10, 100, 2) + rng.normal(0, 3, (4, 2))) @ turn + 200
        b = a.copy()
        b[2:] += (a[2] - a[1]) * rng.uniform(-0.6, 1.5)  # shares its upper edge
        if not (is_valid_quadrilateral(a) and is_valid_quadrilateral(b)):
            continue
        overlap = intersection_over_union(a, b)
        if abs(overlap - NESTED_AREA) > 0.01:  # one contains the other: the overlap is the share of areas
            assert thinned([Candidate(a, 0.9), Candidate(b, 0.8)]) == ([0] if overlap > NESTED_AREA else [0, 1])
            checked += 1
    assert checked > 500
