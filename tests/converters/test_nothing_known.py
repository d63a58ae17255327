"""A classifier gets a class for images that show nothing it knows, from negatives beside it."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.networks.nothing import MOST_LOST, Negatives, read_negatives, with_nothing
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime import DataError, ModelFileError, Recognizer

SHAPE = (12, 12, 1)


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that the classifier knows: a bright half on black, left (0), right (1) or above (2)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 30, (count, *SHAPE))
    for image, label in zip(images, labels, strict=True):
        image[[np.s_[:, :6], np.s_[:, 6:], np.s_[:6]][label]] += rng.integers(120, 220)
    return images.astype(np.uint8), labels


def others(count: int, seed: int) -> np.ndarray:
    """Images that it does not know: four blobs."""
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.integers(60, 256, (count, 4, 4, 1)), 3, axis=1), 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on its three classes alone, with negatives beside it."""
    folder = tmp_path_factory.mktemp("nothing")
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(8, 3, strides=2, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Softmax()])
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = bars(600, 0)
    model.fit(images / np.float32(255), labels, epochs=12, verbose=0)
    model.save(folder / "bars.recognizer.keras")
    np.savez(folder / "bars.recognizer.calibration.npz", frames=images[:60], labels=labels[:60])
    (folder / "bars.labels.txt").write_text("left\nright\nabove\n")
    np.savez(folder / "bars.recognizer.negatives.npz", known=bars(1000, 1)[0], unknown=others(600, 2))
    return folder / "bars.recognizer.keras"


def test_what_it_does_not_know_gets_no_label_and_what_it_knows_keeps_its_own(source: Path, tmp_path: Path) -> None:
    conversion = convert(source, tmp_path, ConversionOptions(calibration=source, latency=False))
    assert conversion.proof.passed
    images, labels = bars(200, 8)
    unknown = others(200, 9)
    with Recognizer(conversion.path) as recognizer:
        assert recognizer.file.labels == ("left", "right", "above", "<nothing>")
        said = [recognizer.recognize(image[..., 0]) for image in images]
        of_unknown = [recognizer.recognize(image[..., 0]) for image in unknown]
    right = [one.label == ("left", "right", "above")[label] for one, label in zip(said, labels, strict=True)]
    assert np.mean(right) > 0.97
    assert np.mean([one.label is None for one in of_unknown]) > 0.97
    sure = next(one for one in of_unknown if one.label is None)
    assert sure.score is not None
    assert sure.score > 0.5
    assert sure.top(1) == (("<nothing>", sure.score),)
    report = json.loads((tmp_path / "bars.recognizer.report.json").read_text())
    shares = report["networks"][0]["comparison"]["nothing"]
    assert (shares["known"], shares["unknown"]) == (500, 300)
    assert shares["rejected"] > 0.97
    assert shares["lost"] < 0.01
    assert "rejects" in str(conversion)


def test_the_other_rows_stay_as_they_are_and_few_known_images_are_lost(source: Path) -> None:
    model = keras.models.load_model(source)
    known, unknown = bars(1000, 1)[0] / np.float32(255), others(600, 2) / np.float32(255)
    wider = with_nothing(source, model, Negatives(known, unknown))
    np.testing.assert_array_equal(wider.layers[-1].kernel[:, :3], model.layers[-2].kernel)
    scores, before = wider.predict(known, verbose=0), model.predict(known, verbose=0)
    np.testing.assert_array_equal(scores[:, :3].argmax(axis=1), before.argmax(axis=1))
    assert (scores[1::2].argmax(axis=1) == 3).mean() <= MOST_LOST


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param(
            [keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()], id="pooled"
        ),
        pytest.param([keras.layers.Flatten(), keras.layers.Dense(3), keras.layers.Activation("relu")], id="ReLU"),
        pytest.param([keras.layers.Flatten(), keras.layers.Dense(3, "softmax"), keras.layers.Softmax()], id="twice"),
    ],
)
def test_a_network_that_does_not_end_in_a_dense_layer_is_refused(source: Path, ends: list[keras.Layer]) -> None:
    negatives = Negatives(np.zeros((100, *SHAPE), np.float32), np.ones((100, *SHAPE), np.float32))
    with pytest.raises(ModelFileError, match="does not end in a Dense layer"):
        with_nothing(source, keras.Sequential([keras.Input(SHAPE), *ends]), negatives)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"known": np.zeros((200, *SHAPE), np.uint8)}, "known and unknown"),
        ({"known": np.zeros((200, *SHAPE), np.uint8), "unknown": np.zeros((9, *SHAPE), np.uint8)}, "unknown is uint8"),
        ({"known": np.zeros((200, 8, 8, 1), np.uint8), "unknown": np.zeros((200, *SHAPE), np.uint8)}, "known is uint8"),
    ],
    ids=["no unknown", "too few", "another size"],
)
def test_negatives_that_cannot_be_used_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=said):
        read_negatives(tmp_path / "x.npz", SHAPE, (0.0, 1.0))
