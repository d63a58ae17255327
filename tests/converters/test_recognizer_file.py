"""STN and recognizer in one file: trunk → head → sampler → recognizer, all integers."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from msgspec.structs import replace

from stn_rectify.converters import conversion
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.file_metadata import pack
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.converters.tflite.joining import append_network
from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.models import lightweight_stn
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.keras_models import enliven, save_frames, save_recognizing_model, smooth_frames

LABELS = ("stop", "left", "right", "yield", "none")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recognizer")
    source = save_recognizing_model(folder, "reader")
    frames = save_frames(folder, (32, 32, 1), 40, labels=np.arange(40) % 5)
    convert(source, folder / "out", ConversionOptions(calibration=frames, labels=LABELS, latency=False))
    return source, folder / "out" / "reader.tflite"


def test_the_file_has_all_outputs_and_is_proved(converted):
    _, file = converted
    model = ModelFile.open(file)
    assert set(model.signature.outputs) == {"rectified", "theta", "score", "class_scores"}
    assert (model.metadata.class_scores.size, model.metadata.class_scores.activation) == (5, "softmax")
    report = json.loads(file.with_name("reader.report.json").read_text())
    assert report["passed"]
    assert all(check.passed for check in inspect_file(model.flatbuffer))


def test_its_class_scores_are_compared_with_keras(converted):
    comparison = json.loads(converted[1].with_name("reader.report.json").read_text())["networks"][0]["comparison"]
    classes = comparison["class_scores"]
    assert classes["top1_agreement"] >= 0.9
    assert abs(classes["accuracy_int8"] - classes["accuracy_float"]) <= 0.1


def test_the_runtime_gives_labels_as_keras_does(converted):
    source, file = converted
    frames = smooth_frames((32, 32, 1), 10, seed=9)
    keras_scores = keras.models.load_model(source).predict(frames / np.float32(255), verbose=0)[3]
    with Rectifier(file) as rectifier:
        results = [rectifier.rectify(frame[..., 0]) for frame in frames]
    found = np.stack([r.class_scores for r in results])
    np.testing.assert_allclose(found, keras_scores, atol=0.15)
    sure = np.sort(keras_scores)[:, -1] - np.sort(keras_scores)[:, -2] > 0.3
    assert sure.any()
    for result, scores in zip(np.array(results)[sure], keras_scores[sure], strict=True):
        assert result.label == LABELS[scores.argmax()]
    assert all(r.label_score == pytest.approx(s.max()) for r, s in zip(results, found, strict=True))


def test_without_a_target_there_is_no_label(converted, tmp_path):
    """As with a recognizer in a file of its own. Read with this zero point, every score is 0."""
    model = ModelFile.open(converted[1])
    score = replace(model.metadata.score, zero_point=127)
    metadata = replace(model.metadata, outputs=replace(model.metadata.outputs, score=score))
    (tmp_path / "none.tflite").write_bytes(pack(model.flatbuffer, metadata, LABELS))
    frame = smooth_frames((32, 32, 1), 1)[0, ..., 0]
    with Rectifier(converted[1]) as sure, Rectifier(tmp_path / "none.tflite") as rectifier:
        found, none = sure.rectify(frame), rectifier.rectify(frame)
    np.testing.assert_array_equal(none.corners, found.corners)
    assert (none.score, none.label, none.class_scores) == (0, None, None)
    assert found.label in LABELS


@pytest.mark.slow
@pytest.mark.parametrize(("last", "activation"), [("linear", "logits"), ("sigmoid", "sigmoid")])
def test_the_runtime_knows_what_the_scores_are(tmp_path, last, activation):
    source = save_recognizing_model(tmp_path, last, activation=last)
    convert(source, tmp_path, ConversionOptions(calibration=save_frames(tmp_path, (32, 32, 1)), latency=False))
    model = ModelFile.open(tmp_path / f"{last}.tflite")
    assert model.metadata.class_scores.activation == activation
    frame = smooth_frames((32, 32, 1))[0]
    raw = keras.models.load_model(source).predict(frame[None] / np.float32(255), verbose=0)[3][0]
    expected = raw if last == "sigmoid" else np.exp(raw) / np.exp(raw).sum()
    with Rectifier(model.path) as rectifier:
        result = rectifier.rectify(frame[..., 0])
    np.testing.assert_allclose(result.class_scores, expected, atol=0.1)
    assert result.label == str(result.class_scores.argmax())


def test_the_proof_finds_a_recognizer_that_is_not_the_one_alone(tmp_path, monkeypatch):
    """A real defect: one weight of the recognizer in the file is not the one it should be."""
    source = save_recognizing_model(tmp_path, "reader")

    def prove_a_damaged_file(flatbuffer, networks):
        model, alone = read_model(flatbuffer), read_model(networks[0].assembly.recognizer)
        weights = max((b for b in alone.buffers if b.data is not None), key=lambda b: len(b.data))
        (buffer,) = (b for b in model.buffers if b.data is not None and bytes(b.data) == bytes(weights.data))
        buffer.data = (np.frombuffer(bytes(buffer.data), np.int8) // 2).view(np.uint8)
        return proof.prove(write_model(model), networks)

    monkeypatch.setattr(conversion, "prove", prove_a_damaged_file)
    with pytest.raises(ModelFileError, match="class_scores of frame 0"):
        convert(source, tmp_path, ConversionOptions(calibration=save_frames(tmp_path, (32, 32, 1)), latency=False))


def test_a_score_that_is_no_probability_is_refused(tmp_path):
    model = lightweight_stn((32, 32, 1), width=0.5, features=8, score=False)
    enliven(model)
    score = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(model.get_layer("theta").input)
    keras.Model(model.inputs, [*model.outputs, score]).save(tmp_path / "odd.keras")
    with pytest.raises(ModelFileError, match="end it with a sigmoid"):
        convert(tmp_path / "odd.keras", tmp_path, ConversionOptions(calibration=save_frames(tmp_path, (32, 32, 1))))


def test_options_that_contradict_a_recognizer_are_refused(tmp_path):
    source = save_recognizing_model(tmp_path, "reader")
    frames = save_frames(tmp_path, (32, 32, 1))
    with pytest.raises(UsageError, match="--pose-only leaves the sampler out, but a recognizer follows it"):
        convert(source, tmp_path, ConversionOptions(calibration=frames, pose_only=True))
    with pytest.raises(UsageError, match="--labels has 2 lines, its recognizer 5 classes"):
        convert(source, tmp_path, ConversionOptions(calibration=frames, labels=("a", "b")))


def test_a_network_that_reads_something_else_is_not_appended():
    other = FlatbufferGraph()
    image = other.input((1, 4, 4, 1), "int8", Quantization(1 / 255, -128))
    flatbuffer = other.finish({"image": image}, {"same": other.reshape(image, (16,))})
    graph = FlatbufferGraph()
    frame = graph.input((1, 4, 4, 1), "int8", Quantization(1 / 128, 0))
    with pytest.raises(ModelFileError, match="reads"):
        append_network(graph, flatbuffer, frame, "recognizer")
