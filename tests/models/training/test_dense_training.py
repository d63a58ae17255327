"""What a dense network is taught: cells, windows, crops; and a small training, resumed."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.models.files import DENSE, REFINE
from stn_rectify.models.network.dense import CORNER_UNIT_PX, STRIDE, dense_localization
from stn_rectify.models.network.keras_file import load_model, network_kind, save_model
from stn_rectify.models.training.dense_training import (
    DenseCornerLoss,
    DenseRecipe,
    DenseScoreLoss,
    train_dense,
    with_one_score,
)
from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.pose_training import TrainingRecipe, train
from stn_rectify.models.training.samples.dense_batches import dense_batches
from stn_rectify.models.training.samples.dense_targets import LARGEST_SIDE_PX, TOO_LARGE_PX, dense_target
from stn_rectify.models.training.samples.scene_crops import scene_crop_drawer
from stn_rectify.runtime.errors import DataError

HEIGHT, WIDTH = 96, 128
PLATE = np.array([[30.0, 40.0], [78.0, 42.0], [77.0, 58.0], [29.0, 56.0]])


def boxed(left: float, top: float, width: float, height: float) -> np.ndarray:
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])


def test_cells_in_the_middle_of_a_target_see_it_and_those_at_its_edges_count_neither_way():
    target = dense_target(PLATE[None], np.array([True]), HEIGHT, WIDTH)
    row, column = 6, 6  # pixel 51.5, 51.5
    assert target.present[row, column].tolist() == [1, 1]
    pixel = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
    np.testing.assert_allclose(target.corners[row, column].reshape(4, 2) * CORNER_UNIT_PX + pixel, PLATE, atol=1e-4)
    assert target.counts[6, 4].tolist() == [0, 0]  # in the plate, near its left edge
    assert target.counts[0, 0].tolist() == [1, 1]
    assert target.present[0, 0].tolist() == [0, 0]


def test_what_is_no_plate_is_background_to_the_score_of_plates():
    target = dense_target(PLATE[None], np.array([False]), HEIGHT, WIDTH)
    assert target.present[6, 6].tolist() == [1, 0]
    assert target.counts[6, 6].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("side", "counts"), [(6.0, 0), (LARGEST_SIDE_PX + 20, 0), (TOO_LARGE_PX + 20, 1)], ids=["tiny", "large", "huge"]
)
def test_sizes_that_another_level_finds_are_not_learned(side, counts):
    middle = np.array([63.5, 51.5])
    target = dense_target(boxed(*(middle - side / 2), side, side)[None], np.array([False]), HEIGHT, WIDTH)
    assert not target.present.any()
    assert target.counts[6, 7, 0] == counts


def test_of_nested_targets_the_inner_one_is_seen_where_it_lies():
    both = np.stack([boxed(20, 10, 90, 80), boxed(50, 44, 24, 16)])
    target = dense_target(both, np.array([False, True]), HEIGHT, WIDTH)
    assert target.present[6, 7].tolist() == [1, 1]
    assert target.present[4, 7].tolist() == [1, 0]


def test_losses_are_least_for_the_right_answer_and_blind_to_what_does_not_count():
    target = dense_target(PLATE[None], np.array([True]), HEIGHT, WIDTH)
    truth = np.concatenate([target.present, target.counts], axis=-1)[None]
    right = np.where(target.present > 0, 9.0, -9.0)[None].astype(np.float32)
    loss = DenseScoreLoss()
    assert float(loss(truth, right)) < 1e-3 < float(loss(truth, -right))
    edge = right.copy()
    edge[0, 6, 4] = 9.0
    assert float(loss(truth, edge)) == pytest.approx(float(loss(truth, right)))
    corners = np.concatenate([target.corners, target.size[..., None], target.present[..., :1]], axis=-1)[None]
    moved = target.corners[None] + np.float32(0.1)
    assert float(DenseCornerLoss()(corners, target.corners[None])) == 0 < float(DenseCornerLoss()(corners, moved))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return ScenePool(tmp_path_factory.mktemp("scenes") / "frames", count=40, seed=3)


class WhiteTargets:
    """Black frames with one white target each, in the place of a pool."""

    def __init__(self) -> None:
        self.corners = np.full((30, 6, 4, 2), np.nan)
        self.frames, self.plates = np.zeros((30, 360, 480, 3), np.uint8), np.zeros((30, 6), bool)
        for k, left in enumerate(range(40, 340, 10)):
            self.corners[k, 0] = boxed(left, 120, 80, 60)
            self.frames[k, 120:181, left : left + 81] = 255

    def __len__(self) -> int:
        return len(self.frames)


def test_windows_show_the_targets_where_they_say():
    seen = 0
    for batch in dense_batches(WhiteTargets(), 0, batch_size=3, seed=1):
        count, height, width, _ = batch.frames.shape
        assert (height, width) in {(240, 320), (128, 160), (64, 80)}
        assert batch.present.shape == (count, height // STRIDE, width // STRIDE, 4)
        for number, row, column in np.argwhere(batch.present[..., 0] > 0):
            pixel = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
            corners = batch.corners[number, row, column, :8].reshape(4, 2) * CORNER_UNIT_PX + pixel
            white = np.argwhere(batch.frames[number].mean(axis=-1) > 0.35)[:, ::-1]
            inside = ((corners > 1) & (corners < [width - 2, height - 2])).all()
            if inside and len(white) and np.ptp(batch.frames[number]) > 0.5:
                assert np.abs(white.min(axis=0) - corners.min(axis=0)).max() < 2.5
                assert np.abs(white.max(axis=0) - corners.max(axis=0)).max() < 2.5
                seen += 1
    assert seen > 50


def test_batches_are_the_same_for_the_same_arguments(pool):
    one, again = (next(dense_batches(pool, 0, batch_size=4, seed=1)) for _ in range(2))
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.corners, again.corners)


def test_crops_of_scenes_are_around_targets_and_around_what_a_dense_network_takes_for_one(pool):
    draw, rng = scene_crop_drawer(0.2), np.random.default_rng(4)
    drawn = [draw(rng, pool, k % len(pool), (48, 48)) for k in range(120)]
    there = np.array([np.isfinite(corners).all() for _, corners in drawn])
    assert 0.3 < there.mean() < 0.95
    assert all(np.abs(corners).max() < 1.8 for _, corners in drawn if np.isfinite(corners).all())
    empty = next(k for k in range(len(pool)) if np.isnan(pool.corners[k]).all())
    pool.candidates = np.full((len(pool), 2, 4, 2), np.nan, np.float32)
    pool.candidates[empty, 0] = boxed(-0.1, -0.1, 0.2, 0.2)
    assert all(np.isnan(draw(rng, pool, empty, (48, 48))[1]).all() for _ in range(8))


@pytest.mark.slow
def test_a_training_goes_on_where_it_was_stopped_and_writes_a_network_of_one_score(tmp_path, monkeypatch):
    recipe = DenseRecipe(samples=24, epochs=1, batch_size=4, width=0.25, find="plates")
    model = train_dense(recipe, tmp_path / "plates.keras")
    assert [output.shape[-1] for output in model.outputs] == [1, 8]
    assert network_kind(tmp_path / "plates.keras") == DENSE
    assert not (tmp_path / "plates.training").exists()
    with np.load(tmp_path / "plates.calibration.npz") as calibration:
        assert calibration["frames"].shape == (24, 240, 320, 3)
    started = DenseRecipe(width=0.25, weights=str(tmp_path / "plates.keras")).model()
    kernel, _ = started.get_layer("scores").get_weights()
    np.testing.assert_array_equal(kernel[..., 0], kernel[..., 1])
    np.testing.assert_array_equal(
        with_one_score(started, 1, 0.25).get_layer("scores").get_weights()[0],
        load_model(tmp_path / "plates.keras").get_layer("scores").get_weights()[0],
    )


@pytest.mark.slow
def test_a_refine_network_behind_a_dense_one_learns_from_scenes_and_frames(tmp_path):
    save_model(with_one_score(dense_localization((240, 320, 3), width=0.25), 0, 0.25), tmp_path / "all.keras", DENSE)
    recipe = TrainingRecipe(
        samples=9, epochs=1, batch_size=4, width=0.25, refine_margin=0.2, scan=str(tmp_path / "all.keras")
    )
    assert recipe.behind_dense
    train(recipe, tmp_path / "all.refine.keras")
    assert network_kind(tmp_path / "all.refine.keras") == REFINE
    with np.load(tmp_path / "all.refine.calibration.npz") as calibration:
        assert calibration["frames"].shape == (9, 64, 64, 3)  # five of scenes, four of frames
        assert calibration["margin"] == 0.2


def test_weights_of_another_width_are_refused(tmp_path):
    dense_localization((240, 320, 3), width=0.5).save(tmp_path / "half.keras")
    with pytest.raises(DataError, match="give a dense network of the same --width"):
        DenseRecipe(weights=str(tmp_path / "half.keras")).model()
