"""A scan and a refine network in one file: converted for real, proved, run, composed, refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.converters import conversion
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.networks.stn import read_refine, read_scan
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.proof.proof import inspect_file
from stn_rectify.converters.tflite.joining import join_subgraph
from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.models import lightweight_stn
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from tests.converters.keras_models import enliven, save_frames, save_model, save_recognizing_model, smooth_frames

SIZE = (320, 240)
NETWORKS = {"serving_default": 0, "refine": 1}


def save_refine(folder, name="stn", shape=(32, 32, 3), **options):
    """A refine network that corrects poses by some percent, and crops to calibrate it with."""
    keras.utils.set_random_seed(5)
    options = {"transform": "projective", **options}
    model = lightweight_stn(shape, width=0.5, features=16, initial_scale=1 / 1.4, **options)
    enliven(model, 0.03)
    model.save(folder / f"{name}.refine.keras")
    save_crops(folder, name, shape)


def save_crops(folder, name="stn", shape=(32, 32, 3), **known):
    square = np.array([[4.1, 4.1], [26.9, 4.1], [26.9, 26.9], [4.1, 26.9]])
    corners = square + np.random.default_rng(0).normal(0, 1, (24, 4, 2))
    file = folder / f"{name}.refine.calibration.npz"
    np.savez(file, frames=smooth_frames(shape, 24, seed=5), corners=corners, **known)


def run(source, out, frames, **options):
    return convert(source, out, ConversionOptions(calibration=frames, latency=False, **options))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """stn.keras, stn.refine.keras, their frames, and what became of them in ``out``."""
    folder = tmp_path_factory.mktemp("pair")
    source = save_model(folder, "stn", transform="projective")
    save_refine(folder)
    done = run(source, folder / "out", save_frames(folder, (32, 32, 3), 24), refine_passes=2)
    return folder, done


@pytest.fixture
def copied(pair, tmp_path):
    """Models and frames, to be spoilt."""
    for file in pair[0].iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


def only(flatbuffer, key):
    """The file of one of the two networks, the other left out."""
    model = read_model(flatbuffer)
    place = NETWORKS[key]
    model.subgraphs, model.signatureDefs = [model.subgraphs[place]], [model.signatureDefs[place]]
    model.signatureDefs[0].subgraphIndex, model.signatureDefs[0].signatureKey = 0, "serving_default"
    return write_model(model)


def test_both_networks_are_in_the_file_and_the_metadata_says_so(pair):
    folder, done = pair
    model = ModelFile.open(folder / "out" / "stn.tflite")
    refine = model.metadata.refine
    assert model.networks == 2
    assert (refine.input.width, refine.input.height, refine.input.channels) == (32, 32, 3)
    assert (refine.theta.size, refine.margin, refine.passes) == (8, 0.2, 2)
    assert refine.score is not None
    assert (refine.parameters, refine.macs) == (done.networks[1].cost.parameters, done.networks[1].cost.macs)
    assert set(model.refine_signature.outputs) == {"theta", "score"}
    assert set(model.signature.outputs) == {"rectified", "theta", "score"}
    assert "2 networks" in str(done)


def test_the_proof_covers_both_networks(pair):
    checks = {check.name: check.found for check in pair[1].proof.checks}
    assert checks["signature"] == "2 naming 7 of 7 ends"
    assert "no GATHER" in checks["no overflow, no GATHER out of range, for any frame, refine network"]
    bits = [name for name, found in checks.items() if "equals the integer reference" in found]
    assert sum("refine network" in name for name in bits) == len(bits) / 2 >= 1
    assert not any("float" in dtype for dtype in pair[1].proof.tensors)


def test_the_report_says_what_the_refine_network_costs_and_loses(pair):
    folder, done = pair
    report = json.loads((folder / "out" / "stn.report.json").read_text())["networks"][1]
    assert report["cost"]["parameters"] == done.networks[1].cost.parameters > 1000
    assert 0 < report["comparison"]["corners_mean_px"] < 0.5
    assert report["comparison"]["known_targets"] == 24
    assert report["passes"] == 2
    page = (folder / "out" / "stn.report.html").read_text()
    assert "The refine network" in page
    assert f"{done.networks[1].cost.parameters:,}".replace(",", "\u202f") in page


@pytest.mark.parametrize("key", NETWORKS)
def test_each_network_computes_what_it_does_alone(pair, interpreter, key):
    model = ModelFile.open(pair[0] / "out" / "stn.tflite")
    inputs = (smooth_frames((32, 32, 3), 8, seed=9) ^ 128).view(np.int8)
    interpreter.load(model.flatbuffer)
    # In turns with the other: neither may disturb the other's tensors.
    together = []
    for frame in inputs:
        outputs = {name: interpreter.run({"frame": frame[None]}, name) for name in NETWORKS}
        together.append(outputs[key])
    interpreter.load(only(model.flatbuffer, key))
    for frame, outputs in zip(inputs, together, strict=True):
        alone = interpreter.run({"frame": frame[None]})
        assert alone.keys() == outputs.keys()
        for name in alone:
            np.testing.assert_array_equal(outputs[name], alone[name])


def test_the_passes_are_those_of_the_float_networks(pair, tmp_path):
    """Each pass of the INT8 file, in a process without TensorFlow, against Keras on the crop of the pose before."""
    folder, _ = pair
    frames = cv2.resize(smooth_frames((32, 32, 3), 1, seed=21)[0], SIZE, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "frame.png"), frames)
    frame = cv2.imread(str(tmp_path / "frame.png"))
    command = [sys.executable, "-m", "stn_rectify.runtime.command.cli", "--image", str(tmp_path / "frame.png")]
    command += ["--model", str(folder / "out" / "stn.tflite"), "--jsonl", "-"]

    def result(*options):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    found = [result("--refine", str(passes)) for passes in range(4)]
    assert ModelFile.open(folder / "out" / "stn.tflite").metadata.refine.passes == 2
    moved_on = result("--refine", "5")["corners"]  # its untrained network moves the pose by much each time
    np.testing.assert_allclose(result()["corners"], moved_on, atol=3)  # more of its crops are fine ones
    network = load_model(folder / "stn.refine.keras")
    for before, after in pairwise(found):
        pose = corners_to_homography(np.array(before["corners"]), *SIZE)
        crop = target_crop(frame, pose, size=(32, 32), margin=0.2)[..., ::-1] / np.float32(255)
        _, theta, score = (np.asarray(output)[0] for output in network(crop[None]))
        seen = np.append(theta, 1).reshape(3, 3)
        corners = []
        for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            x, y, w = pose @ np.diag([1.4, 1.4, 1]) @ seen @ np.array([*corner, 1.0])
            corners.append([(x / w + 1) / 2 * SIZE[0] - 0.5, (y / w + 1) / 2 * SIZE[1] - 0.5])
        # 0.3 pixels of the crop: what INT8 loses
        pixel = 1.4 / 32 * np.linalg.norm(np.diff(before["corners"], axis=0), axis=1).max()
        moved = np.linalg.norm(np.subtract(after["corners"], before["corners"]), axis=1)
        assert np.linalg.norm(np.subtract(after["corners"], corners), axis=1).max() < 0.3 * pixel
        assert moved.max() > 0.5 * pixel
        assert after["score"] == pytest.approx(found[0]["score"] * score[0], abs=0.02)


@pytest.mark.slow
def test_a_refine_network_that_is_not_the_one_that_was_meant_fails_the_proof(copied, monkeypatch):
    """A real defect: one number of its head in the file is not the one it should be."""

    def prove_a_damaged_file(flatbuffer, networks):
        model = read_model(flatbuffer)
        bias = networks[1].assembly.head.bias
        (buffer,) = (b for b in model.buffers if b.data is not None and bytes(b.data) == bias.tobytes())
        damaged = bias.copy()
        damaged[-1] += 1 << 20
        buffer.data = np.frombuffer(damaged.tobytes(), np.uint8)
        return proof.prove(write_model(model), networks)

    monkeypatch.setattr(conversion, "prove", prove_a_damaged_file)
    with pytest.raises(ModelFileError, match=r"refine network, .*: 24 differ: theta of frame 0"):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz", pose_only=True)
    assert not (copied / "out" / "stn.tflite").exists()


def test_a_float_tensor_or_an_overflow_in_the_second_network_is_found(pair):
    flatbuffer = ModelFile.open(pair[0] / "out" / "stn.tflite").flatbuffer
    assert all(check.passed for check in inspect_file(flatbuffer))
    model = read_model(flatbuffer)
    model.subgraphs[1].tensors[3].type = 0
    assert {check.name for check in inspect_file(write_model(model)) if not check.passed} >= {"float tensors"}
    model = read_model(flatbuffer)
    constants = [model.buffers[t.buffer] for t in model.subgraphs[1].tensors if t.type == 2 and t.buffer]
    buffer = max((b for b in constants if b.data is not None), key=lambda b: len(b.data))  # the head's weights
    buffer.data = np.full(len(buffer.data) // 4, 2**30, np.int32).view(np.uint8)
    failed = [check.name for check in inspect_file(write_model(model)) if not check.passed]
    assert failed == ["no overflow, no GATHER out of range, for any frame, refine network"]


def test_a_third_network_or_one_of_another_name_is_no_file_of_ours(pair):
    flatbuffer = ModelFile.open(pair[0] / "out" / "stn.tflite").flatbuffer
    second = only(flatbuffer, "refine")
    for spoilt in (join_subgraph(flatbuffer, second, "third"), join_subgraph(second, second, "other")):
        assert [check.name for check in inspect_file(spoilt) if not check.passed] == ["signature"]


@pytest.mark.slow
def test_thresholds_are_for_both_networks(copied):
    with pytest.raises(ModelFileError, match="refine network: corner error float↔INT8 at most 1e-06 px: "):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz", pose_only=True, max_corner_error=1e-6)


def test_crops_can_say_their_margin(copied):
    save_crops(copied, margin=0.35)
    source = copied / "stn.keras"
    refine = read_refine(read_scan(source, ConversionOptions(copied / "frames3.npz")), "projective", 3)
    assert refine.margin == 0.35
    assert len(refine.calibration) == 24


@pytest.mark.parametrize("margin", [-0.1, 99.0, np.nan, [0.2, 0.2], "wide"])
def test_a_margin_that_is_none_is_refused(copied, margin):
    save_crops(copied, margin=margin)
    with pytest.raises(DataError, match=r"refine\.calibration\.npz: margin is "):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz")


def test_without_crops_to_calibrate_with_it_is_one_clear_line(copied):
    (copied / "stn.refine.calibration.npz").unlink()
    with pytest.raises(DataError, match=r"stn\.refine\.keras needs stn\.refine\.calibration\.npz beside it") as caught:
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz")
    assert "\n" not in str(caught.value)


def test_a_truncated_refine_network_is_named(copied):
    file = copied / "stn.refine.keras"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"stn\.refine\.keras is not a \.keras file, or was cut short"):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz")


def _affine(folder):
    save_refine(folder, transform="affine")


def _spline_scan(folder):
    save_model(folder, "stn", transform="tps")


def _other_channels(folder):
    save_refine(folder, shape=(32, 32, 2))


def _recognizing(folder):
    save_recognizing_model(folder, "stn.refine")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(_affine, r"stn\.refine\.keras: its transform is affine", id="affine"),
        pytest.param(
            _spline_scan, r"stn\.refine\.keras: the model is a thin-plate spline", id="spline", marks=pytest.mark.slow
        ),
        pytest.param(_other_channels, r"stn\.refine\.keras: reads 2 channels, the model 3", id="channels"),
        pytest.param(
            _recognizing,
            r"stn\.refine\.keras: a recognizer follows its sampler",
            id="recognizer",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_refine_network_that_does_not_fit_is_refused(copied, spoil, message):
    spoil(copied)
    with pytest.raises(ModelFileError, match=message):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz")


def test_a_lone_refine_network_is_an_ordinary_model(copied):
    lone = copied / "lone.refine.keras"
    (copied / "stn.refine.keras").rename(lone)
    (network,) = read_networks(lone, ConversionOptions(copied / "frames3.npz"))
    assert network.signature == "serving_default"
