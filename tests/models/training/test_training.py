"""Training: it learns, is reproducible, resumes, and starts from trained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from stn_rectify.models.command.cli import parse_options
from stn_rectify.models.command.subcommands.pose import Pose
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.network.poses import pose_predictor
from stn_rectify.models.network.stn import lightweight_stn
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.models.training import pose_training
from stn_rectify.models.training.pose_training import TrainingRecipe, train
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.evaluation.corner_errors import summarise

TINY = TrainingRecipe(
    input_shape=(32, 32, 1),
    body="fused",
    width=0.5,
    features=16,
    samples=200,
    epochs=2,
    batch_size=50,
    learning_rate=2e-3,
)


@pytest.mark.slow
def test_training_beats_the_centred_box_on_its_own_frames(tmp_path, with_frames):
    """The best centred box is what a network that does not look at the frame can reach."""
    recipe = TrainingRecipe(input_shape=(32, 32, 1), samples=200, epochs=60, batch_size=40, learning_rate=4e-3)
    model = train(recipe, with_frames(tmp_path / "stn.keras"))
    synthesiser = FrameSynthesiser(seed=0, frame_size=(320, 240))
    samples = [synthesiser(k) for k in range(100)]
    known = KnownFrames("training", tuple(s.frame for s in samples), tuple(s.corners for s in samples))
    errors = summarise(known, find_targets(model, None, known.frames)[0].corners, None)
    assert errors.mean < 0.9 * errors.centred_box
    assert not (tmp_path / "stn.training").exists()
    calibration = np.load(tmp_path / "stn.calibration.npz")
    assert calibration["frames"].shape == (200, 32, 32, 1)
    assert calibration["corners"].shape == (200, 4, 2)
    assert 0 < np.isnan(calibration["corners"]).all(axis=(1, 2)).sum() < 100  # some frames are empty


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, monkeypatch, with_frames):
    """Stopped in the second epoch, between its first batch and its second; an epoch has four."""
    train_on_batch = keras.Model.train_on_batch
    trained = []

    def train_until(last):
        def train_and_stop(self, frames, *args, **kwargs):
            if len(trained) == last:
                raise KeyboardInterrupt
            trained.append(frames)
            return train_on_batch(self, frames, *args, **kwargs)

        trained.clear()
        monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)

    train_until(None)
    whole = train(TINY, with_frames(tmp_path / "whole.keras"))
    batches_of_the_whole = list(trained)
    train_until(5)
    stopped = with_frames(tmp_path / "stopped.keras")
    with pytest.raises(KeyboardInterrupt):
        train(TINY, stopped)
    assert not stopped.exists()
    train_until(None)
    resumed = train(TINY, stopped)
    assert len(batches_of_the_whole) == 8
    np.testing.assert_array_equal(trained, batches_of_the_whole[5:])
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_model_without_a_score_is_evaluated():
    predict = pose_predictor(lightweight_stn((32, 32, 1), width=0.5, features=8, score=False))
    theta, score = predict(np.zeros((3, 32, 32, 1), np.float32))
    assert theta.shape == (3, 6)
    assert score is None


def test_a_training_can_start_from_trained_weights(tmp_path):
    source = TINY.model()
    source.set_weights([w + 0.01 for w in source.get_weights()])
    source.save(tmp_path / "source.keras")
    started = replace(TINY, weights=str(tmp_path / "source.keras")).model()
    for got, expected in zip(started.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_training_can_start_from_the_first_look_of_single_by_its_name(tmp_path, monkeypatch):
    recipes: list[TrainingRecipe] = []
    monkeypatch.setattr(pose_training, "train", lambda recipe, *_, **__: recipes.append(recipe))
    for words in (["--out", f"{tmp_path}/a.keras"], ["--refine", "--out", f"{tmp_path}/a.refine.keras"]):
        command = parse_options(["pose", "--body", "fused", "--weights", "single", *words])
        assert isinstance(command, Pose)
        command.train()  # prints what the network costs, made with these weights
    assert [Path(str(recipe.weights)).name for recipe in recipes] == ["single.whole.keras", "single.refine.keras"]


def test_weights_of_another_network_are_refused(tmp_path):
    replace(TINY, width=1.0).model().save(tmp_path / "wide.keras")
    with pytest.raises(DataError, match=r"wide.keras is another network .*--width"):
        replace(TINY, weights=str(tmp_path / "wide.keras")).model()


def test_a_refine_network_starts_with_the_target_where_it_was(tmp_path):
    stn = replace(TINY, refine_margin=0.2).model()
    theta = stn.get_layer("theta").get_weights()[1]
    np.testing.assert_allclose(theta[[0, 4]], 1 / 1.4, rtol=1e-6)
