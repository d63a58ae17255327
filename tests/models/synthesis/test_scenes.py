"""Scenes: what is in them is what is said of them, the same for ever."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from stn_rectify.models.synthesis import TARGET_KINDS, SceneSynthesiser, scenes
from stn_rectify.models.synthesis.scenes import MAX_TARGETS
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union

SIZE = (320, 240)


@pytest.fixture(scope="module")
def synthesise():
    return SceneSynthesiser(seed=5, frame_size=SIZE)


@pytest.fixture(scope="module", name="drawn")
def drawn_scenes(synthesise):
    return [synthesise(index) for index in range(60)]


def test_scenes_have_none_one_and_several_targets_of_many_sizes(drawn):
    counts = {len(scene.corners) for scene in drawn}
    assert {0, 1, 2} < counts
    assert max(counts) <= MAX_TARGETS
    extents = [(np.ptp(c, axis=0) / SIZE).max() for scene in drawn for c in scene.corners]
    assert min(extents) < 0.08
    assert max(extents) > 0.6
    kinds = [kind for scene in drawn for kind in scene.kinds]
    assert set(kinds) <= set(TARGET_KINDS)
    assert 0.2 < np.mean([kind == "plate" for kind in kinds]) < 0.8


def test_targets_lie_apart_and_have_their_corners_in_order(drawn):
    for scene in drawn:
        assert len(scene.corners) == len(scene.kinds)
        for k, one in enumerate(scene.corners):
            assert cv2.contourArea(one.astype(np.float32), oriented=True) > 0  # clockwise, y points down
            assert all(intersection_over_union(one, other) < 0.05 for other in scene.corners[:k])


def test_a_scene_is_the_same_whatever_was_drawn_before_and_in_another_process(synthesise, drawn):
    again = pickle.loads(pickle.dumps(synthesise))(7)
    assert np.array_equal(again.frame, drawn[7].frame)
    assert np.array_equal(again.corners, drawn[7].corners)


def test_a_target_that_cannot_be_seen_is_none(synthesise, monkeypatch):
    def burnt_out(rng, scene, noise):
        return np.full_like(scene, 255)

    lit = [len(synthesise(index).corners) for index in range(6)]
    monkeypatch.setattr(scenes, "take_photograph", burnt_out)
    dark = [synthesise(index) for index in range(6)]
    assert max(lit) > 0
    assert all(scene.corners.shape == (0, 4, 2) and scene.kinds == () for scene in dark)


def test_photographs_without_targets_are_shown_as_they_are(tmp_path):
    striped = np.zeros((240, 320, 3), np.uint8)
    striped[:, ::2] = (0, 255, 0)
    cv2.imwrite(str(tmp_path / "empty.png"), striped)
    synthesise = SceneSynthesiser(seed=5, frame_size=SIZE, negatives=tmp_path)
    empty = [scene.frame for scene in map(synthesise, range(60)) if not len(scene.corners)]
    greenest = max((frame[..., 1].astype(int) - frame[..., 2]).mean() for frame in empty)
    assert greenest > 100


def test_own_targets_are_the_only_ones(tmp_path):
    cv2.imwrite(str(tmp_path / "badge.png"), np.full((60, 100, 3), 200, np.uint8))
    synthesise = SceneSynthesiser(seed=5, frame_size=SIZE, targets=tmp_path)
    assert {kind for scene in map(synthesise, range(12)) for kind in scene.kinds} == {"own"}


def test_a_negative_index_or_a_folder_without_pictures_is_refused(tmp_path, synthesise):
    with pytest.raises(DataError, match="sample index -1"):
        synthesise(-1)
    with pytest.raises(DataError, match="--negatives takes a folder of pictures"):
        SceneSynthesiser(negatives=tmp_path)
