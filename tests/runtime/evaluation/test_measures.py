"""What the measures of found targets say of results that are known by construction."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.evaluation.known_folder import KnownImage, KnownTarget
from stn_rectify.runtime.evaluation.measures import assigned_targets, measure, separating_score
from stn_rectify.runtime.evaluation.quadrilateral_overlap import box_overlap
from stn_rectify.runtime.evaluation.search import FoundTarget, SearchedFrame, searched_frame
from stn_rectify.runtime.evaluation.sheet import folder_sheet
from stn_rectify.runtime.evaluation.tables import folder_tables, folder_values

SIZE = (200, 160)


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], float)


TARGET = box(20, 20, 60, 40)
OTHER = box(120, 90, 40, 40)


def frame(
    targets: list[np.ndarray],
    found: list[tuple[np.ndarray, float]],
    *,
    texts: tuple[str | None, ...] = (),
    read: tuple[str | None, ...] = (),
    boxes: bool = False,
    path: Path = Path("a.png"),
) -> SearchedFrame:
    texts, read = texts or (None,) * len(targets), read or (None,) * len(found)
    known = KnownImage(path, tuple(KnownTarget(c, text) for c, text in zip(targets, texts, strict=True)))
    results = [FoundTarget(c, score, text) for (c, score), text in zip(found, read, strict=True)]
    return searched_frame(known, SIZE, results, 10.0, boxes=boxes)


def test_a_perfect_a_shifted_and_a_missed_target_have_the_numbers_that_they_must() -> None:
    shifted = TARGET + np.array([20, 0])  # shares 40 of 60 columns: 40 / 80
    frames = [frame([TARGET], [(TARGET, 0.9)]), frame([TARGET], [(shifted, 0.8)]), frame([TARGET], [])]
    measured = measure("made up", frames, boxes=False, max_targets=1)
    (row,) = measured.overlaps
    assert (row.name, row.count) == ("best", 3)
    assert (row.median, row.mean) == pytest.approx((0.5, 0.5))
    assert dict(row.shares) == pytest.approx({0.5: 2 / 3, 0.7: 1 / 3, 0.8: 1 / 3, 0.9: 1 / 3})
    assert row.found == pytest.approx(2 / 3)
    assert row.upright == 1
    (errors,) = measured.errors
    whole = np.linalg.norm(box(-0.5, -0.5, *SIZE) - TARGET, axis=1).mean()  # what nothing found counts as
    diagonal = math.hypot(60, 40)
    assert errors.median == pytest.approx(100 * 20 / diagonal)
    assert errors.mean == pytest.approx(100 * (20 + whole) / 3 / diagonal)
    assert measured.latency_ms == (10, 10)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_result_overlaps_wholly_and_is_not_upright(turn: int) -> None:
    (row,) = measure("", [frame([TARGET], [(np.roll(TARGET, turn, axis=0), 1.0)])], boxes=False, max_targets=1).overlaps
    assert (row.mean, row.upright) == (pytest.approx(1), 0)


def test_the_overlap_from_which_on_a_target_is_found_can_be_chosen() -> None:
    frames = [frame([TARGET], [(TARGET + np.array([20, 0]), 0.8)])]
    for least, found in ((0.49, 1), (0.51, 0)):
        (row,) = measure("", frames, boxes=False, max_targets=1, least_overlap=least).overlaps
        assert row.found == found
        assert (least, found) in row.shares


def test_the_best_few_find_what_the_best_one_misses() -> None:
    elsewhere = box(100, 10, 30, 30)
    measured = measure("", [frame([TARGET], [(elsewhere, 0.9), (TARGET, 0.6)])], boxes=False, max_targets=3)
    best, best_3 = measured.overlaps
    assert (best.name, best.found, best_3.name, best_3.found) == ("best", 0, "best 3", 1)
    assert measured.errors[1].mean == pytest.approx(0)
    assert measured.errors[0].mean > 50


def test_each_target_has_a_result_of_its_own() -> None:
    """The better result lies on both targets, the other one on the first alone."""
    both = np.vstack([TARGET[0], OTHER[1], OTHER[2], TARGET[3]])
    known = frame([TARGET, OTHER], [(OTHER, 0.9), (TARGET, 0.8), (both, 0.7)])
    best, best_3 = measure("", [known], boxes=False, max_targets=3).overlaps
    assert (best.count, best_3.count) == (1, 2)
    assert (best.mean, best_3.mean) == pytest.approx((1, 1))
    assert assigned_targets(known, 0.5) == [1, 0, None]


def test_a_second_result_on_the_same_target_is_false() -> None:
    frames = [frame([TARGET], [(TARGET, 0.9), (TARGET + 1, 0.7)]), frame([], [(OTHER, 0.3)])]
    measured = measure("", frames, boxes=False, max_targets=3)
    by_score = {row.score: row for row in measured.scores}
    assert [by_score[s].false for s in (0.2, 0.3, 0.5, 0.7, 0.8)] == [1, 1, 0.5, 0.5, 0]
    assert [by_score[s].kept for s in (0.2, 0.9, 0.95)] == [1, 1, 0]
    assert [by_score[s].empty for s in (0.3, 0.4)] == [1, 0]


def test_the_score_that_separates_is_just_above_all_but_1_percent_of_the_empty_frames() -> None:
    empty = [frame([], [(OTHER, k / 400)]) for k in range(200)]  # 0 to 0.4975; two may pass
    assert separating_score(empty) == 0.493  # 0.4925 must not pass, 0.495 and 0.4975 may
    assert separating_score(empty[:99]) == 0.246  # 1 % of 99 frames are none
    assert separating_score([]) is None
    assert separating_score([frame([], [(OTHER, 1.0)])]) is None
    frames = [frame([TARGET], [(TARGET, s)]) for s in (0.4, 0.493, 0.6, 0.9)]
    measured = measure("", frames, empty, boxes=False, max_targets=1)
    assert measured.separating is not None
    assert (measured.separating.score, measured.separating.kept, measured.separating.empty) == (0.493, 0.75, 0.01)
    line = "--min-score 0.493 lets 1.0 % of 200 empty frames pass, and keeps 75.0 % of the targets"
    assert line in folder_tables(measured)
    assert measured.errors[0].presence is not None
    assert measured.errors[0].presence.empty == 200


def test_results_are_compared_with_boxes_by_the_boxes_around_them() -> None:
    diamond = np.array([[50, 0], [100, 50], [50, 100], [0, 50]], float)
    assert box_overlap(diamond, box(0, 0, 100, 100)) == 1
    assert box_overlap(diamond, box(50, 0, 100, 100)) == pytest.approx(1 / 3)
    assert box_overlap(diamond, box(200, 0, 10, 10)) == 0
    measured = measure("", [frame([box(0, 0, 100, 100)], [(diamond, 1.0)], boxes=True)], boxes=True, max_targets=1)
    assert measured.overlaps[0].mean == 1
    assert math.isnan(measured.overlaps[0].upright)
    assert measured.errors == ()


def test_texts_count_where_they_were_read_letter_for_letter() -> None:
    frames = [
        frame([TARGET], [(TARGET, 0.9), (OTHER, 0.8)], texts=("AB 1",), read=("AB1", "AB 1")),
        frame([TARGET], [(TARGET, 0.9)], texts=("C",), read=("C",)),
        frame([TARGET], [], texts=("D",)),
        frame([TARGET], [(TARGET, 0.9)], read=("E",)),  # its text is not known
    ]
    best, best_2 = measure("", frames, boxes=False, max_targets=2, reads_text=True).overlaps
    assert (best.text, best_2.text) == pytest.approx((1 / 3, 2 / 3))
    assert math.isnan(measure("", frames, boxes=False, max_targets=2).overlaps[0].text)


def test_the_tables_say_what_there_is_and_leave_out_what_there_is_not() -> None:
    frames = [frame([TARGET], [(TARGET, 0.9)]), frame([], [])]
    own = [(0.62, "the model's own")]
    text = folder_tables(measure("a/b", frames, boxes=False, max_targets=1, min_scores=own, failed=2))
    assert text.startswith("a/b: 2 frames, 1 target, 1 without, 2 failed, 10.0 ms a frame")
    rows = [line.split(maxsplit=6) for line in text.splitlines()]
    assert ["0.62", "100.0", "%", "0.00", "0.0", "%", "the model's own"] in rows
    only_empty = folder_tables(measure("a/b", [frame([], [])], boxes=False, max_targets=1))
    assert "overlap" not in only_empty
    nothing = folder_tables(measure("a/b", [], boxes=False, max_targets=1))
    assert nothing == "a/b: 0 frames, 0 targets, 0 without"


def test_the_values_are_json_without_nan() -> None:
    frames = [frame([TARGET], [(TARGET, 0.9)]), frame([], [(OTHER, 0.4)])]
    values = folder_values(measure("a", frames, boxes=False, max_targets=1), frames)
    read = json.loads(json.dumps(values, allow_nan=False))
    assert read["overlaps"][0]["text"] is None
    assert read["found_in"][0]["found"] == [
        {"corners": TARGET.tolist(), "score": 0.9, "text": None, "overlap": 1.0, "target": 0}
    ]
    assert read["found_in"][1]["found"][0]["target"] is None


def test_the_sheet_shows_targets_and_empty_frames_that_pass(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0]), 90, np.uint8))
    frames = [frame([TARGET], [(TARGET + k, 0.9)], path=path) for k in range(12)]
    targets_only = folder_sheet("a", frames, max_targets=1, min_score=0.5)
    for colour in ((255, 119, 34), (32, 32, 224)):  # truth, result
        assert (abs(targets_only.astype(int) - colour) < 60).all(axis=2).sum() > 100
    frames += [frame([], [(OTHER, 0.8)], path=path), frame([], [(OTHER, 0.2)], path=path)]
    passing = folder_sheet("a", frames, max_targets=1, min_score=0.5)
    assert passing.shape[0] > targets_only.shape[0] + 150
    assert folder_sheet("a", frames, max_targets=1, min_score=0.9).shape[0] < targets_only.shape[0] + 50
    others = folder_sheet(
        "a", [frame([TARGET], [(TARGET, 0.9), (OTHER, 0.8)], path=path)], max_targets=2, min_score=0.5
    )
    assert (abs(others.astype(int) - (60, 200, 240)) < 60).all(axis=2).sum() > 50
    assert not (abs(targets_only.astype(int) - (60, 200, 240)) < 60).all(axis=2).any()
    missing = frame([TARGET], [], path=tmp_path / "gone.png")
    assert folder_sheet("a", [missing], max_targets=1, min_score=0.5).shape[0] > 200
