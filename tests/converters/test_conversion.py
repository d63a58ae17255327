"""Keras STN → file, end to end, with the real quantizer and the real interpreters."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.converters.assembly import assemble
from stn_rectify.converters.conversion import _joined, convert
from stn_rectify.converters.networks.stn import read_stn
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.calibration import read_frames
from stn_rectify.converters.tflite.object_tree import operator_name, read_model
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.models import AffineGrid, BilinearSampler, ProjectiveGrid, lightweight_stn
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from tests.converters.keras_models import save_frames, save_model, smooth_frames
from tests.slow_tests import quick_ones


def run(source, out, frames, **options):
    return convert(source, out, ConversionOptions(calibration=frames, latency=False, **options))


VARIANTS = {
    "projective": ((32, 32, 3), {"transform": "projective"}),
    "affine, border": ((32, 32, 3), {"transform": "affine", "padding": "border"}),
    "grey, non-square, smaller output": ((40, 64, 1), {"transform": "projective", "output_shape": (24, 32)}),
    "localization on a smaller copy": ((100, 100, 3), {"transform": "affine", "localization_shape": (32, 32)}),
    "flatten, no score": ((64, 64, 3), {"localization": "flatten", "score": False}),
    "pooled, thin-plate spline": ((32, 32, 3), {"localization": "pooled", "transform": "tps"}),
    "six channels": ((32, 32, 6), {"transform": "projective"}),
}


@pytest.mark.parametrize(
    "variant", quick_ones(VARIANTS, "grey, non-square, smaller output", "pooled, thin-plate spline")
)
def test_a_model_converts_and_is_proved(tmp_path, variant):
    shape, options = variant
    source = save_model(tmp_path, "stn", shape, **options)
    frames = save_frames(tmp_path, shape)
    run(source, tmp_path / "out", frames)
    report = json.loads((tmp_path / "out" / "stn.report.json").read_text())
    assert report["passed"]
    assert report["proof"]["checks"][0] == {"name": "float tensors", "passed": True, "found": "0"}
    assert any("equals the integer reference" in check["found"] for check in report["proof"]["checks"])
    assert report["networks"][0]["comparison"]["levels_max"] <= 2
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


@pytest.mark.slow
def test_another_value_range_keeps_its_zero_as_the_margin(tmp_path):
    source, frames = save_model(tmp_path, "stn", transform="projective"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, value_range=(-1.0, 1.0))
    spec = ModelFile.open(tmp_path / "stn.tflite").metadata.input
    assert spec.value_range == (-1, 1)
    assert spec.zero_point in (-1, 0)
    assert json.loads((tmp_path / "stn.report.json").read_text())["networks"][0]["comparison"]["levels_max"] <= 2


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


@pytest.mark.slow
def test_labels_and_description_are_appended(tmp_path):
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, labels=("left", "right"), description="a test")
    model = ModelFile.open(tmp_path / "stn.tflite")
    assert model.labels == ("left", "right")
    assert model.metadata.description == "a test"
    with zipfile.ZipFile(tmp_path / "stn.tflite") as archive:
        assert sorted(archive.namelist()) == ["labels.txt", "metadata.json"]


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


@pytest.mark.slow
def test_the_converter_feeds_a_file_what_the_device_feeds_it(tmp_path):
    """With values from -1 to 1 every level is a tie; the device rounds them all inwards."""
    source, frames = save_model(tmp_path, "stn"), save_frames(tmp_path, (32, 32, 3))
    run(source, tmp_path, frames, value_range=(-1.0, 1.0))
    spec = ModelFile.open(tmp_path / "stn.tflite").metadata.input
    ramp = np.resize(np.arange(256, dtype=np.uint8), (32, 32, 3))
    calibration = read_frames(frames, (32, 32, 3), (-1.0, 1.0))
    parts = read_stn(source, ConversionOptions(calibration=frames))
    assembly = assemble(parts, calibration, (-1.0, 1.0), pose_only=True, refit=False)
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


@pytest.mark.slow
def test_a_pose_that_does_not_depend_on_the_frame_is_a_warning(tmp_path):
    """As when a model that wants 0 to 255 is fed 0 to 1."""
    frames = save_frames(tmp_path, (32, 32, 3), 24)
    lightweight_stn((32, 32, 3), width=0.5, features=8).save(tmp_path / "still.keras")
    run(tmp_path / "still.keras", tmp_path / "out", frames)
    run(save_model(tmp_path, "moving"), tmp_path / "out", frames)
    said = [json.loads((tmp_path / "out" / f"{n}.report.json").read_text())["warnings"] for n in ("still", "moving")]
    assert "theta hardly varies" in said[0][0]
    assert "--value-range" in said[0][0]
    assert said[1] == []


@pytest.mark.parametrize(
    ("learned", "tone", "said"),
    [(1.0, "good", "integers proved · corners 0."), (0.3, "doubtful", "doubtful · corners 4."), (0.0, "doubtful", "")],
    ids=["well trained", "badly trained", "untrained"],
)
def test_the_report_says_what_a_network_has_learned(tmp_path, learned, tone, said):
    """The target is as far to the right as the frame is bright; the network follows it all the way, or not."""
    shift = 0.8  # of a white frame, half frames
    frame = keras.Input((32, 32, 1))
    theta = keras.layers.Dense(6, name="theta")(keras.layers.GlobalAveragePooling2D()(frame))
    rectified = BilinearSampler()([frame, AffineGrid((32, 32), (16, 16))(theta)])
    model = keras.Model(frame, [rectified, theta])
    kernel = np.zeros((1, 6))
    kernel[0, 2] = learned * shift
    model.get_layer("theta").set_weights([kernel, np.array([0.5, 0, 0, 0, 0.5, 0.0])])
    model.save(tmp_path / "follows.keras")
    brightness = np.linspace(0, 255, 24).astype(np.uint8)
    middle = np.array([[8, 8], [24, 8], [24, 24], [8, 24]]) - 0.5
    corners = middle + np.stack([shift * 16 * brightness / 255, np.zeros(24)], axis=-1)[:, None]
    np.savez(tmp_path / "frames.npz", frames=np.full((24, 32, 32, 1), brightness[:, None, None, None]), corners=corners)
    conversion = run(tmp_path / "follows.keras", tmp_path / "out", tmp_path / "frames.npz")
    report = json.loads((tmp_path / "out" / "follows.report.json").read_text())
    assert conversion.proof.passed
    assert report["verdict"]["tone"] == conversion.verdict.tone == tone
    assert report["networks"][0]["comparison"]["true_spread_px"] == pytest.approx(3.3, abs=0.2)
    assert said in str(conversion)
    assert report["verdict"]["headline"] in str(conversion)
    assert any("theta hardly varies" in doubt for doubt in report["verdict"]["doubts"]) == (learned == 0)


class _Unconvertible:
    """A network behind the first that cannot become integers."""

    source = Path("stn.refine.keras")
    signature = "refine"

    @property
    def flatbuffer(self):
        raise ModelFileError("layer 'memory' (LSTM) needs WHILE")


def test_an_error_of_a_further_network_names_its_file():
    with pytest.raises(ModelFileError, match=r"stn\.refine\.keras: layer 'memory' \(LSTM\) needs WHILE"):
        _joined([SimpleNamespace(flatbuffer=b"", before=None), _Unconvertible()])
