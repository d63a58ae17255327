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

from stn_rectify.converters import conversion
from stn_rectify.converters.cli import main
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.models.recognition.recognizing_stn import recognizer_network
from stn_rectify.runtime import DataError, ModelFile, ModelFileError, Recognizer, StnRectifyError, UsageError
from tests.converters.conversion_commands import manifest
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


@pytest.fixture(scope="module")
def built(source):
    """The folder with what the command makes of it."""
    assert main([str(source), "--out", str(source.parent / "build"), "--calibration", "no-such-folder"]) == 0
    return source.parent / "build"


def options(**chosen):
    return ConversionOptions(**{"calibration": Path("no-such-folder"), "latency": False, **chosen})


def test_the_file_is_all_integer_and_says_what_keras_says(source, built):
    target = built / "shapes.recognizer.tflite"
    frames = smooth_frames(SHAPE, 10, seed=9)
    expected = keras.models.load_model(source).predict(frames / np.float32(255), verbose=0)
    with Recognizer(target) as recognizer:
        assert all(check.passed for check in proof.inspect_file(recognizer.file.flatbuffer))
        assert (recognizer.file.labels, recognizer.file.name) == (("a", "b", "c"), "shapes")
        found = [recognizer.recognize(frame[..., 0]) for frame in frames]
    np.testing.assert_allclose([f.class_scores for f in found], expected, atol=0.15)


def test_it_has_a_report_and_an_entry_in_the_manifest(built):
    report = json.loads((built / "shapes.recognizer.report.json").read_text())
    assert report["passed"]
    assert any("equals the quantized recognizer" in check["found"] for check in report["proof"]["checks"])
    (network,) = report["networks"]
    assert (network["kind"], network["comparison"]["frames"]) == ("recognizer", 30)
    classes = network["comparison"]["class_scores"]
    assert classes["top1_agreement"] >= 0.9
    assert classes["labelled"] == 30
    assert abs(classes["accuracy_int8"] - classes["accuracy_float"]) <= 0.1
    assert network["cost"]["parameters"] > 1000
    assert all(latency["speed"] > 0 for latency in report["latency"])
    page = (built / "shapes.recognizer.report.html").read_text()
    assert "Classes or texts" in page
    record = manifest(built)["shapes.recognizer"]
    names = {f"shapes.recognizer.{suffix}" for suffix in ("tflite", "report.json", "report.html")}
    assert (record["result"], set(record["outputs"])) == ("passed", names)
    assert record["calibration"].endswith("shapes.recognizer.calibration.npz")
    assert record["options"]["labels"] == ["a", "b", "c"]


def test_it_is_a_model_of_the_batch_like_any_other(source, built, tmp_path, capsys):
    shutil.copytree(built, tmp_path / "build")
    for file in source.parent.glob("shapes.*"):
        shutil.copy(file, tmp_path)
    arguments = [str(tmp_path / source.name), "--out", str(tmp_path / "build"), "--calibration", "no-such-folder"]
    changed_place = main(arguments)
    assert changed_place == 0
    assert "0 converted, 0 failed, 1 unchanged" in capsys.readouterr().out  # the content counts
    assert main([*arguments, "--max-corner-error", "1", "--pose-only"]) == 0
    assert "1 unchanged" in capsys.readouterr().out  # it has no pose
    (tmp_path / "shapes.labels.txt").write_bytes(b"\xef\xbb\xbfx\ny\nz\n\n")
    assert main([*arguments, "--no-latency", "--overwrite"]) == 0
    assert "shapes.recognizer  integers proved, network doubtful" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "build" / "shapes.recognizer.tflite") as archive:
        assert archive.read("labels.txt") == b"x\ny\nz\n"
        assert json.loads(archive.read("metadata.json"))["class_scores"]["activation"] == "softmax"


def test_a_file_that_no_conversion_has_written_is_kept(source, built, tmp_path, capsys):
    target = tmp_path / "shapes.recognizer.tflite"
    altered = bytearray((built / target.name).read_bytes())
    altered[1000] ^= 1
    target.write_bytes(altered)
    shutil.copy(built / "manifest.json", tmp_path)
    assert main([str(source), "--out", str(tmp_path), "--calibration", "no-such-folder", "--force"]) == 1
    assert "exists: give --overwrite" in capsys.readouterr().err
    assert target.read_bytes() == altered


def test_labels_beside_it_that_cannot_be_read_fail_it_and_no_other_model(source, tmp_path, capsys):
    for file in (source, source.with_suffix(".calibration.npz")):
        shutil.copy(file, tmp_path)
    (tmp_path / "shapes.labels.txt").write_bytes("ä\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"shapes\.labels\.txt cannot be read"):
        convert(tmp_path / source.name, tmp_path, options())
    assert main([str(tmp_path), "--out", str(tmp_path / "build"), "--calibration", "no-such-folder"]) == 1
    assert "shapes.recognizer  FAILED: " in capsys.readouterr().err
    assert "cannot be read" in manifest(tmp_path / "build")["shapes.recognizer"]["reason"]


def test_the_proof_finds_one_that_is_not_what_the_quantizer_made(source, tmp_path, monkeypatch):
    """A real defect: one weight in the file is not the one it should be."""

    def prove_a_damaged_file(flatbuffer, networks):
        model = read_model(flatbuffer)
        weights = max((b for b in model.buffers if b.data is not None), key=lambda b: len(b.data))
        weights.data = (np.frombuffer(bytes(weights.data), np.int8) // 2).view(np.uint8)
        return proof.prove(write_model(model), networks)

    monkeypatch.setattr(conversion, "prove", prove_a_damaged_file)
    with pytest.raises(ModelFileError, match="class_scores of frame 0"):
        convert(source, tmp_path, options())
    assert not (tmp_path / "shapes.recognizer.tflite").exists()


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
        convert(source, tmp_path, options(calibration=frames))
    with pytest.raises(UsageError, match=r"7 labels for 4 classes: .* gives \[batch, steps, classes\]"):
        convert(source, tmp_path, options(calibration=frames, labels=tuple("abcdefg")))
    (tmp_path / "plates.labels.txt").write_text("<blank>\na\nb\n \n")
    done = convert(source, tmp_path, options(calibration=frames))
    assert done.proof.passed
    assert done.networks[0].comparison.class_scores.top1_agreement > 0.5
    read = []
    with Recognizer(done.path) as recognizer:
        assert (recognizer.file.labels, recognizer.file.sequence.blank) == (("", "a", "b", " "), 0)
        for frame in smooth_frames((8, 32, 1), 20, seed=9):
            steps = model.predict(frame[None] / np.float32(255), verbose=0)[0].argmax(axis=1)
            expected = "".join("-ab "[number] for number, _ in itertools.groupby(steps)).replace("-", "")
            read.append(recognizer.recognize(frame[..., 0]).label == expected)
        assert recognizer.output_options(ModelFile.open("plates")) == {"output_size": (32, 8)}
    assert np.mean(read) > 0.5
    with np.load(frames) as stored:
        arrays = dict(stored)
    np.savez(frames, **arrays, margin=0.07)  # that its images were cut out with
    again = convert(source, tmp_path, options(calibration=frames, overwrite=True))
    with Recognizer(again.path) as recognizer:
        wanted = recognizer.output_options(ModelFile.open("plates"))
    assert wanted == {"output_size": (32, 8), "margin": 0.07}
    np.savez(frames, **arrays, margin=-1.0)
    with pytest.raises(DataError, match=r"margin is -1\.0, expected one number from 0 to 4"):
        convert(source, tmp_path, options(calibration=frames, overwrite=True))


def test_nothing_is_converted_that_cannot_be_proved(source, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "installed_packages", list)
    with pytest.raises(StnRectifyError, match="no interpreter is installed"):
        convert(source, tmp_path, options())


def test_what_is_no_classifier_is_refused(source, tmp_path):
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        convert(source, tmp_path, options(labels=("a", "b")))
    odd = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
    odd.save(tmp_path / "odd.recognizer.keras")
    with pytest.raises(ModelFileError, match="takes one image"):
        convert(tmp_path / "odd.recognizer.keras", tmp_path, options())
    frames = save_frames(tmp_path, SHAPE)
    shape = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(4, 3)])
    shape.save(tmp_path / "map.recognizer.keras")
    with pytest.raises(ModelFileError, match="gives class scores"):
        convert(tmp_path / "map.recognizer.keras", tmp_path, options(calibration=frames))
