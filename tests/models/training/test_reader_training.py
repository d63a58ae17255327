"""Training of a reader: its samples, its accuracy, a short course from end to end."""

from __future__ import annotations

import csv
import zipfile

import keras
import numpy as np
import pytest

from stn_rectify.models.command.cli import parse_options
from stn_rectify.models.evaluation.text_accuracy import text_accuracy
from stn_rectify.models.files import RECOGNIZER
from stn_rectify.models.network.keras_file import load_model, network_kind
from stn_rectify.models.network.reader import reader_network
from stn_rectify.models.training.pools.plate_pool import CROP_MARGIN, CROP_SIZE, text_classes
from stn_rectify.models.training.reader_training import LABELS, ReaderRecipe, TextLoss, held_out_accuracy, train_reader
from stn_rectify.models.training.samples.plate_batches import READER_MARGIN, seen_plate
from stn_rectify.runtime.errors import DataError, UsageError

SMALL = {"input_shape": (16, 32, 1), "samples": 64, "batch_size": 16, "width": 0.25, "formats": ("9",)}


def test_texts_become_classes_and_back():
    classes = text_classes("AZ09")
    assert classes.tolist() == [1, 26, 27, 36, 0, 0, 0, 0, 0, 0]
    assert "".join(LABELS[k] for k in classes if k) == "AZ09"
    assert LABELS[0] == "<blank>"


def test_the_loss_is_that_of_keras():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (3, 12, 37)).astype(np.float32)
    texts = np.stack([text_classes(text) for text in ("AB12", "A", "1111")])
    wanted = keras.ops.convert_to_numpy(keras.losses.ctc(texts.astype(np.int32), scores))
    found = keras.ops.convert_to_numpy(TextLoss().call(texts.astype(np.float32), scores))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_accuracy_counts_texts_and_edits():
    def steps(classes):
        return np.eye(37)[classes]

    scores = np.stack([steps([0, 1, 1, 0, 1, 2]), steps([3, 3, 3, 0, 0, 0]), steps([0, 0, 0, 0, 0, 0])])
    texts = np.array([[1, 1, 2], [3, 4, 0], [5, 6, 7]], np.uint8)
    accuracy = text_accuracy("three", scores, texts)
    assert accuracy.count == 3
    assert accuracy.right == pytest.approx(1 / 3)
    assert accuracy.edits == pytest.approx((0 + 1 + 3) / 8)
    assert "three: 3 plates, 33.3 % read without a mistake, 50.0 % of the characters wrong" in str(accuracy)


def test_a_sample_shows_the_middle_of_the_stored_crop():
    """The plate's left half is dark and its right half light; beyond its edges the crop is the other way round."""
    width, height = CROP_SIZE
    stored = np.full((height, width), 220, np.uint8)
    stored[:, width // 2 :] = 30
    x, y = (round(side * CROP_MARGIN / (1 + 2 * CROP_MARGIN)) for side in CROP_SIZE)
    stored[y : height - y, x : width // 2] = 30
    stored[y : height - y, width // 2 : width - x] = 220
    seen = [seen_plate(np.random.default_rng(k), stored, (64, 16)).astype(int) for k in range(30)]
    mean = np.mean([s if s[8, 48] > s[8, 16] else 255 - s for s in seen], axis=0)  # a few are inverted
    assert mean[4:12, 10:26].max() < 80
    assert mean[4:12, 38:54].min() > 140
    assert len({s.tobytes() for s in seen}) == 30


def test_a_network_gives_steps_for_two_rows_and_refuses_odd_sizes():
    assert reader_network((32, 128, 1), 37).output_shape == (None, 64, 37)
    with pytest.raises(ValueError, match="multiples of 8"):
        reader_network((30, 128, 1), 37)


def test_a_course_writes_what_the_converter_needs_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    out = tmp_path / "one.recognizer.keras"
    recipe = ReaderRecipe(**SMALL, epochs=6, learning_rate=1e-2)
    stopped = []

    def stop(self, model, epoch, batch, save=train_reader.__globals__["Checkpoint"].save):
        save(self, model, epoch, batch)
        stopped.append((epoch, batch))
        if (epoch, batch) == (2, 0):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stn_rectify.models.training.course.checkpoint.Checkpoint.save", stop)
        with pytest.raises(KeyboardInterrupt):
            train_reader(recipe, out)
    assert not out.exists()
    train_reader(recipe, out)
    assert network_kind(out) == RECOGNIZER
    with zipfile.ZipFile(out) as archive:
        assert b"optimizer" not in archive.read("model.weights.h5")  # three times as large as the network
    assert (tmp_path / "one.labels.txt").read_text(encoding="utf-8").split() == list(LABELS)
    with np.load(out.with_suffix(".calibration.npz")) as stored:
        assert stored["frames"].shape == (64, 16, 32, 1)
        assert stored["frames"].std() > 10
        assert stored["margin"] == READER_MARGIN
    with out.with_suffix(".curve.csv").open(encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]
    assert not out.with_suffix(".training").exists()
    again = ReaderRecipe(**SMALL, weights=str(out))
    np.testing.assert_array_equal(again.model().get_weights()[0], load_model(out).get_weights()[0])
    accuracy = held_out_accuracy(load_model(out), recipe, 20, tmp_path / "held-out")
    assert accuracy.count == 20
    assert not (tmp_path / "held-out").exists()
    with pytest.raises(DataError, match="is another network"):
        ReaderRecipe(**{**SMALL, "width": 0.5}, weights=str(out)).model()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out plates.keras", "a reader is called NAME.recognizer.keras"),
        ("--out a.recognizer.keras --input-shape 30x128x1", "multiples of 8, and 1 channel"),
        ("--out a.recognizer.keras --input-shape 32x128x3", "multiples of 8, and 1 channel"),
        ("--out a.recognizer.keras --samples 10", "less than one batch"),
    ],
)
def test_wrong_usage_is_one_clear_line(words, message):
    with pytest.raises(UsageError, match=message):
        parse_options(["reader", *words.split()]).run()


def test_a_wrong_format_is_one_clear_line(capsys):
    with pytest.raises(SystemExit):
        parse_options(["reader", "--out", "a.recognizer.keras", "--format", "AB-12"])
    assert "'AB-12' is no format" in capsys.readouterr().err
