"""A Keras classifier of its own becomes a fully INT8 file that stn-rectify's recognizer reads."""

from __future__ import annotations

import itertools
import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from stn_rectify.converters import recognizer_conversion
from stn_rectify.converters.cli import main
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.converters.recognizer_conversion import convert_recognizer
from stn_rectify.models.recognition.recognizing_stn import recognizer_network
from stn_rectify.runtime import ModelFileError, Recognizer, StnRectifyError, UsageError
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from tests.converters.keras_models import save_frames, smooth_frames

SHAPE = (20, 20, 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Trained well enough to differ from image to image: its last weights are large."""
    folder = tmp_path_factory.mktemp("recognizer")
    keras.utils.set_random_seed(3)
    model = recognizer_network(SHAPE, 3, width=0.25)
    model.get_layer("logits").kernel.assign(np.random.default_rng(0).normal(0, 1, (4 * 24, 3)))
    model.save(folder / "shapes.recognizer.keras")
    np.savez(folder / "shapes.recognizer.calibration.npz", frames=smooth_frames(SHAPE, 30), labels=np.arange(30) % 3)
    (folder / "shapes.labels.txt").write_text("a\nb\nc\n")
    return folder / "shapes.recognizer.keras"


def options(**chosen):
    return ConversionOptions(**{"calibration": Path("no-such-folder"), **chosen})


def test_the_file_is_all_integer_and_says_what_keras_says(source, tmp_path):
    conversion = convert_recognizer(source, tmp_path, options())
    assert conversion.path == tmp_path / "shapes.recognizer.tflite"
    assert all(check.passed for check in conversion.checks)
    assert conversion.agreement >= 0.9
    frames = smooth_frames(SHAPE, 10, seed=9)
    expected = keras.models.load_model(source).predict(frames / np.float32(255), verbose=0)
    with Recognizer(conversion.path) as recognizer:
        assert all(check.passed for check in inspect_file(recognizer.file.flatbuffer))
        assert (recognizer.file.labels, recognizer.file.name) == (("a", "b", "c"), "shapes")
        found = [recognizer.recognize(frame[..., 0]) for frame in frames]
    np.testing.assert_allclose([f.class_scores for f in found], expected, atol=0.15)


def test_the_command_takes_it_by_its_name_and_skips_what_is_unchanged(source, tmp_path, capsys):
    arguments = [str(source), "--out", str(tmp_path), "--calibration", "no-such-folder"]
    assert main(arguments) == 0
    assert "shapes.recognizer  proved all-integer" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main([*arguments, "--force"]) == 0
    assert "proved all-integer" in capsys.readouterr().out
    labels = tmp_path / "other.txt"
    labels.write_bytes(b"\xef\xbb\xbfx\ny\nz\n\n")
    assert main([*arguments, "--labels", str(labels)]) == 0  # replaces what an earlier run has written
    with zipfile.ZipFile(tmp_path / "shapes.recognizer.tflite") as archive:
        assert archive.read("labels.txt") == b"x\ny\nz\n"
        assert json.loads(archive.read("metadata.json"))["class_scores"]["activation"] == "softmax"


def test_a_file_that_no_conversion_has_written_is_kept(source, tmp_path, capsys):
    target = tmp_path / "shapes.recognizer.tflite"
    arguments = [str(source), "--out", str(tmp_path), "--calibration", "no-such-folder"]
    assert main(arguments) == 0
    altered = bytearray(target.read_bytes())
    altered[1000] ^= 1
    target.write_bytes(altered)
    assert main([*arguments, "--force"]) == 1
    assert "exists: give --overwrite" in capsys.readouterr().err
    assert target.read_bytes() == altered
    assert main([*arguments, "--overwrite"]) == 0


def test_labels_beside_it_are_read_like_those_of_the_option(source, tmp_path):
    labels = tmp_path / "shapes.labels.txt"
    for file in (source, source.with_suffix(".calibration.npz")):
        shutil.copy(file, tmp_path)
    labels.write_bytes("ä\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"shapes\.labels\.txt cannot be read"):
        convert_recognizer(tmp_path / source.name, tmp_path, options())
    labels.write_bytes(b"\xef\xbb\xbfa\nb\nc\n\n")
    conversion = convert_recognizer(tmp_path / source.name, tmp_path, options())
    assert RecognizerFile.open(conversion.path).labels == ("a", "b", "c")


def test_a_network_that_reads_texts_is_converted_with_its_alphabet(tmp_path):
    keras.utils.set_random_seed(1)
    x = image = keras.Input((8, 32, 1))
    x = keras.layers.Conv2D(6, (8, 4), strides=(8, 4), activation="relu", kernel_initializer="random_normal")(x)
    x = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=30))(x)
    model = keras.Model(image, keras.layers.Reshape((8, 4))(x))
    source = tmp_path / "plates.recognizer.keras"
    model.save(source)
    frames = save_frames(tmp_path, (8, 32, 1), 40)
    with pytest.raises(UsageError, match="no labels for an output of 8 by 4: a sequence recognizer needs one for each"):
        convert_recognizer(source, tmp_path, options(calibration=frames))
    with pytest.raises(UsageError, match=r"7 labels for 4 classes: .* gives \[batch, steps, classes\]"):
        convert_recognizer(source, tmp_path, options(calibration=frames, labels=tuple("abcdefg")))
    (tmp_path / "plates.labels.txt").write_text("<blank>\na\nb\n \n")
    conversion = convert_recognizer(source, tmp_path, options(calibration=frames))
    assert all(check.passed for check in conversion.checks)
    assert conversion.agreement > 0.5
    read = []
    with Recognizer(conversion.path) as recognizer:
        assert (recognizer.file.labels, recognizer.file.sequence.blank) == (("", "a", "b", " "), 0)
        for frame in smooth_frames((8, 32, 1), 20, seed=9):
            steps = model.predict(frame[None] / np.float32(255), verbose=0)[0].argmax(axis=1)
            expected = "".join("-ab "[number] for number, _ in itertools.groupby(steps)).replace("-", "")
            read.append(recognizer.recognize(frame[..., 0]).label == expected)
    assert np.mean(read) > 0.5


def test_nothing_is_converted_that_cannot_be_proved(source, tmp_path, monkeypatch):
    monkeypatch.setattr(recognizer_conversion, "installed_packages", list)
    with pytest.raises(StnRectifyError, match="no interpreter is installed"):
        convert_recognizer(source, tmp_path, options())


def test_what_is_no_classifier_is_refused(source, tmp_path):
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        convert_recognizer(source, tmp_path, options(labels=("a", "b")))
    odd = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    odd.save(tmp_path / "odd.recognizer.keras")
    with pytest.raises(ModelFileError, match="takes one image"):
        convert_recognizer(tmp_path / "odd.recognizer.keras", tmp_path, options())
    frames = save_frames(tmp_path, SHAPE)
    shape = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(4, 3)])
    shape.save(tmp_path / "map.recognizer.keras")
    with pytest.raises(ModelFileError, match="gives class scores"):
        convert_recognizer(tmp_path / "map.recognizer.keras", tmp_path, options(calibration=frames))
