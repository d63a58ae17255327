"""Keras STN → file, end to end, with the real quantizer and the real interpreters."""

from __future__ import annotations

import json
import zipfile

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.converters import conversion, proof
from stn_rectify.converters.assembly import assemble
from stn_rectify.converters.builtin_operators import VERSIONS
from stn_rectify.converters.calibration import read_frames
from stn_rectify.converters.conversion import ConversionOptions, convert
from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph
from stn_rectify.converters.flatbuffer_model import operator_name, read_model, write_model
from stn_rectify.converters.quantizer import quantize
from stn_rectify.converters.schema import schema
from stn_rectify.converters.stn_source import read_stn
from stn_rectify.models import AffineGrid, BilinearSampler, ProjectiveGrid, lightweight_stn
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model_file import ModelFile
from stn_rectify.runtime.preprocess import Preprocessor
from tests.converters.keras_models import save_frames, save_model, smooth_frames, stn_with_trunk


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-200])
    return file


def write(file, array):
    np.save(file, array)
    return file


def run(source, out, frames, **options):
    return convert(source, out, ConversionOptions(calibration=frames, latency=False, **options))


VARIANTS = [
    pytest.param((32, 32, 3), {"transform": "projective"}, id="projective"),
    pytest.param((32, 32, 3), {"transform": "affine", "padding": "border"}, id="affine, border"),
    pytest.param(
        (40, 64, 1),
        {"transform": "projective", "output_shape": (24, 32)},
        id="grey, non-square, smaller output",
    ),
    pytest.param(
        (100, 100, 3),
        {"transform": "affine", "localization_shape": (32, 32)},
        id="localization on a smaller copy",
    ),
    pytest.param((64, 64, 3), {"localization": "flatten", "score": False}, id="flatten, no score"),
    pytest.param((32, 32, 3), {"localization": "pooled", "transform": "tps"}, id="pooled, thin-plate spline"),
    pytest.param((32, 32, 6), {"transform": "projective"}, id="six channels"),
]


@pytest.mark.parametrize(("shape", "options"), VARIANTS)
def test_a_model_converts_and_is_proved(tmp_path, shape, options):
    source = save_model(tmp_path, "stn", shape, **options)
    frames = save_frames(tmp_path, shape)
    run(source, tmp_path / "out", frames)
    report = json.loads((tmp_path / "out" / "stn.report.json").read_text())
    assert report["passed"]
    assert report["proof"]["checks"][0] == {"name": "float tensors", "passed": True, "found": "0"}
    assert any("equals the integer reference" in check["found"] for check in report["proof"]["checks"])
    assert report["comparison"]["levels_max"] <= 2
    model = ModelFile.open(tmp_path / "out" / "stn.tflite")
    assert model.metadata.kind == "in-graph"
    assert (model.metadata.score is not None) == options.get("score", True)
    assert cv2.imread(str(tmp_path / "out" / "stn.png")) is not None
    assert "<html" in (tmp_path / "out" / "stn.report.html").read_text()


def test_pose_only_gives_the_same_theta_bit_for_bit(tmp_path, interpreter):
    source, frames = save_model(tmp_path, "stn", transform="projective"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path / "in", frames)
    run(source, tmp_path / "pose", frames, pose_only=True)
    in_graph, pose_only = (ModelFile.open(tmp_path / kind / "stn.tflite") for kind in ("in", "pose"))
    assert pose_only.metadata.kind == "pose-only"
    assert pose_only.metadata.rectified is None
    inputs = (np.load(frames)["frames"] ^ 128).view(np.int8)
    thetas = []
    for model in (in_graph, pose_only):
        interpreter.load(model.flatbuffer)
        thetas.append([interpreter.run({"frame": frame[None]})["theta"] for frame in inputs])
    np.testing.assert_array_equal(*thetas)
    assert np.ptp(thetas[0], axis=0).max() > 0  # they do depend on the frame


def test_the_input_takes_bytes_as_they_are(tmp_path):
    """Scale 1/255 and zero point -128: uint8 → int8 is a flip of the top bit."""
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames)
    spec = ModelFile.open(tmp_path / "stn.tflite").metadata.input
    assert spec.scale == pytest.approx(1 / 255, rel=1e-6)
    assert spec.zero_point == -128


def test_another_value_range_keeps_its_zero_as_the_margin(tmp_path):
    source, frames = save_model(tmp_path, "stn", transform="projective"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, value_range=(-1.0, 1.0))
    spec = ModelFile.open(tmp_path / "stn.tflite").metadata.input
    assert spec.value_range == (-1, 1)
    assert spec.zero_point in (-1, 0)
    assert json.loads((tmp_path / "stn.report.json").read_text())["comparison"]["levels_max"] <= 2


def test_a_trunk_of_other_layers_converts(tmp_path):
    """Channels split, transformed apart and joined: a localization network of somebody else."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, strides=4, activation="relu")(image)
    a, b = keras.ops.split(x, 2, axis=-1)
    x = keras.layers.Concatenate()([keras.layers.MaxPooling2D(2)(a), keras.layers.AveragePooling2D(2)(b)])
    x = keras.layers.Dense(12, activation="tanh")(keras.layers.Flatten()(x))
    bias = keras.initializers.Constant(np.array([1, 0, 0, 0, 1, 0.0]))
    theta = keras.layers.Dense(6, bias_initializer=bias)(x)
    rectified = BilinearSampler("border")([image, AffineGrid((32, 32), (20, 24))(theta)])
    keras.Model(image, [rectified, theta]).save(tmp_path / "other.keras")
    frames = save_frames(tmp_path, (32, 32, 3))
    assert run(tmp_path / "other.keras", tmp_path / "out", frames).proof.passed


def test_labels_and_description_are_appended(tmp_path):
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, labels=("left", "right"), description="a test")
    model = ModelFile.open(tmp_path / "stn.tflite")
    assert model.labels == ("left", "right")
    assert model.metadata.description == "a test"
    with zipfile.ZipFile(tmp_path / "stn.tflite") as archive:
        assert sorted(archive.namelist()) == ["labels.txt", "metadata.json"]


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

    def prove_a_damaged_file(flatbuffer, head, *others):
        model = read_model(flatbuffer)
        damaged = head.bias.copy()
        damaged[-1] += 1 << 20
        (buffer,) = (b for b in model.buffers if b.data is not None and bytes(b.data) == head.bias.tobytes())
        buffer.data = np.frombuffer(damaged.tobytes(), np.uint8)
        return proof.prove(write_model(model), head, *others)

    monkeypatch.setattr(conversion, "prove", prove_a_damaged_file)
    with pytest.raises(ModelFileError, match="12 differ: theta of frame 0"):
        run(source, tmp_path / "out", frames)
    written = sorted(f.name for f in (tmp_path / "out").iterdir())
    assert written == ["stn.report.html", "stn.report.json"]
    assert not json.loads((tmp_path / "out" / "stn.report.json").read_text())["passed"]


def test_a_model_beyond_a_threshold_is_not_written_under_its_name(tmp_path):
    source = save_model(tmp_path, "stn")
    inside = np.tile(np.array([[8.0, 8], [23, 8], [23, 23], [8, 23]]), (12, 1, 1))
    frames = save_frames(tmp_path, (32, 32, 3), corners=inside)
    with pytest.raises(ModelFileError, match="corner error"):
        run(source, tmp_path / "out", frames, max_corner_error=1e-6)
    assert not (tmp_path / "out" / "stn.tflite").exists()
    assert run(source, tmp_path / "out", frames, max_corner_error=5.0, min_coverage=0.1).proof.passed


def _with_sigmoid_theta(image):
    theta = keras.layers.Dense(6, activation="sigmoid", name="tutorial_theta")(keras.layers.Flatten()(image))
    return BilinearSampler()([image, AffineGrid((8, 8), (8, 8))(theta)])


def _without_sampler(image):
    return keras.layers.Conv2D(3, 1)(image)


def _sampling_inside(image):
    features = keras.layers.Conv2D(4, 1, name="earlier")(image)
    theta = keras.layers.Dense(6)(keras.layers.Flatten()(image))
    return BilinearSampler()([features, AffineGrid((8, 8), (8, 8))(theta)])


def _followed_by_a_layer(image):
    theta = keras.layers.Dense(6)(keras.layers.Flatten()(image))
    rectified = BilinearSampler()([image, AffineGrid((8, 8), (8, 8))(theta)])
    return keras.layers.Conv2D(2, 1, name="recognizer")(rectified)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_with_sigmoid_theta, "tutorial_theta"),
        (_without_sampler, "0 BilinearSampler"),
        (_sampling_inside, "earlier"),
        (_followed_by_a_layer, "recognizer"),
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
    assert "float tensors: 1" in proof.prove(flatbuffer, None, None, np.zeros((0, 1), np.int8)).failures

    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    wide = graph.cast(frame, "int32")
    graph.model.operatorCodes[0].version = VERSIONS["CAST"] + 1
    result = proof.prove(graph.finish({"frame": frame}, {"wide": wide}), None, None, np.zeros((0, 1), np.int8))
    assert "CAST v6" in result.failures

    graph.model.operatorCodes[0].customCode = "FlexCast"
    graph.model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    result = proof.prove(graph.finish({"frame": frame}, {"wide": wide}), None, None, np.zeros((0, 1), np.int8))
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


def test_residual_additions_do_not_widen_the_range_of_what_they_add(tmp_path):
    """TensorFlow's calibration would see the sum where the second operand was: up to 12 after a ReLU6."""
    frame = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 1, activation="relu6", kernel_initializer=keras.initializers.Constant(3.0))(frame)
    branch = keras.layers.Conv2D(8, 1, activation="relu6", kernel_initializer=keras.initializers.Constant(1.0))(x)
    model = keras.Model(frame, keras.layers.Conv2D(4, 1)(keras.layers.Add()([x, branch])))
    frames = smooth_frames((16, 16, 3)) / np.float32(255)
    written = read_model(quantize(lambda image: {"sum": model(image)}, frames, (0.0, 1.0), "model"))
    graph = written.subgraphs[0]
    (add,) = (op for op in graph.operators if operator_name(written.operatorCodes[op.opcodeIndex]) == "ADD")
    ranges = [255 * float(graph.tensors[t].quantization.scale[0]) for t in (*add.inputs, *add.outputs)]
    assert ranges == pytest.approx([6.0, 6.0, 12.0], rel=0.01)


def test_the_converter_feeds_a_file_what_the_device_feeds_it(tmp_path):
    """With values from -1 to 1 every level is a tie; the device rounds them all inwards."""
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, value_range=(-1.0, 1.0))
    spec = ModelFile.open(tmp_path / "stn.tflite").metadata.input
    ramp = np.resize(np.arange(256, dtype=np.uint8), (32, 32, 3))
    calibration = read_frames(frames, (32, 32, 3), (-1.0, 1.0))
    assembly = assemble(read_stn(source), calibration, (-1.0, 1.0), pose_only=True, refit=False)
    fed = assembly.quantize_frames((ramp / np.float32(127.5) - 1)[None])
    np.testing.assert_array_equal(fed, Preprocessor(spec).network_input(ramp[..., ::-1]))
    assert len(np.unique(fed)) >= 255


def test_one_wild_pose_does_not_fail_a_sound_model(tmp_path):
    """A pose beyond what the integers hold is left out of the sampler's check."""
    frame = keras.Input((16, 16, 3))
    theta = keras.layers.Dense(8, name="theta")(keras.layers.GlobalAveragePooling2D()(frame))
    rectified = BilinearSampler()([frame, ProjectiveGrid((16, 16), (16, 16))(theta)])
    model = keras.Model(frame, [rectified, theta])
    kernel = np.zeros((3, 8))
    kernel[:, 2] = 100.0  # shifted by hundreds of frames when bright, hardly moved when dark
    model.get_layer("theta").set_weights([kernel, np.array([1, 0, 0, 0, 1, 0, 0, 0.0])])
    model.save(tmp_path / "wild.keras")
    frames = smooth_frames((16, 16, 3), 30) // 100
    frames[7] = 255
    np.savez(tmp_path / "frames.npz", frames=frames)
    assert run(tmp_path / "wild.keras", tmp_path / "out", tmp_path / "frames.npz").proof.passed


def test_a_pose_that_does_not_depend_on_the_frame_is_a_warning(tmp_path):
    """As when a model that wants 0 to 255 is fed 0 to 1."""
    frames = save_frames(tmp_path, (32, 32, 3), 24)
    lightweight_stn((32, 32, 3), width=0.5, features=8).save(tmp_path / "still.keras")
    run(tmp_path / "still.keras", tmp_path / "out", frames)
    run(save_model(tmp_path, "moving"), tmp_path / "out", frames)
    said = [json.loads((tmp_path / "out" / f"{n}.report.json").read_text())["warnings"] for n in ("still", "moving")]
    assert "--value-range" in said[0][0]
    assert said[1] == []
