"""The curve of a training: a row for each epoch, stopped or not, and a picture of it."""

from __future__ import annotations

import csv
from dataclasses import asdict

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import Curve, write_curve
from stn_rectify.models.training.course.epochs import averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_result
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pose_training import pose_loss, pose_truth
from stn_rectify.runtime.drawing import TRUTH
from stn_rectify.runtime.errors import DataError

COURSE = Course(input_shape=(32, 32, 1), samples=32, epochs=3, batch_size=8, learning_rate=1e-2)
NAMES = ["epoch", "batches", "loss", "score_loss", "theta_loss", "learning_rate", "seconds", "seen"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return FramePool(tmp_path_factory.mktemp("pool"), count=COURSE.samples, size=64, seed=0)


def tiny_pose():
    """Frame → [θ, score], compiled: one layer each."""
    keras.utils.set_random_seed(0)
    frame = keras.Input(COURSE.input_shape)
    seen = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(frame))
    box = keras.initializers.Constant([0.8, 0, 0, 0, 0.8, 0])
    theta = keras.layers.Dense(6, kernel_initializer="zeros", bias_initializer=box, name="theta")(seen)
    pose = keras.Model(frame, [theta, keras.layers.Dense(1, activation="sigmoid", name="score")(seen)])
    optimizer = averaging_adamw(COURSE, weight_decay=0.0)
    pose.compile(optimizer=optimizer, **pose_loss(pose, refines=False), run_eagerly=True)  # starts at once
    return pose


def train(folder, pool, **options):
    """Trains, or goes on, as it would for ``stn.keras`` in this folder."""
    work = folder / "stn.training"
    work.mkdir(exist_ok=True)
    pose, checkpoint = tiny_pose(), Checkpoint(work / "checkpoint.npz", asdict(COURSE))
    train_epochs(pose, pool, COURSE, checkpoint, lambda batch: pose_truth(pose, batch), **options)
    return pose, checkpoint


def table(file):
    with file.open(newline="") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def assert_same_but_for_seconds(rows, others):
    assert [list(row) for row in rows] == [list(row) for row in others]
    for row, other in zip(rows, others, strict=True):
        np.testing.assert_allclose(*([v for k, v in r.items() if k != "seconds"] for r in (row, other)), rtol=1e-4)


def see(epoch):
    """A line and a further column."""
    return "looked at", {"seen": 10.0 * epoch}


@pytest.fixture(scope="module")
def whole(pool, tmp_path_factory):
    """A run that nobody stopped: its folder, the model, the checkpoint, the rows, the loss of each batch."""
    folder, losses = tmp_path_factory.mktemp("whole"), []
    train_on_batch = keras.Model.train_on_batch

    def listen(self, *args, **kwargs):
        measured = train_on_batch(self, *args, **kwargs)
        losses.append(measured["loss"])
        return measured

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", listen)
        pose, checkpoint = train(folder, pool, after_epoch=see)
    return folder, pose, checkpoint, table(checkpoint.curve_file), losses


def test_a_row_holds_the_mean_over_the_epochs_batches(whole):
    *_, rows, losses = whole
    assert [list(row) for row in rows] == [NAMES] * 3
    assert [(row["epoch"], row["batches"], row["seen"]) for row in rows] == [(1, 4, 0), (2, 4, 10), (3, 4, 20)]
    np.testing.assert_allclose([row["loss"] for row in rows], np.mean(np.reshape(losses, (3, 4)), axis=1), rtol=1e-5)
    for row in rows:
        assert row["theta_loss"] + 0.15 * row["score_loss"] == pytest.approx(row["loss"], rel=1e-4)
        assert row["seconds"] > 0
    rates = [row["learning_rate"] for row in rows]
    assert 1e-2 > rates[0] > rates[1] > rates[2] > 0  # warmed up in the first epoch


@pytest.mark.parametrize("batches", [0, 5, 8])
def test_a_run_stopped_anywhere_has_the_same_rows(pool, whole, tmp_path, monkeypatch, capsys, batches):
    """Before the first batch, in the middle of an epoch or between two of them."""
    train_on_batch = keras.Model.train_on_batch
    trained = []

    def train_and_stop(self, *args, **kwargs):
        if len(trained) == batches:
            raise KeyboardInterrupt
        trained.append(1)
        return train_on_batch(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, pool, after_epoch=see)
    monkeypatch.undo()
    _, checkpoint = train(tmp_path, pool, after_epoch=see)
    rows = table(checkpoint.curve_file)
    assert_same_but_for_seconds(rows, whole[3])
    assert capsys.readouterr().out == "".join(
        f"epoch {k}/3  loss {row['loss']:.4f}\n  looked at\n" for k, row in enumerate(rows, 1)
    )


def test_a_run_stopped_while_an_epochs_end_is_looked_at_has_the_same_rows(pool, whole, tmp_path):
    def stop(epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return see(epoch)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, pool, after_epoch=stop)
    _, checkpoint = train(tmp_path, pool, after_epoch=see)
    assert_same_but_for_seconds(table(checkpoint.curve_file), whole[3])


def test_an_epoch_whose_checkpoint_was_lost_is_one_row(pool, whole, tmp_path, monkeypatch):
    """The process was killed after the row of the second epoch was written and before its checkpoint was."""
    save = Checkpoint.save

    def killed(self, model, epoch, batch):
        if epoch == 2:
            raise SystemExit
        save(self, model, epoch, batch)

    monkeypatch.setattr(Checkpoint, "save", killed)
    with pytest.raises(SystemExit):
        train(tmp_path, pool, after_epoch=see)
    assert len(table(tmp_path / "stn.training" / "checkpoint.curve.csv")) == 2
    monkeypatch.undo()
    _, checkpoint = train(tmp_path, pool, after_epoch=see)
    assert_same_but_for_seconds(table(checkpoint.curve_file), whole[3])


def test_a_run_begun_without_a_curve_says_of_how_many_batches_it_knows(tmp_path):
    curve = Curve(tmp_path / "curve.csv")
    curve.go_on(3, 2)
    curve.record(3, [{"loss": 0.5}, {"loss": 0.7}], learning_rate=1e-3, seconds=1.0, more={})
    assert table(tmp_path / "curve.csv") == [
        {"epoch": 4, "batches": 2, "loss": pytest.approx(0.6), "learning_rate": 1e-3, "seconds": 1}
    ]


def test_the_curve_and_its_picture_are_kept_beside_the_model(pool, whole):
    folder, pose, checkpoint, rows, _ = whole
    write_result(pose, pool, COURSE, folder / "stn.keras", [checkpoint])
    files = {"stn.keras", "stn.calibration.npz", "stn.curve.csv", "stn.curve.png"}
    assert {file.name for file in folder.iterdir()} == files
    assert table(folder / "stn.curve.csv") == rows
    picture = cv2.imread(str(folder / "stn.curve.png"))
    assert (np.abs(picture.astype(int) - TRUTH).max(axis=2) < 30).any(axis=0).sum() > 800  # the loss, from end to end


def test_courses_that_follow_one_another_are_one_curve(tmp_path):
    parts = [tmp_path / f"checkpoint-{step}.curve.csv" for step in (1, 2, 3)]
    for part in (parts[0], parts[2]):  # the second one had no epoch
        curve = Curve(part)
        for epoch in range(2):
            curve.record(epoch, [{"loss": 0.1}], learning_rate=1e-3, seconds=1.0, more={})
    write_curve(tmp_path / "small.keras", parts)
    rows = table(tmp_path / "small.curve.csv")
    assert [(row["step"], row["epoch"]) for row in rows] == [(1, 1), (1, 2), (3, 3), (3, 4)]


@pytest.mark.parametrize("content", ["epoch,loss\n1,0.1\n", "epoch,batches\n1,x\n", "epoch,batches\n1,2,3\n", ""])
def test_a_damaged_curve_is_one_clear_error(tmp_path, content):
    (tmp_path / "a.curve.csv").write_text(content)
    with pytest.raises(DataError, match=r"a\.curve\.csv cannot be read .* delete it to go on"):
        Curve(tmp_path / "a.curve.csv")
