"""Supervision by a recognizer: it learns from labels, goes on after a stop, and notices when it runs away."""

from __future__ import annotations

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.recognition.labelled_images import LabelledImages
from stn_rectify.models.recognition.pose_watch import PoseWatch
from stn_rectify.models.recognition.recognizer_training import (
    RecognizerCourse,
    SlowLocalization,
    hold_out_error,
    train_through_recognizer,
)
from stn_rectify.models.recognition.recognizing_stn import RECOGNIZER, recognizing_stn
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import identity_theta
from tests.models.recognition.test_labelled_images import write_idx

TINY = RecognizerCourse(
    input_shape=(30, 30, 1), output_shape=(20, 20), samples=96, epochs=2, batch_size=24, learning_rate=5e-3,
    width=0.25, distortions=("R", "E"),
)  # fmt: skip


def bars(count=96, side=20, seed=0):
    """Upright bars, and crosses."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, side, side, 1), np.uint8)
    labels = rng.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        x = int(rng.integers(8, 12))
        image[4:16, x : x + 2] = 255
        if label:
            image[9:11, 4:16] = 255
    return LabelledImages(images, labels, ("bar", "cross"))


def exit_status(arguments):
    try:
        return main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code


def test_it_learns_from_labels_alone_and_moves_theta(tmp_path, capsys):
    course = replace(TINY, epochs=10)
    data = bars()
    model = train_through_recognizer(course, data, tmp_path / "bars.keras")
    assert hold_out_error(model, course, bars(seed=1), ("R",)) < 0.2
    assert "rectified black 0.0 %" in capsys.readouterr().out
    assert np.abs(model.get_layer("theta").kernel).max() > 1e-5  # zero at the start
    assert not (tmp_path / "bars.training").exists()
    calibration = np.load(tmp_path / "bars.calibration.npz")
    assert calibration["frames"].shape == (96, 30, 30, 1)
    assert (tmp_path / "bars.labels.txt").read_text() == "bar\ncross\n"
    whole, stn, reader = (load_model(tmp_path / f"bars{s}.keras") for s in ("", ".stn", ".recognizer"))
    frames = calibration["frames"] / np.float32(255)
    rectified, _, scores = whole.predict(frames, verbose=0)
    np.testing.assert_allclose(stn.predict(frames, verbose=0)[0], rectified, atol=1e-6)
    np.testing.assert_allclose(reader.predict(rectified, verbose=0), scores, atol=1e-5)


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, monkeypatch):
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

    course = replace(TINY, pose_warm_up=1)
    train_until(None)
    whole = train_through_recognizer(course, bars(), tmp_path / "whole.keras")
    batches_of_the_whole = list(trained)
    train_until(5)
    with pytest.raises(KeyboardInterrupt):
        train_through_recognizer(course, bars(), tmp_path / "stopped.keras")
    assert not (tmp_path / "stopped.keras").exists()
    train_until(None)
    resumed = train_through_recognizer(course, bars(), tmp_path / "stopped.keras")
    assert len(batches_of_the_whole) == 8
    np.testing.assert_array_equal(trained, batches_of_the_whole[5:])
    curve = (tmp_path / "stopped.curve.csv").read_text().splitlines()
    assert curve[0].endswith("learning_rate,seconds,black,outside,pose_spread_px")
    assert [row.split(",")[:2] for row in curve[1:]] == [["1", "4"], ["2", "4"]]
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_slow_variables_take_a_tenth_of_adams_step_from_a_given_step_on():
    """Adam's steps are as long as the learning rate while the gradient stays the same, whatever its size."""
    slow, fast = keras.Variable(np.zeros(3)), keras.Variable(np.zeros(3))
    optimizer = SlowLocalization(learning_rate=0.01, weight_decay=0.0)
    optimizer.slow_down([0], 0.1, from_step=2)
    optimizer.build([slow, fast])
    moved = []
    for _ in range(4):
        before = np.array(slow)[0], np.array(fast)[0]
        optimizer.apply([keras.ops.full((3,), 0.001), keras.ops.full((3,), 5.0)])
        moved.append((before[0] - np.array(slow)[0], before[1] - np.array(fast)[0]))
    np.testing.assert_allclose(moved, [[0.01, 0.01]] * 2 + [[0.001, 0.01]] * 2, rtol=1e-2)


@pytest.mark.slow
def test_a_pose_that_sees_nothing_ends_the_training(tmp_path, monkeypatch):
    """A run that is sent off the frame: what the recognizer's gradients do on a bad day."""

    def model(self, classes):
        lost = recognizing_stn(self.input_shape, classes, output_shape=self.output_shape, width=self.width)
        lost.get_layer("theta").bias.assign([1, 0, 5, 0, 1, 0])
        return lost

    monkeypatch.setattr(RecognizerCourse, "model", model)
    nothing = "after epoch 1 100 % of the rectified images show nothing .*out of range 100 %"
    with pytest.raises(DataError, match=nothing):
        train_through_recognizer(TINY, bars(), tmp_path / "bars.keras")
    assert not (tmp_path / "bars.keras").exists()


def test_a_pose_that_sees_an_empty_corner_is_black():
    model = recognizing_stn((30, 30, 1), 2, output_shape=(20, 20), width=0.25)
    model.get_layer("theta").bias.assign([0.02, 0, -0.9, 0, 0.02, -0.9])
    report = PoseWatch(model, TINY.drawn(bars(), 1).frames).look()
    assert (report.black, report.outside, report.lost) == (1, 0, 1)


def test_a_theta_that_does_not_depend_on_the_frame_is_called_dead():
    model = recognizing_stn((30, 30, 1), 2, output_shape=(20, 20), width=0.25)
    frames = TINY.drawn(bars(), 1).frames
    report = PoseWatch(model, frames).look()
    assert report.is_dead
    assert "dead: the same for every frame" in str(report)
    assert (report.black, report.outside) == (0, 0)
    np.testing.assert_array_equal(model.get_layer("theta").bias, identity_theta("affine"))
    report.refuse_lost("now")  # is no reason to stop
    model.get_layer("theta").kernel.assign(np.full((32, 6), 0.2))
    assert not PoseWatch(model, frames).look().is_dead
    model.get_layer("theta").bias.assign([np.nan] * 6)
    with pytest.raises(DataError, match="100 % of the rectified images"):
        PoseWatch(model, frames).look().refuse_lost("now")


def test_the_command_trains_on_idx_files_and_prints_errors(tmp_path, capsys):
    data = bars(80, side=28)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", data.images[..., 0], packed=True)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", data.labels.astype(np.uint8), packed=True)
    out = tmp_path / "out" / "bars.keras"
    arguments = [
        "recognizer",
        "--supervision",
        "both",
        "--data",
        tmp_path,
        "--out",
        out,
        "--epochs",
        1,
        "--batch-size",
        20,
    ]
    assert exit_status([*arguments, "--hold-out", 20, "--width", 0.25, "--distortions", "RTS,P"]) == 0
    said = capsys.readouterr().out
    assert "error on 20 held-out images" in said
    assert cv2.imread(str(out.with_suffix(".sheet.png"))).shape[1] > 1000
    assert "\nRTS " in said
    assert load_model(out).get_layer(RECOGNIZER).output_shape == (None, 2)
    out.unlink()
    assert exit_status([*arguments, "--hold-out", 20]) == 2
    assert "bars.stn.keras exists" in capsys.readouterr().err, "its halves are not replaced unasked either"
    arguments[arguments.index(out)] = out.with_suffix(".h5")
    assert exit_status([*arguments, "--hold-out", 20]) == 2
    assert "must end in .keras" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_on_a_folder_whose_images_are_the_frames(tmp_path, capsys):
    data = bars(60, side=24)
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        (tmp_path / "data" / data.names[label]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / data.names[label] / f"{number}.png"), image)
    (tmp_path / "photographs").mkdir()
    photograph = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photographs" / "a.png"), photograph)
    arguments = ["recognizer", "--data", tmp_path / "data", "--out", tmp_path / "b.keras"]
    arguments += ["--negatives", tmp_path / "photographs"]
    shape = ["--input-shape", "24x24x1", "--epochs", 1, "--batch-size", 20, "--hold-out", 20, "--width", 0.25]
    assert exit_status([*arguments, *shape]) == 0
    assert "as they are" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "b.sheet.png")) is not None  # the means alone
    model = load_model(tmp_path / "b.keras")
    assert model.output_shape[0] == (None, 24, 24, 1)
    with np.load(tmp_path / "b.recognizer.negatives.npz") as negatives:
        assert negatives["known"].shape == (40, 24, 24, 1)
        assert negatives["unknown"].shape == (3 + 32, 24, 24, 1)  # of the photograph, and of one brightness each
        assert sum(np.ptp(image) == 0 for image in negatives["unknown"]) == 32


@pytest.mark.parametrize("sizes", [((6, 6, 1), (28, 28)), ((42, 42, 1), (4, 9))])
def test_sizes_of_which_nothing_would_be_left_are_refused(sizes):
    with pytest.raises(DataError, match="need 8x8 pixels"):
        recognizing_stn(sizes[0], 2, output_shape=sizes[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.keras"], "required: --data"),
        (["--data", "x"], "required: --out"),
        (["--data", "x", "--out", "a.keras"], "x is no folder"),
        (["--data", "x", "--out", "a.keras", "--backgrounds", "y"], "unrecognized option --backgrounds"),
        (["--data", "x", "--out", "a.keras", "--scan", "y"], "unrecognized option --scan"),
        (["--data", "x", "--out", "a.refine.keras"], "other networks' endings: give another"),
        (["--supervision", "both", "--data", "x", "--out", "a.keras", "--distortions", "none"], "poses are known of"),
        (["--distortions", "R,Q"], "is neither 'none' nor some of R,RTS,P,E"),
    ],
)
def test_wrong_usage_is_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert exit_status(["recognizer", *arguments]) != 0
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
