"""Runs of the quantize-aware fine-tuning: stopped ones go on, and what is wrong is said in one line."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.models import lightweight_stn
from stn_rectify.models.network.loading import load_model
from stn_rectify.models.quantization import FineTuning, fine_tune
from stn_rectify.runtime.errors import DataError
from tests.models.command.test_training_command import exit_status
from tests.models.small_networks import drifted_stn


def test_a_stopped_tuning_goes_on_to_the_same_result(tmp_path, monkeypatch, with_frames):
    """Stopped in the second epoch, after its first batch of four."""
    source = tmp_path / "source.keras"
    drifted_stn().save(source)
    course = FineTuning(samples=200, epochs=2, batch_size=50)
    train_on_batch = keras.Model.train_on_batch
    whole = fine_tune(source, course, with_frames(tmp_path / "whole.keras"))
    trained, out = [], with_frames(tmp_path / "stopped.keras")

    def train_and_stop(self, *args, **kwargs):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(1)
        return train_on_batch(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(source, course, out)
    assert not out.exists()
    monkeypatch.undo()
    resumed = fine_tune(source, course, out)
    assert not (tmp_path / "stopped.training").exists()
    curve = (tmp_path / "stopped.curve.csv").read_text().splitlines()
    assert curve[0] == "epoch,batches,loss,score_loss,theta_loss,learning_rate,seconds"
    assert [row.split(",")[:2] for row in curve[1:]] == [["1", "4"], ["2", "4"]]
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_stopped_tuning_of_another_model_is_not_gone_on_with(tmp_path, monkeypatch, with_frames):
    source, out = tmp_path / "source.keras", with_frames(tmp_path / "tuned.keras")
    drifted_stn().save(source)

    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "train_on_batch", stop)
    course = FineTuning(samples=200, epochs=2, batch_size=50)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(source, course, out)
    changed = load_model(source)
    changed.get_layer("drifted").bias.assign_add(np.ones(8))
    changed.save(source)
    with pytest.raises(DataError, match="other settings"):
        fine_tune(source, course, out)


def no_stn(tmp_path):
    file = tmp_path / "plain.keras"
    keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6, name="theta")]).save(file)
    return file


def five_channels(tmp_path):
    file = tmp_path / "five.keras"
    lightweight_stn((16, 16, 5), width=0.5).save(file)
    return file


def no_file(tmp_path):
    return tmp_path / "none.keras"


@pytest.mark.parametrize(
    ("make", "arguments", "status", "message"),
    [
        (no_file, [], 1, "no such file"),
        (no_stn, [], 1, "plain.keras: no Spatial Transformer Network"),
        (five_channels, [], 1, "1 or 3 channels"),
        (five_channels, ["--width", "2"], 2, "unrecognized option --width"),
        (five_channels, ["--samples", "5"], 2, "less than one batch"),
        (five_channels, ["--out", "five.keras", "--overwrite"], 2, "give another --out"),
    ],
    ids=["no file", "no STN", "five channels", "network option", "few samples", "onto itself"],
)
def test_wrong_input_is_one_clear_line_before_any_work(tmp_path, monkeypatch, capsys, make, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    assert exit_status(["tune", make(tmp_path).name, "--out", "tuned.keras", *arguments]) == status
    error = capsys.readouterr().err
    assert error.startswith("stn-train tune: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.training"))
