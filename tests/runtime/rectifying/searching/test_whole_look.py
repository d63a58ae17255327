"""A look at the whole frame beside a dense scan: where both agree, where one of them is alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.geometry import theta_to_corners
from stn_rectify.runtime.rectifying.refining.refinement import RefineNetwork
from stn_rectify.runtime.rectifying.searching.candidates import Candidate
from stn_rectify.runtime.rectifying.searching.whole_look import WholeLook, with_look

MakeModel = Callable[..., Path]

LEVELS = ((96, 128),)
#: The middle of the frame: 64 to 192 of 256 columns, 48 to 144 of 192 rows.
HALF = (0.5, 0, 0, 0, 0.5, 0, 0, 0)
UNCHANGED = (1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)


def box(x: float, y: float, width: float, height: float, score: float) -> Candidate:
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)
    return Candidate(corners, score)


def scene(*blobs: tuple[int, int, float, int], look: float = 0.0) -> np.ndarray:
    """A black BGR frame 256×192 with blobs, as ``test_dense_scan`` has them; ``look``: the other network's score."""
    frame = np.zeros((192, 256, 3), np.uint8)
    frame[:2, :2, 2] = round(256 * look)
    for x, y, score, half in blobs:
        frame[y // 16 * 16 :, x // 16 * 16 :][:16, :16] = (0, 2 * half, round(256 * score))
    return frame


def test_the_surest_candidate_in_the_same_place_gets_the_mean_of_both_scores() -> None:
    page, shifted, label = box(10, 10, 100, 80, 0.64), box(12, 10, 100, 80, 0.5), box(40, 30, 20, 10, 0.7)
    together = with_look([label, page, shifted], box(14, 12, 100, 80, 1.0), 0.5)
    assert [one.score for one in together] == [pytest.approx(0.8), 0.7, 0.5]
    np.testing.assert_array_equal(together[0].corners, page.corners)


def test_a_doubtful_look_takes_nothing_from_what_the_scan_saw() -> None:
    (page,) = with_look([box(10, 10, 100, 80, 0.9)], box(10, 10, 100, 80, 0.1), 0.5)
    assert page.score == 0.9


def test_what_the_scan_missed_is_a_candidate_of_less_weight() -> None:
    label, look = box(40, 30, 20, 10, 0.7), box(10, 10, 100, 80, 0.9)
    first, second = with_look([label], look, 0.5)
    assert [first.score, second.score] == [0.7, 0.45]
    np.testing.assert_array_equal(second.corners, look.corners)
    assert with_look([label], look, 0.9)[0].score == pytest.approx(0.81)
    assert with_look([], look, 0.5, least_score=0.46) == []


@pytest.mark.parametrize(("width", "candidates"), [(60, 1), (45, 2)])
def test_half_of_the_area_of_both_is_agreement(width: int, candidates: int) -> None:
    """Of a target of 100 pixels: 60 of them are, 45 are not."""
    assert len(with_look([box(0, 0, width, 50, 0.6)], box(0, 0, 100, 50, 0.9), 0.5)) == candidates


def test_a_large_target_wins_over_what_is_printed_on_it(make_dense_model: MakeModel) -> None:
    blobs = (120, 90, 0.51, 60), (160, 100, 0.7, 10)  # 240×120 around 126, 94, and a label on it, much surer
    with Rectifier(make_dense_model(LEVELS)) as rectifier:
        assert np.ptp(rectifier.locate(scene(*blobs)).corners[:, 0]) == pytest.approx(40, abs=1)
    wide = (0.9, 0, 0, 0, 0.65, 0, 0, 0)
    with Rectifier(make_dense_model(LEVELS, whole={"theta": wide})) as rectifier:
        location = rectifier.locate(scene(*blobs, look=0.99))
        page, label = rectifier.locate_all(scene(*blobs, look=0.99))
    assert np.ptp(location.corners[:, 0]) == pytest.approx(240, abs=1)
    assert location.score == page.score == pytest.approx((0.51 * 0.99) ** 0.5, abs=0.01)
    assert label.score == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("size", [6, 8], ids=["affine", "projective"])
def test_a_target_that_the_scan_missed_is_found(make_dense_model: MakeModel, size: int) -> None:
    with Rectifier(make_dense_model(LEVELS, whole={"theta": HALF[:size], "weight": 0.75})) as rectifier:
        assert rectifier.model.networks == 2
        (location,) = rectifier.locate_all(scene(look=0.8))
        assert rectifier.locate(scene(look=0.3)).theta is None  # 0.75 · 0.3 is below half of 0.5
    assert location.score == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(location.corners, theta_to_corners(HALF, 256, 192), atol=1e-3)


def test_it_is_refined_as_any_other(make_dense_model: MakeModel) -> None:
    smaller = (0.7 / 1.4, 0, 0, 0, 0.7 / 1.4, 0, 0, 0)
    file = make_dense_model(LEVELS, whole={"theta": HALF, "weight": 1.0}, refine={"theta": smaller, "score": False})
    with Rectifier(file, refine=2) as rectifier:
        assert rectifier.model.networks == 3
        location = rectifier.locate(scene(look=0.9))
    assert np.ptp(location.corners[:, 0]) == pytest.approx(128 * 0.7**2, abs=0.5)
    assert location.score == pytest.approx(0.9, abs=0.01)


def test_the_look_takes_no_candidate_of_the_scan_its_pass(
    make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refine network is sure of the least sure candidate alone, the third of the scan."""
    look = RefineNetwork.look

    def sure_below(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, samples: int) -> object:
        return look(self, frame, homography, samples)[0], 0.95 if homography[1, 2] > 0.5 else 0.1

    monkeypatch.setattr(RefineNetwork, "look", sure_below)
    file = make_dense_model(LEVELS, whole={"theta": HALF, "weight": 1.0}, refine={"theta": UNCHANGED})
    with Rectifier(file, refine=1) as rectifier:
        location = rectifier.locate(scene((24, 20, 0.9, 8), (230, 20, 0.8, 8), (24, 170, 0.7, 8), look=0.95))
    assert location.score == pytest.approx(0.7 * 0.95, abs=0.01)


def test_a_small_target_outside_keeps_its_place(make_dense_model: MakeModel) -> None:
    with Rectifier(make_dense_model(LEVELS, whole={"theta": HALF})) as rectifier:
        small, large = rectifier.locate_all(scene((24, 20, 0.6, 8), look=0.99))
    assert [round(small.score, 1), round(large.score, 1)] == [0.6, 0.5]
    assert small.corners[:, 0].max() < 64


def test_a_network_without_a_score_counts_as_sure(make_dense_model: MakeModel) -> None:
    with Rectifier(make_dense_model(LEVELS, whole={"theta": HALF, "score": False, "weight": 0.75})) as rectifier:
        assert rectifier.locate(scene()).score == 0.75


def test_a_pose_that_is_no_quadrilateral_is_left_out(make_dense_model: MakeModel) -> None:
    file = make_dense_model(LEVELS, whole={"theta": (0.001, 0, 0, 0, 0.001, 0, 0, 0), "weight": 1.0})
    with Rectifier(file) as rectifier:
        assert rectifier.locate_all(scene(look=0.9)) == []


@pytest.mark.parametrize("scan", ["fast", "full", "fine"])
def test_every_setting_of_the_scan_has_it(make_dense_model: MakeModel, scan: str) -> None:
    file = make_dense_model(((480, 640), (96, 128)), whole={"theta": HALF, "weight": 1.0})
    with Rectifier(file, scan=scan) as rectifier:  # type: ignore[arg-type]
        assert len(rectifier.locate_all(scene(look=0.9))) == 1


def test_boxes_take_its_place_too(make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_dense_model(LEVELS, whole={"theta": HALF}, refine={"theta": UNCHANGED})
    with Rectifier(file) as rectifier:
        monkeypatch.setattr(WholeLook, "candidate", None)
        with pytest.raises(TypeError):
            rectifier.locate(scene(look=0.9))
        assert len(rectifier.locate_all(scene(look=0.9), boxes=[[100, 80, 140, 110]])) == 1


def test_frames_and_networks_of_one_channel(make_dense_model: MakeModel) -> None:
    grey = scene(look=0.9)[..., 2]
    for channels, shape in ((1, (96, 128, 3)), (3, (96, 128, 1)), (1, (96, 128, 1))):
        whole = {"theta": HALF, "shape": shape, "weight": 1.0}
        with Rectifier(make_dense_model(LEVELS, channels=channels, whole=whole)) as rectifier:
            assert rectifier.locate(grey).score == pytest.approx(0.9, abs=0.01)


def test_two_in_one_place_are_one_target_without_passes_too(make_dense_model: MakeModel) -> None:
    """The scan's target has 0.45 of the area of both in common with the look: no agreement, but the same place."""
    with Rectifier(make_dense_model(LEVELS, whole={"theta": HALF})) as rectifier:
        (location,) = rectifier.locate_all(scene((120, 90, 0.6, 26), look=0.9))
    assert np.ptp(location.corners[:, 0]) == pytest.approx(104, abs=1)
