"""Models, frames and files that are refused: by layer and reason, by thresholds, and by the proof."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from stn_rectify.converters import conversion
from stn_rectify.converters.proof import proof
from stn_rectify.converters.tflite.builtin_operators import VERSIONS
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.object_tree import read_model, schema, write_model
from stn_rectify.models import AffineGrid, BilinearSampler
from stn_rectify.models.files import RECOGNIZER
from stn_rectify.models.network.keras_file import save_model as save_kind
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.keras_models import save_frames, save_model, stn_with_trunk
from tests.converters.test_conversion import run


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-200])
    return file


def write(file, array):
    np.save(file, array)
    return file


@pytest.mark.slow
def test_an_existing_file_is_kept_unless_overwrite_is_given(tmp_path):
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    (tmp_path / "stn.tflite").write_text("precious")
    with pytest.raises(UsageError, match="--overwrite"):
        run(source, tmp_path, frames)
    assert (tmp_path / "stn.tflite").read_text() == "precious"
    run(source, tmp_path, frames, overwrite=True)
    assert ModelFile.open(tmp_path / "stn.tflite")


def test_a_file_that_fails_its_proof_is_not_written_under_its_name(tmp_path, monkeypatch):
    """A real defect: one number of the head in the file is not the one it should be."""
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))

    def prove_a_damaged_file(flatbuffer, networks):
        model, head = read_model(flatbuffer), networks[0].assembly.head
        damaged = head.bias.copy()
        damaged[-1] += 1 << 20
        (buffer,) = (b for b in model.buffers if b.data is not None and bytes(b.data) == head.bias.tobytes())
        buffer.data = np.frombuffer(damaged.tobytes(), np.uint8)
        return proof.prove(write_model(model), networks)

    monkeypatch.setattr(conversion, "prove", prove_a_damaged_file)
    with pytest.raises(ModelFileError, match="12 differ: theta of frame 0"):
        run(source, tmp_path / "out", frames)
    written = sorted(f.name for f in (tmp_path / "out").iterdir())
    assert written == ["stn.report.html", "stn.report.json"]
    assert not json.loads((tmp_path / "out" / "stn.report.json").read_text())["passed"]


@pytest.mark.slow
def test_a_model_beyond_a_threshold_is_not_written_under_its_name(tmp_path):
    source = save_model(tmp_path, "stn")
    inside = np.tile(np.array([[8.0, 8], [23, 8], [23, 23], [8, 23]]), (12, 1, 1))
    frames = save_frames(tmp_path, (32, 32, 3), corners=inside)
    with pytest.raises(ModelFileError, match="corner error"):
        run(source, tmp_path / "out", frames, max_corner_error=1e-6)
    assert not (tmp_path / "out" / "stn.tflite").exists()
    assert run(source, tmp_path / "out", frames, max_corner_error=5.0, min_coverage=0.1).proof.passed


def _without_sampler(image):
    return keras.layers.Conv2D(3, 1)(image)


def _posed_by_a_map(image):
    """Each pixel has a place of its own: there is no θ."""
    places = keras.layers.Conv2D(2, 1, name="places")(image)
    return BilinearSampler()([image, 3.0 * places])


def _of_bytes_again(image):
    theta = keras.layers.Dense(6)(keras.layers.Flatten()(image))
    rectified = BilinearSampler()([image, AffineGrid((8, 8), (8, 8))(theta)])
    return keras.ops.cast(255 * rectified, "uint8")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_without_sampler, "has no sampler: nothing in it reads an image at places that depend on the frame"),
        (_posed_by_a_map, "there is no theta; end the localization network with a Dense layer"),
        (_of_bytes_again, "is no float32 tensor .* of fixed size; save the model without it"),
    ],
)
def test_a_model_that_cannot_be_converted_is_refused_by_layer_and_reason(tmp_path, build, message):
    image = keras.Input((8, 8, 3))
    keras.Model(image, build(image)).save(tmp_path / "odd.keras")
    frames = save_frames(tmp_path, (8, 8, 3))
    with pytest.raises(ModelFileError, match=message):
        run(tmp_path / "odd.keras", tmp_path / "out", frames)
    assert not (tmp_path / "out" / "odd.tflite").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing", "no such calibration"),
        (lambda folder: folder, "no images for calibration"),
        (lambda folder: save_frames(folder, (16, 16, 3)), "the model needs uint8"),
        (lambda folder: cut_short(save_frames(folder, (32, 32, 3))), "not an .npz file"),
        (lambda folder: write(folder / "a.npy", np.zeros(3)), "not an .npz file"),
    ],
    ids=["missing", "no images", "wrong size", "cut short", "one array"],
)
def test_bad_calibration_is_one_clear_line(tmp_path, make, message):
    folder = tmp_path / "calibration"
    folder.mkdir()
    source = save_model(tmp_path, "stn")
    with pytest.raises(DataError, match=message):
        run(source, tmp_path / "out", make(folder))


def test_the_proof_finds_floats_custom_operators_and_new_versions():
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    flatbuffer = graph.finish({"frame": frame}, {"wide": graph.cast(frame, "float32")})
    assert "float tensors: 1" in proof.prove(flatbuffer, []).failures

    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    wide = graph.cast(frame, "int32")
    graph.model.operatorCodes[0].version = VERSIONS["CAST"] + 1
    result = proof.prove(graph.finish({"frame": frame}, {"wide": wide}), [])
    assert "CAST v6" in result.failures

    graph.model.operatorCodes[0].customCode = "FlexCast"
    graph.model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    result = proof.prove(graph.finish({"frame": frame}, {"wide": wide}), [])
    assert "CUSTOM:FlexCast" in result.failures


def test_the_proof_finds_a_constant_of_the_wrong_size():
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    sum_ = graph.add(graph.cast(frame, "int32"), graph.constant([[1, 2, 3, 4]]))
    model = read_model(graph.finish({"frame": frame}, {"sum": sum_}))
    next(b for b in model.buffers if b.data is not None and len(b.data) == 16).data = np.zeros(12, np.uint8)
    checks = {check.name: check for check in proof.inspect_file(write_model(model))}
    assert not checks["sizes of constants"].passed


def test_a_layer_that_gives_only_zeros_is_refused_by_name(tmp_path):
    dead = keras.initializers.Constant(-100.0)
    trunk = keras.layers.Conv2D(4, 3, activation="relu", bias_initializer=dead, name="dead_layer")
    stn_with_trunk(trunk).save(tmp_path / "dead.keras")
    with pytest.raises(ModelFileError, match=r"computes nothing in .*dead_layer"):
        run(tmp_path / "dead.keras", tmp_path / "out", save_frames(tmp_path, (16, 16, 3)))


def test_a_file_of_another_kind_than_its_name_says_is_refused(tmp_path):
    file = tmp_path / "plate.keras"
    save_kind(stn_with_trunk(keras.layers.Conv2D(4, 3, activation="relu")), file, RECOGNIZER)
    with pytest.raises(DataError, match=r"holds a recognizer network, .*: rename it to plate\.recognizer\.keras"):
        run(file, tmp_path / "out", save_frames(tmp_path, (16, 16, 3)))
