"""A dense localization network becomes a file of several levels that share their weights: proved, compared, refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from stn_rectify.converters import conversion
from stn_rectify.converters.cli import main
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.networks.dense import frames_of_all_levels, pyramid
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.report.comparisons.dense_comparison import (
    Candidates,
    DenseComparison,
    Differences,
    LevelComparison,
    cell_corners,
    dense_gate,
    thinned_candidates,
)
from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.converters.tflite.resizing import with_sizes
from stn_rectify.models.files import DENSE
from stn_rectify.models.network.dense import dense_localization
from stn_rectify.models.network.keras_file import save_model
from stn_rectify.runtime import ModelFile, ModelFileError
from tests.converters.conversion_commands import manifest, save_tiny_model, save_tiny_refine
from tests.converters.keras_models import save_frames, smooth_frames
from tests.slow_tests import quick_ones

SHAPE = (128, 160, 3)
#: Height and width of each level of a network of that shape.
LEVELS = ((256, 320), (128, 160), (64, 80))
SIGNATURES = ("serving_default", "dense_160x128", "dense_80x64")


def lively_dense(shape=SHAPE, scores=1) -> keras.Model:
    """A small network whose scores and corners vary from cell to cell."""
    keras.utils.set_random_seed(4)
    model = dense_localization(shape, scores=scores, width=0.25)
    rng = np.random.default_rng(0)
    frames = smooth_frames(shape, 4, seed=3) / np.float32(255)
    square = np.array([-1, -1, 1, -1, 1, 1, -1, 1])
    for name, spread, middle in (("scores", 1.5, 0.0), ("corners", 0.3, square)):
        layer = model.get_layer(name)
        features = keras.Model(model.inputs, layer.input).predict(frames, verbose=0)
        kernel = rng.normal(0, 1, layer.kernel.shape)
        made = features @ kernel[0, 0]
        layer.kernel.assign(kernel * spread / made.std(axis=(0, 1, 2)))
        layer.bias.assign(middle - spread * made.mean(axis=(0, 1, 2)) / made.std(axis=(0, 1, 2)))
    return model


def save_source(folder: Path, model: keras.Model) -> Path:
    file = folder / "everywhere.keras"
    save_model(model, file, DENSE)
    save_frames(folder, tuple(model.input_shape[1:]), 24)
    return file


def options(folder: Path, **chosen) -> ConversionOptions:
    return ConversionOptions(**{"calibration": folder / "frames3.npz", "latency": False, **chosen})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A dense network, a refine network beside it, and frames for both."""
    file = save_source(tmp_path_factory.mktemp("dense"), lively_dense())
    save_tiny_refine(file)
    return file


@pytest.fixture(scope="module")
def built(source):
    """The folder with what the command makes of it."""
    arguments = [source, "--out", source.parent / "build", "--calibration", source.parent / "frames3.npz"]
    assert main([*map(str, arguments), "--min-score", "0.62", "--refine-passes", "2"]) == 0
    return source.parent / "build"


def test_the_file_says_what_is_in_it(built):
    file = ModelFile.open(built / "everywhere.tflite")
    metadata = file.metadata
    assert (metadata.kind, metadata.outputs, metadata.min_score, metadata.refine.passes) == ("dense", None, 0.62, 2)
    levels = [(level.signature, (level.height, level.width)) for level in metadata.dense.levels]
    assert levels == list(zip(SIGNATURES, LEVELS, strict=True))
    assert (metadata.input.height, metadata.input.width) == LEVELS[0]
    assert (metadata.dense.stride, metadata.dense.unit) == (8, 32.0)
    assert (metadata.dense.score.scale, metadata.dense.score.zero_point) == (1 / 256, -128)
    assert (len(file.level_signatures), file.networks) == (3, 2)


def test_each_level_says_what_keras_says_at_its_size(built, interpreter):
    file = ModelFile.open(built / "everywhere.tflite")
    dense, weights = file.metadata.dense, lively_dense().get_weights()
    interpreter.load(file.flatbuffer)
    for level in dense.levels:
        shape = (level.height, level.width, 3)
        network = dense_localization(shape, scores=1, width=0.25)
        network.set_weights(weights)
        frames = smooth_frames(shape, 3, seed=8)
        logits, corners = network.predict(frames / np.float32(255), verbose=0)
        runs = [
            interpreter.run({"frame": (frame.astype(int) - 128).astype(np.int8)[None]}, level.signature)
            for frame in frames
        ]
        scores = (np.concatenate([run["score"] for run in runs]).astype(float) + 128) / 256
        found = np.concatenate([run["corners"] for run in runs]).astype(float) - dense.corners.zero_point
        assert np.std(1 / (1 + np.exp(-logits))) > 0.1
        assert np.abs(scores - 1 / (1 + np.exp(-logits))).mean() < 0.03
        assert np.abs(found * dense.corners.scale - corners).mean() < 0.05 * np.std(corners) + dense.corners.scale


def test_every_level_is_proved_and_the_constants_are_there_once(built):
    report = json.loads((built / "everywhere.report.json").read_text())
    assert report["passed"]
    checks = {check["name"]: check["found"] for check in report["proof"]["checks"]}
    for words in ("", ", dense_160x128 network", ", dense_80x64 network"):
        bits = [found for name, found in checks.items() if name.startswith("bits on") and f"frames{words}, t" in name]
        assert bits
        assert all(found.endswith("equals the network that TensorFlow quantized") for found in bits)
    assert "in all 3" in checks["constants shared by the levels"]
    networks = {network["kind"]: network for network in report["networks"]}
    assert set(networks) == {"dense", "refine"}
    comparison = networks["dense"]["comparison"]
    assert [level["cells"] > 0 for level in comparison["levels"]] == [True, True, True]
    own = comparison["levels"][comparison["own_level"]]
    assert (own["width"], own["frames"], own["signature"]) == (160, 24, "dense_160x128")
    assert 0 < own["score"]["mean"] < 0.05
    assert 0 < comparison["corners_mean_px"] < 1.5
    macs = [level["macs"] for level in networks["dense"]["levels"]]
    assert macs[0] == 4 * macs[1] == 16 * macs[2]
    assert report["metadata"]["macs"] == networks["dense"]["cost"]["macs"] == macs[1] + macs[2]
    assert all(latency["speed"] > 0 for latency in report["latency"])
    page = (built / "everywhere.report.html").read_text()
    assert "What both find, level by level" in page
    assert page.count('<img src="data:image/png') == 3
    assert (built / "everywhere.png").stat().st_size > 10_000
    assert manifest(built)["everywhere"]["result"] == "passed"


def test_a_further_level_takes_a_few_kilobytes(built):
    flatbuffer = ModelFile.open(built / "everywhere.tflite").flatbuffer
    model = read_model(flatbuffer)
    model.subgraphs, model.signatureDefs = model.subgraphs[1:2], model.signatureDefs[1:2]
    model.signatureDefs[0].subgraphIndex = 0
    alone = write_model(model)
    many = with_sizes(alone, LEVELS, SIGNATURES)
    assert len(many) < len(alone) + 2 * 4000
    assert proof.held_once(many, 3).passed


@pytest.mark.parametrize("subgraph", quick_ones({"finest level": 0, "coarsest level": 2}, "coarsest level"))
def test_a_level_that_computes_something_else_fails_the_proof(source, built, tmp_path, subgraph):
    networks = read_networks(source, options(source.parent))
    model = read_model(ModelFile.open(built / "everywhere.tflite").flatbuffer)
    tensor = next(t for t in model.subgraphs[subgraph].tensors if t.name.decode() == "corners")
    tensor.quantization.scale = np.float32(tensor.quantization.scale) * np.float32(1.5)
    parts = [part for network in networks for part in network.provable]
    checks = proof.prove(write_model(model), parts).checks
    failed = [check for check in checks if not check.passed]
    words = "" if subgraph == 0 else f", {SIGNATURES[subgraph]} network"
    assert failed
    assert all(f"calibration frames{words}, t" in check.name or f"{words}, ai" in check.name for check in failed)
    assert all("corners of frame 0" in check.found for check in failed)


def test_a_constant_that_is_there_twice_is_found(built):
    model = read_model(ModelFile.open(built / "everywhere.tflite").flatbuffer)
    weights = next(t for t in model.subgraphs[2].tensors if t.buffer and list(t.shape)[1:3] == [3, 3])
    model.buffers.append(model.buffers[weights.buffer])
    weights.buffer = len(model.buffers) - 1
    check = proof.held_once(write_model(model), 3)
    assert (check.passed, check.found) == (False, "1 constants are there twice")


def test_a_file_that_lost_a_level_is_refused(built, tmp_path):
    content = bytearray((built / "everywhere.tflite").read_bytes())
    place = content.index(b"dense_80x64")
    content[place : place + 11] = b"dense_80x65"
    altered = tmp_path / "altered.tflite"
    altered.write_bytes(content)
    with pytest.raises(ModelFileError, match="SHA-256"):
        ModelFile.open(altered)


def test_thresholds_are_about_19_of_20_cells_that_see_a_target_at_its_own_size():
    nothing = Candidates(np.empty((0, 4, 2)), np.empty(0))
    level = LevelComparison(
        signature="dense_160x128", width=160, height=128, frames=1, cells=7, score=Differences(0.01, 0.02, 0.5),
        score_elsewhere=0.9, corners=Differences(0.3, 0.6, 9.0), corners_share=None, candidates=0, found_both=1.0,
        found_more=0, of_float=[nothing], of_file=[nothing], score_maps=np.zeros((1, 16, 20)), errors_px=np.zeros(1),
    )  # fmt: skip
    comparison = DenseComparison(1, 1, [replace(level, corners=Differences(9.0, 9.0, 9.0)), level])
    assert dense_gate(comparison, None, None) == []
    assert [check.passed for check in dense_gate(comparison, 0.6, 0.02)] == [True, True]
    assert [check.passed for check in dense_gate(comparison, 0.59, 0.019)] == [False, False]
    unseen = DenseComparison(1, 0, [replace(level, cells=0, corners=None, score=None)])
    (check,) = dense_gate(unseen, 5.0, None)
    assert (check.passed, check.found) == (
        False, "the float network sees no target in any frame: give frames with targets",
    )  # fmt: skip


@pytest.mark.slow
def test_a_conversion_beyond_a_threshold_fails(source, tmp_path):
    with pytest.raises(ModelFileError, match=r"score error float↔INT8 at most 1e-06: 0\.\d+ \(95th percentile of \d+"):
        convert(source, tmp_path, options(source.parent, max_score_error=1e-6))
    assert not (tmp_path / "everywhere.tflite").exists()
    assert (tmp_path / "everywhere.report.html").exists()


@pytest.mark.slow
def test_frames_without_a_target_are_said_to_prove_nothing(tmp_path):
    model = lively_dense()
    model.get_layer("scores").bias.assign([-60.0])
    done = convert(save_source(tmp_path, model), tmp_path / "out", options(tmp_path))
    assert "the float network sees no target in any frame" in done.networks[0].warnings[0]
    assert done.networks[0].comparison.summary()["corners_mean_px"] is None


def _bound_to_its_size():
    frame = keras.Input(SHAPE)
    maps = keras.layers.Conv2D(4, 3, strides=8, padding="same")(frame)
    flat = keras.layers.Dense(16 * 20, name="whole")(keras.layers.Flatten()(maps))
    maps = keras.layers.Reshape((16, 20, 1))(flat)
    return keras.Model(frame, [keras.layers.Conv2D(1, 1)(maps), keras.layers.Conv2D(8, 1)(maps)])


def _one_output():
    frame = keras.Input(SHAPE)
    return keras.Model(frame, keras.layers.Conv2D(9, 3, strides=8, padding="same")(frame))


def _two_grids():
    frame = keras.Input(SHAPE)
    maps = [keras.layers.Conv2D(n, 3, strides=s, padding="same")(frame) for n, s in ((1, 8), (8, 16))]
    return keras.Model(frame, maps)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(_bound_to_its_size, r"'whole' \(Dense\) is bound to frames of 160x128 pixels", id="dense layer"),
        pytest.param(_one_output, r"gives \[16, 20, 9\], but a dense network gives a score", id="one output"),
        pytest.param(lambda: lively_dense(scores=2), r"gives 2 scores for each cell, but a model file has one", id="2"),
        pytest.param(_two_grids, r"20x16 scores and 10x8 corners, which are not the cells", id="two grids"),
    ],
)
def test_what_is_no_dense_network_is_refused(tmp_path, model, message):
    file = save_source(tmp_path, model())
    with pytest.raises(ModelFileError, match=message) as caught:
        convert(file, tmp_path / "out", options(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_operator_that_sees_the_whole_frame_is_refused(tmp_path):
    model = lively_dense()
    maps = model.get_layer("merged_relu").output
    gate = keras.layers.Conv2D(8, 1)(keras.layers.GlobalAveragePooling2D(keepdims=True)(maps))
    gated = keras.Model(model.inputs, [model.outputs[0], keras.layers.Multiply()([model.outputs[1], gate])])
    file = save_source(tmp_path, gated)
    with pytest.raises(ModelFileError, match="its operator MEAN is bound to the size of the frame"):
        convert(file, tmp_path / "out", options(tmp_path))


@pytest.mark.slow
def test_a_file_of_another_kind_can_say_its_score_too(tmp_path):
    save_tiny_model(tmp_path / "tiny.keras")
    save_frames(tmp_path, (16, 16, 3), 20)
    done = convert(tmp_path / "tiny.keras", tmp_path / "out", options(tmp_path, min_score=0.3))
    assert ModelFile.open(done.path).metadata.min_score == 0.3
    shutil.rmtree(tmp_path / "out")
    done = convert(tmp_path / "tiny.keras", tmp_path / "out", options(tmp_path))
    assert ModelFile.open(done.path).metadata.min_score is None


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((240, 320), ((480, 640), (240, 320), (128, 160), (64, 80))),
        (SHAPE[:2], LEVELS),
        ((64, 64), ((128, 128), (64, 64))),
    ],
    ids=str,
)
def test_levels_are_halves_of_whole_cells(size, levels):
    assert pyramid(size) == levels


def test_the_quantizer_sees_frames_as_every_level_does():
    frames = np.repeat(np.arange(6, dtype=np.float32), 8 * 12).reshape(6, 8, 12, 1)
    shown = frames_of_all_levels(frames, [(8, 12), (4, 6), (3, 5)])
    assert shown.shape == (6 + 2 + 1, 8, 12, 1)
    np.testing.assert_array_equal(shown[:6], frames)
    assert [shown[6, y, x, 0] for y in (0, 7) for x in (0, 11)] == [0, 1, 2, 3]
    assert [shown[7, y, x, 0] for y in (0, 7) for x in (0, 11)] == [4, 5, 0, 1]
    assert [shown[8, y, x, 0] for y in (0, 7) for x in (0, 11)] == [0, 2, 0, 2]


def test_candidates_are_thinned_by_overlap_best_first():
    scores = np.array([[0.9, 0.8, 0.3], [0.2, 0.1, 0.7]])
    corners = np.zeros((2, 3, 8))
    corners[..., 0::2] = np.array([-0.2, 0.2, 0.2, -0.2])  # 12.8 px wide around each cell's middle
    corners[..., 1::2] = np.array([-0.2, -0.2, 0.2, 0.2])
    pixels = cell_corners(corners, stride=8, unit=32.0)
    np.testing.assert_allclose(pixels[1, 2, 0], [16 + 3.5 - 6.4, 8 + 3.5 - 6.4])
    found = thinned_candidates(scores, pixels)
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7])  # neighbours overlap by 0.23
    corners *= 1.5
    found = thinned_candidates(scores, cell_corners(corners, stride=8, unit=32.0))
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


@pytest.mark.slow
def test_nothing_of_it_is_written_when_the_proof_fails(source, tmp_path, monkeypatch):
    def prove_another(flatbuffer, parts):
        model = read_model(flatbuffer)
        bias = next(t for t in model.subgraphs[0].tensors if t.type == 2 and t.buffer and list(t.shape) == [8])
        buffer = model.buffers[bias.buffer]
        buffer.data = (buffer.data.view(np.int32) + 4000).view(np.uint8)
        return proof.prove(write_model(model), parts)

    monkeypatch.setattr(conversion, "prove", prove_another)
    with pytest.raises(ModelFileError, match=r"bits on 10 calibration frames, .*corners of frame 0"):
        convert(source, tmp_path, options(source.parent))
    assert not (tmp_path / "everywhere.tflite").exists()
