"""A dense file in use: what its levels see, what is taken for one target, how many passes each gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import Rectifier, UsageError
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.model.interpreter import Interpreter, open_interpreter
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.refining.refinement import RefineNetwork
from stn_rectify.runtime.rectifying.searching.dense_scan import SCANS, levels_to_scan

MakeModel = Callable[..., Path]

UNCHANGED = (1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)
SIZE = (256, 192)  # of the frame: twice the finest level


def scene(*blobs: tuple[int, int, float, int], size: tuple[int, int] = SIZE) -> np.ndarray:
    """A black BGR frame with blobs: x, y of the middle, the score there, and half the target's width, level's pixels.

    A blob covers one cell of the finest level, 16×16 pixels: that which the point lies in.
    """
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, score, half in blobs:
        top, left = y // 16 * 16, x // 16 * 16
        frame[top : top + 16, left : left + 16] = (0, 2 * half, round(256 * score))
    return frame


def test_the_target_lies_where_the_best_cells_say(make_dense_model: MakeModel) -> None:
    with Rectifier(make_dense_model()) as rectifier:
        location = rectifier.locate(scene((100, 76, 0.75, 20)))
    assert location.score == 0.75
    left, top = location.corners[0]
    right, bottom = location.corners[2]
    # Of the coarser level, whose pixels are four of the frame, or the finer one, whose are two: the same cell won.
    assert (right - left) / (bottom - top) == pytest.approx(2, abs=0.05)
    assert (right - left) in (pytest.approx(80, abs=1), pytest.approx(160, abs=1))
    assert abs((left + right) / 2 - 100) < 12
    assert abs((top + bottom) / 2 - 76) < 12
    assert is_valid_quadrilateral(location.corners)
    assert location.theta is not None
    assert location.latency_ms > 0


def test_cells_are_told_from_the_pixel_that_they_look_at(make_dense_model: MakeModel) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)  # of the level's own size
    frame[8 * 5 : 8 * 6, 8 * 7 : 8 * 8] = (0, 40, 200)
    with Rectifier(make_dense_model(levels=((96, 128),))) as rectifier:
        corners = rectifier.locate(frame).corners
    x, y = 8 * 7 + 3.5, 8 * 5 + 3.5
    np.testing.assert_allclose(corners, [[x - 20, y - 10], [x + 20, y - 10], [x + 20, y + 10], [x - 20, y + 10]])


@pytest.mark.parametrize("grows", [1, 3])
def test_cells_of_any_frame_size_are_where_they_are(make_dense_model: MakeModel, grows: int) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)
    frame[8 * 5 : 8 * 6, 8 * 7 : 8 * 8] = (0, 40, 200)
    frame = frame.repeat(grows, axis=0).repeat(2 * grows, axis=1)
    with Rectifier(make_dense_model(levels=((96, 128),))) as rectifier:
        corners = rectifier.locate(frame).corners
    scale = (2 * grows, grows)
    expected = (np.array([[39.5, 33.5], [79.5, 33.5], [79.5, 53.5], [39.5, 53.5]]) + 0.5) * scale - 0.5
    np.testing.assert_allclose(corners, expected, atol=1e-9)


def test_all_targets_best_first(make_dense_model: MakeModel) -> None:
    frame = scene((40, 40, 0.5, 10), (200, 40, 0.9, 10), (120, 140, 0.7, 10))
    with Rectifier(make_dense_model(levels=((96, 128),))) as rectifier:
        locations = rectifier.locate_all(frame)
        results = rectifier.rectify_all(frame)
        two = rectifier.locate_all(frame, 2)
        best = rectifier.locate(frame)
    assert [round(location.score, 2) for location in locations] == [0.9, 0.7, 0.5]
    middles = [location.corners.mean(axis=0) for location in locations]
    for middle, place in zip(middles, [(200, 40), (120, 140), (40, 40)], strict=True):
        assert np.abs(middle - place).max() < 12
    assert [len(two), two[1].score] == [2, locations[1].score]
    np.testing.assert_array_equal(best.corners, locations[0].corners)
    for result, location in zip(results, locations, strict=True):
        np.testing.assert_array_equal(result.corners, location.corners)
        assert result.score == location.score
        assert result.image.shape[:2] == (20, 40)


def test_where_nothing_is_there_is_an_empty_list_and_the_whole_frame(make_dense_model: MakeModel) -> None:
    frame = scene()
    with Rectifier(make_dense_model(refine={"theta": UNCHANGED})) as rectifier:
        assert rectifier.locate_all(frame) == []
        assert rectifier.rectify_all(frame) == []
        location, result = rectifier.locate(frame), rectifier.rectify(frame)
    assert location.theta is None
    for one in (location, result):
        assert one.score == 0
        np.testing.assert_allclose(one.corners, [[-0.5, -0.5], [255.5, -0.5], [255.5, 191.5], [-0.5, 191.5]])
    np.testing.assert_array_equal(result.image, frame)


def test_a_targets_score_is_that_of_both_networks(make_dense_model: MakeModel) -> None:
    """The refine network of the test files says the red level of its crop's first pixel."""
    frame = scene((120, 90, 0.5, 10))
    frame[..., 2] = np.maximum(frame[..., 2], 0)
    frame[40:140, 60:180, 2] = 128
    with Rectifier(make_dense_model(levels=((96, 128),), refine={"theta": UNCHANGED}), refine=1) as rectifier:
        location = rectifier.locate(frame)
    assert location.score == pytest.approx(0.25, abs=0.01)


def test_a_candidate_that_cannot_win_gets_no_pass(make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The poses that the refine network gives are far off, and get another pass."""
    looks = []
    look = RefineNetwork.look

    def counted(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, supersampling: int) -> object:
        looks.append(supersampling)
        pose, _ = look(self, frame, homography, supersampling)
        return pose * ((0.7, 0.7, 1.0) if len(looks) % 2 else (1.4, 1.4, 1.0)), 0.95

    monkeypatch.setattr(RefineNetwork, "look", counted)
    file = make_dense_model(levels=((96, 128),), refine={"theta": UNCHANGED}, min_score=0.6)
    frame = scene((40, 40, 0.8, 10), (200, 40, 0.9, 10), (120, 140, 0.7, 10), (40, 150, 0.2, 10))
    with Rectifier(file, refine=2) as rectifier:
        assert rectifier.locate(frame).score == pytest.approx(0.9 * 0.95, abs=0.01)
        assert looks == [1, 1]  # 0.9 · 0.95 is above 0.8
        looks.clear()
        assert len(rectifier.locate_all(frame, 2)) == 2
        assert looks == [1, 1, 1, 1]
        looks.clear()
        assert len(rectifier.locate_all(frame)) == 3  # the one with 0.2 is below half of 0.6
        assert len(looks) == 6
    looks.clear()
    with Rectifier(file, refine=1) as rectifier:
        rectifier.locate(frame)
    assert looks == [1]
    with Rectifier(file, refine=0) as rectifier:
        assert len(rectifier.locate_all(frame)) == 3
    assert looks == [1]


@pytest.mark.parametrize(
    ("half", "factor", "looks"),
    [
        pytest.param(20, 1.0, [1], id="small and settled"),
        pytest.param(20, 1.1, [1], id="small, moved a little"),
        pytest.param(20, 1.3, [1, 1, 1], id="small, moved"),
        pytest.param(120, 1.0, [1, 1, 2], id="large"),
    ],
)
def test_small_targets_that_a_pass_left_in_place_get_no_further_one(
    make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch, half: int, factor: float, looks: list[int]
) -> None:
    """A large one gets all passes, and the last one a supersampled crop; ``half`` its width, in the level's pixels."""
    seen = []
    look = RefineNetwork.look

    def scaled(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, supersampling: int) -> object:
        seen.append(supersampling)
        pose, score = look(self, frame, homography, supersampling)
        return pose * (factor, factor, 1.0), score

    monkeypatch.setattr(RefineNetwork, "look", scaled)
    file = make_dense_model(levels=((96, 128),), refine={"theta": UNCHANGED})
    with Rectifier(file, refine=3) as rectifier:
        frame = scene((130, 100, 0.9, half))
        frame[..., 2] = np.maximum(frame[..., 2], 1)  # the refine network says the red level of a corner
        rectifier.locate(frame)
    assert seen == looks


@pytest.mark.parametrize(
    ("half", "factor", "options", "looks"),
    [
        pytest.param(120, 1.0, {}, [1, 1, 2], id="large, at rest"),
        pytest.param(120, 1.1, {}, [1, 1, 2, 2, 2, 2], id="large, moving"),
        pytest.param(120, 1.1, {"refine": 3}, [1, 1, 2], id="large, moving, asked for by number"),
        pytest.param(20, 1.3, {}, [1, 1, 1], id="small, moving"),
    ],
)
def test_large_targets_get_more_passes_while_they_move(
    make_dense_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    half: int,
    factor: float,
    options: dict[str, int],
    looks: list[int],
) -> None:
    """Three are what the file asks for; where boxes say where to look there are no more."""
    seen = []
    look = RefineNetwork.look

    def scaled(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, supersampling: int) -> object:
        seen.append(supersampling)
        pose, score = look(self, frame, homography, supersampling)
        return pose * (factor, factor, 1.0), score

    monkeypatch.setattr(RefineNetwork, "look", scaled)
    file = make_dense_model(levels=((96, 128),), refine={"theta": UNCHANGED, "passes": 3})
    frame = scene((130, 100, 0.9, half))
    frame[..., 2] = np.maximum(frame[..., 2], 1)  # the refine network says the red level of a corner
    with Rectifier(file, **options) as rectifier:
        (found,) = rectifier.locate_all(frame, 1)
        assert seen == looks
        seen.clear()
        rectifier.locate_all(frame, boxes=found.corners[None])
    assert seen == [1, 1, 2]


def test_the_refine_network_may_turn_the_order(make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    look = RefineNetwork.look

    def doubts_the_right(self: RefineNetwork, frame: np.ndarray, homography: np.ndarray, samples: int) -> object:
        return look(self, frame, homography, samples)[0], 0.5 if homography[0, 2] > 0.2 else 0.9

    monkeypatch.setattr(RefineNetwork, "look", doubts_the_right)
    frame = scene((40, 40, 0.8, 10), (200, 40, 0.9, 10))
    with Rectifier(make_dense_model(levels=((96, 128),), refine={"theta": UNCHANGED})) as rectifier:
        first, second = rectifier.locate_all(frame)
        best = rectifier.locate(frame)
    assert first.corners[0, 0] < 100 < second.corners[0, 0]
    assert first.score == pytest.approx(0.72, abs=0.01)
    np.testing.assert_array_equal(best.corners, first.corners)


@pytest.mark.parametrize(
    ("scan", "levels"),
    [
        pytest.param("fast", [(160, 128), (80, 64)], id="fast"),
        pytest.param("full", [(320, 240), (160, 128), (80, 64)], id="full"),
        pytest.param("fine", [(640, 480), (320, 240), (160, 128), (80, 64)], id="fine"),
    ],
)
def test_the_levels_of_each_setting(make_dense_model: MakeModel, scan: str, levels: list[tuple[int, int]]) -> None:
    file = ModelFile.open(make_dense_model(levels=((480, 640), (240, 320), (128, 160), (64, 80))))
    assert file.metadata.dense is not None
    assert [(level.width, level.height) for level in levels_to_scan(file.metadata.dense, scan)] == levels
    with Rectifier(file.path, scan=scan) as rectifier:
        assert rectifier.scan == scan
        assert f"scan={scan!r}" in repr(rectifier)
        assert rectifier.locate_all(scene((120, 90, 0.8, 10)))


def test_only_the_levels_of_the_setting_are_run(make_dense_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_dense_model(levels=((480, 640), (240, 320), (128, 160), (64, 80)))
    ran: list[str] = []
    kind = type(open_interpreter(ModelFile.open(file).flatbuffer))
    run_signature = kind.run_signature

    def noted(self: object, signature: str, frame: np.ndarray) -> object:
        ran.append(signature)
        return run_signature(self, signature, frame)

    monkeypatch.setattr(kind, "run_signature", noted)
    with Rectifier(file) as rectifier:
        ran.clear()
        rectifier.locate(scene())
    assert ran == ["dense_80x64", "dense_160x128", "dense_320x240"]


def test_a_file_of_large_levels_alone_is_scanned_by_its_smallest(make_dense_model: MakeModel) -> None:
    file = ModelFile.open(make_dense_model(levels=((480, 640), (240, 320))))
    assert file.metadata.dense is not None
    for scan in SCANS:
        assert levels_to_scan(file.metadata.dense, scan)[-1].width == 320


@pytest.mark.parametrize("scan", ["coarse", 1, None, ["full"]])
def test_a_scan_that_there_is_not_is_named(make_model: MakeModel, scan: object) -> None:
    with pytest.raises(UsageError, match=r"scan is .*choose 'fast', 'full', 'fine'"):
        Rectifier(make_model(), scan=scan)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -1, 1.0, "2", True])
def test_a_number_of_targets_that_cannot_be_is_named(make_dense_model: MakeModel, count: object) -> None:
    with Rectifier(make_dense_model()) as rectifier, pytest.raises(UsageError, match="max_targets is"):
        rectifier.locate_all(scene(), count)  # type: ignore[arg-type]


def test_a_file_of_one_look_finds_one_at_most(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model()) as rectifier:
        (location,) = rectifier.locate_all(frame, np.int64(3))
        np.testing.assert_array_equal(location.corners, rectifier.locate(frame).corners)
        assert len(rectifier.rectify_all(frame)) == 1
    with Rectifier(make_model((0.01, 0, 0, 0, 0.01, 0, 0, 0))) as rectifier:
        assert rectifier.locate_all(frame) == []


def test_grey_frames_and_channels_of_ones_own(make_dense_model: MakeModel) -> None:
    frame = scene((120, 90, 0.8, 10))
    with Rectifier(make_dense_model(channels=1)) as rectifier:
        assert rectifier.locate_all(frame[..., 2])
        assert rectifier.rectify(frame[..., 2]).image.ndim == 2
    many = np.repeat(frame[..., 2:], 5, axis=2)
    with Rectifier(make_dense_model(channels=5)) as rectifier:
        assert rectifier.rectify(many).image.shape[2] == 5


@pytest.mark.parametrize(
    ("small", "large", "wins"),
    [
        pytest.param(0.9, 0.84, "large", id="nearly as sure"),
        pytest.param(0.9, 0.6, "small", id="far less sure"),
        pytest.param(0.52, 0.48, "small", id="not found at all"),
        pytest.param(0.45, 0.42, "large", id="neither found"),
    ],
)
def test_one_target_is_the_one_that_stands_out(
    make_dense_model: MakeModel, small: float, large: float, wins: str
) -> None:
    frame = scene((40, 40, small, 6), (170, 120, large, 24))
    with Rectifier(make_dense_model(levels=((96, 128),))) as rectifier:
        one = rectifier.locate(frame)
        both = rectifier.locate_all(frame)
    assert one.score == pytest.approx({"small": small, "large": large}[wins], abs=0.01)
    assert [location.score for location in both] == sorted((location.score for location in both), reverse=True)
    assert len(both) == 2


@pytest.mark.parametrize(
    ("half", "score", "max_targets", "levels"),
    [
        pytest.param(23, 0.8, 1, ["coarse"], id="large and sure"),
        pytest.param(23, 0.4, 1, ["coarse", "fine"], id="large, but not found"),
        pytest.param(22, 0.8, 1, ["coarse", "fine"], id="not so large for the finer one"),
        pytest.param(23, 0.8, 2, ["fine", "coarse"], id="several wanted"),
    ],
)
def test_for_one_target_a_finer_level_is_left_out_where_a_large_one_is_found(
    make_dense_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    half: int,
    score: float,
    max_targets: int,
    levels: list[str],
) -> None:
    seen: list[str] = []
    run_signature = Interpreter.run_signature

    def counted(self: Interpreter, signature: str, frame: np.ndarray) -> dict[str, np.ndarray]:
        seen.append({48: "coarse", 96: "fine"}[frame.shape[1]])
        return run_signature(self, signature, frame)

    monkeypatch.setattr(Interpreter, "run_signature", counted)
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame[64:96, 96:128] = (0, 2 * half, round(256 * score))  # a cell of the coarse level
    with Rectifier(make_dense_model(levels=((96, 128), (48, 64)))) as rectifier:
        seen.clear()
        best, *_ = rectifier.locate_all(frame, max_targets)
    assert seen == levels
    assert best.score == pytest.approx(score, abs=0.01)
