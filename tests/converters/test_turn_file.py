"""A turn network in the file of the network that finds targets: converted for real, proved, run, refused."""

from __future__ import annotations

import argparse
import json
import shutil

import keras
import numpy as np
import pytest

from stn_rectify.converters.batch.model_inputs import find_models
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.kept_file import KeptFile
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.proof.bits import TurnReference
from stn_rectify.converters.proof.proof import prove
from stn_rectify.converters.reading.model_files import companion_files, sha256_of_model
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.models.files import TURN
from stn_rectify.models.network.keras_file import save_model as save_kind
from stn_rectify.models.network.turn import turn_network
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import TURN_THRESHOLD
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.keras_models import save_frames, save_model, smooth_frames
from tests.converters.test_refine_file import save_refine

SHAPE = (32, 32, 1)


def save_turn(folder, name="stn", shape=SHAPE, **known):
    """A turn network that is sure of some pictures and not of others, and pictures to calibrate it with."""
    keras.utils.set_random_seed(2)
    model = turn_network(shape, width=0.5)
    frames = smooth_frames(shape, 40, seed=4)
    head = model.get_layer("uprightness")
    head.set_weights([np.random.default_rng(k).normal(0, 60, v.shape) for k, v in enumerate(head.weights)])
    file = folder / f"{name}.turn.keras"
    save_kind(model, file, TURN)
    turns = model.predict(frames / np.float32(255), verbose=0).argmax(axis=1)
    np.savez(file.with_suffix(".calibration.npz"), frames=frames, labels=turns, **known)
    return file


def run(source, out, frames, **options):
    return convert(source, out, ConversionOptions(calibration=frames, latency=False, **options))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """stn.keras, stn.refine.keras, stn.turn.keras, their frames, and what became of them in ``out``."""
    folder = tmp_path_factory.mktemp("three")
    source = save_model(folder, "stn", transform="projective")
    save_refine(folder)
    save_turn(folder, threshold=0.625)
    return folder, run(source, folder / "out", save_frames(folder, (32, 32, 3), 24))


@pytest.fixture
def copied(three, tmp_path):
    """Models and frames, to be spoilt."""
    for file in three[0].iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


def options(folder):
    return ConversionOptions(calibration=folder / "frames3.npz", latency=False)


def test_the_turn_network_is_the_last_of_three(three):
    folder, done = three
    model = ModelFile.open(folder / "out" / "stn.tflite")
    turn = model.metadata.turn
    assert model.networks == 3
    assert (turn.input.height, turn.input.width, turn.input.channels, turn.input.colour) == (*SHAPE, "GREY")
    assert (turn.scores.size, turn.scores.activation, turn.threshold) == (4, "softmax", 0.625)
    assert (turn.parameters, turn.macs) == (done.networks[2].cost.parameters, done.networks[2].cost.macs)
    assert set(model.turn_signature.outputs) == {"scores"}
    assert set(model.refine_signature.outputs) == {"theta", "score"}
    assert "3 networks" in str(done)
    assert "turn network same turn in" in str(done)


def test_it_can_stand_behind_the_main_network_alone(copied):
    (copied / "stn.refine.keras").unlink()
    run(copied / "stn.keras", copied / "out", copied / "frames3.npz", pose_only=True)
    model = ModelFile.open(copied / "out" / "stn.tflite")
    assert (model.networks, model.refine_signature) == (2, None)
    assert model.turn_signature is not None


def test_the_proof_compares_its_bits_in_every_interpreter(three):
    checks = {check.name: check.found for check in three[1].proof.checks}
    assert "no GATHER" in checks["no overflow, no GATHER out of range, for any frame, turn network"]
    bits = [name for name, found in checks.items() if "turn network" in name and "TensorFlow quantized" in found]
    assert len(bits) == len(installed_packages())
    assert not any("float" in dtype for dtype in three[1].proof.tensors)


def test_the_proof_fails_where_a_score_differs(three):
    folder, _ = three
    networks = read_networks(folder / "stn.keras", options(folder))
    turn = networks[2]
    spoilt = TurnReference(turn.quantized(1 - turn.calibration.frames[:5]), turn.assembly.alone)
    right = TurnReference(turn.quantized(turn.calibration.frames[:5]), turn.assembly.alone)
    flatbuffer = ModelFile.open(folder / "out" / "stn.tflite").flatbuffer
    other = read_networks(folder / "stn.keras", options(folder))[2]
    keras_weights = other.model.get_layer("uprightness")
    keras_weights.set_weights([-w for w in keras_weights.get_weights()])
    with IsolatedInterpreter() as interpreter:
        assert right.differences(flatbuffer, "turn", interpreter) == []
        assert spoilt.differences(flatbuffer, "turn", interpreter) == []
        wrong = TurnReference(right.frames, other.assembly.alone)
        assert "scores of frame 0" in wrong.differences(flatbuffer, "turn", interpreter)


def test_what_it_gives_in_the_file_is_what_the_float_network_says(three):
    folder, _ = three
    turn = read_networks(folder / "stn.keras", options(folder))[2]
    model = ModelFile.open(folder / "out" / "stn.tflite")
    frames = turn.quantized(turn.calibration.frames)
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        levels = np.concatenate([interpreter.run({"frame": frame[None]}, "turn")["scores"] for frame in frames])
    scores = model.metadata.turn.scores
    probabilities = (levels.astype(float) - scores.zero_point) * scores.scale
    of_float = turn.model.predict(turn.calibration.frames, verbose=0)
    assert np.abs(probabilities - of_float).mean() < 0.03
    assert (probabilities.argmax(axis=1) == of_float.argmax(axis=1)).mean() > 0.9
    assert np.ptp(of_float.argmax(axis=1)) > 0, "the network of this test says the same of all"


def test_the_report_says_what_it_costs_and_shows_it(three):
    folder, done = three
    report = json.loads((folder / "out" / "stn.report.json").read_text())["networks"][2]
    assert report["kind"] == "turn"
    assert report["cost"]["parameters"] == done.networks[2].cost.parameters > 1000
    assert (report["threshold"], report["comparison"]["frames"]) == (0.625, 40)
    assert report["comparison"]["class_scores"]["labelled"] == 40
    assert report["comparison"]["class_scores"]["accuracy_float"] == 1
    assert 0 < report["comparison"]["sure"] <= 1
    page = (folder / "out" / "stn.report.html").read_text()
    assert "The turn network" in page
    assert "Which side is up" in page
    assert page.count("from the surest to the least sure") >= 2


def test_a_changed_turn_network_makes_another_model(copied):
    names = {file.name for file in companion_files(copied / "stn.keras")}
    assert names == {
        "stn.refine.keras", "stn.refine.calibration.npz", "stn.turn.keras", "stn.turn.calibration.npz",
    }  # fmt: skip
    before = sha256_of_model(copied / "stn.keras")
    save_turn(copied, threshold=0.5)
    assert sha256_of_model(copied / "stn.keras") != before


def test_in_a_folder_it_is_no_model_of_its_own(copied):
    assert [file.name for file in find_models([copied])] == ["stn.keras"]
    with pytest.raises(UsageError, match=r"is the turn network of .*stn\.keras, and goes into its file: give"):
        find_models([copied / "stn.turn.keras"])


def test_alone_it_is_refused_with_what_to_do(copied):
    (copied / "stn.keras").unlink()
    with pytest.raises(UsageError, match=r"goes into the file of stn\.keras: put it beside that"):
        read_networks(copied / "stn.turn.keras", options(copied))


def test_without_its_frames_it_is_refused(copied):
    (copied / "stn.turn.calibration.npz").unlink()
    with pytest.raises(DataError, match=r"needs stn\.turn\.calibration\.npz beside it"):
        read_networks(copied / "stn.keras", options(copied))


@pytest.mark.parametrize("threshold", [1.5, -0.1, np.nan, "high", [0.5, 0.6]])
def test_a_threshold_that_is_none_is_refused(copied, threshold):
    frames = np.load(copied / "stn.turn.calibration.npz")["frames"]
    np.savez(copied / "stn.turn.calibration.npz", frames=frames, threshold=threshold)
    with pytest.raises(DataError, match=r"threshold is .*, expected one number from 0 to 1"):
        read_networks(copied / "stn.keras", options(copied))


def test_without_a_threshold_the_usual_one_counts(copied):
    frames = np.load(copied / "stn.turn.calibration.npz")["frames"]
    np.savez(copied / "stn.turn.calibration.npz", frames=frames)
    assert read_networks(copied / "stn.keras", options(copied))[2].threshold == TURN_THRESHOLD


def test_labels_that_are_no_quarters_are_refused(copied):
    frames = np.load(copied / "stn.turn.calibration.npz")["frames"]
    np.savez(copied / "stn.turn.calibration.npz", frames=frames, labels=np.full(len(frames), 4))
    with pytest.raises(DataError, match="labels must be quarters, 0 to 3"):
        read_networks(copied / "stn.keras", options(copied))


def test_a_network_of_other_outputs_is_refused(copied):
    layers = [keras.layers.Conv2D(4, 3, strides=4), keras.layers.Flatten(), keras.layers.Dense(3)]
    save_kind(keras.Sequential([keras.Input(SHAPE), *layers]), copied / "stn.turn.keras", TURN)
    with pytest.raises(ModelFileError, match=r"gives the scores \[batch, 4\]"):
        read_networks(copied / "stn.keras", options(copied))


def test_a_thin_plate_spline_has_none(tmp_path):
    save_model(tmp_path, "bent", transform="tps")
    save_turn(tmp_path, "bent")
    save_frames(tmp_path, (32, 32, 3), 24)
    with pytest.raises(ModelFileError, match="whose targets cannot be turned"):
        read_networks(tmp_path / "bent.keras", options(tmp_path))


def test_prove_takes_the_networks_in_the_order_of_the_file(three):
    folder, _ = three
    networks = read_networks(folder / "stn.keras", options(folder))
    flatbuffer = ModelFile.open(folder / "out" / "stn.tflite").flatbuffer
    wrong = prove(flatbuffer, [networks[0], networks[2], networks[1]])
    assert "signature" in wrong.failures


def test_a_finished_file_takes_one_and_keeps_its_other_networks_bit_for_bit(three, copied):
    folder, _ = three
    (copied / "stn.turn.keras").rename(copied / "later.turn.keras")
    frames = copied / "stn.turn.calibration.npz"
    run(copied / "stn.keras", copied / "out", copied / "frames3.npz")
    without, whole = copied / "out" / "stn.tflite", folder / "out" / "stn.tflite"
    later = run(copied / "later.turn.keras", copied / "out", frames, into=KeptFile.read(str(without)))
    model, before = ModelFile.open(later.path), ModelFile.open(without)
    assert later.path == copied / "out" / "later.tflite"
    assert (model.networks, before.networks, before.metadata.turn) == (3, 2, None)
    assert model.metadata.turn == ModelFile.open(whole).metadata.turn
    assert (model.metadata.refine, model.metadata.input) == (before.metadata.refine, before.metadata.input)
    assert len(model.flatbuffer) == pytest.approx(len(ModelFile.open(whole).flatbuffer), rel=0.01)
    kept = [check.name for check in later.proof.checks if check.found.endswith("the file that it was")]
    assert len(kept) == 2 * len(installed_packages())


def test_one_that_is_there_already_is_replaced(three, copied):
    folder, _ = three
    whole = folder / "out" / "stn.tflite"
    (copied / "stn.turn.keras").rename(copied / "stn2.turn.keras")
    frames = copied / "stn.turn.calibration.npz"
    again = run(copied / "stn2.turn.keras", copied / "out", frames, into=KeptFile.read(str(whole)))
    assert ModelFile.open(again.path).flatbuffer == ModelFile.open(whole).flatbuffer


def test_the_proof_fails_where_a_kept_network_computes_otherwise(three, copied):
    folder, _ = three
    frames = copied / "stn.turn.calibration.npz"
    kept = KeptFile.read(str(folder / "out" / "stn.tflite"))
    (network,) = read_networks(
        copied / "stn.turn.keras", ConversionOptions(calibration=frames, latency=False, into=kept)
    )
    main = network.provable[0]
    keras.utils.set_random_seed(8)
    run(save_model(copied, "other", transform="projective"), copied / "out", copied / "frames3.npz")
    with IsolatedInterpreter() as interpreter:
        assert main.reference.differences(kept.flatbuffer, main.signature, interpreter) == []
        other = ModelFile.open(copied / "out" / "other.tflite").flatbuffer
        assert "theta of frame 0" in main.reference.differences(other, main.signature, interpreter)


def test_what_the_frames_do_not_say_stays_as_in_the_network_that_is_replaced(three, copied):
    whole = three[0] / "out" / "stn.tflite"
    stored = dict(np.load(copied / "stn.turn.calibration.npz"))
    del stored["threshold"]
    np.savez(copied / "plain.npz", **stored)
    kept = KeptFile.read(str(whole))
    (network,) = read_networks(
        copied / "stn.turn.keras", ConversionOptions(calibration=copied / "plain.npz", latency=False, into=kept)
    )
    assert network.threshold == 0.625


def test_into_refuses_what_it_would_not_follow(three, copied):
    kept = KeptFile.read(str(three[0] / "out" / "stn.tflite"))
    turn, frames = copied / "stn.turn.keras", copied / "stn.turn.calibration.npz"
    for given in ({"min_score": 0.5}, {"max_corner_error": 1.0}, {"channels": "bgr"}):
        (name,) = given
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} says nothing of a turn network"):
            read_networks(turn, ConversionOptions(calibration=frames, into=kept, **given))
    with pytest.raises(DataError, match="is a folder: a turn network is calibrated with an"):
        read_networks(turn, ConversionOptions(calibration=copied, into=kept))


def test_into_takes_turn_networks_and_finished_files_alone(three, copied):
    folder, _ = three
    kept = KeptFile.read(str(folder / "out" / "stn.tflite"))
    with pytest.raises(UsageError, match="--into takes a turn network"):
        run(copied / "stn.keras", copied / "out", copied / "frames3.npz", into=kept)
    with pytest.raises(argparse.ArgumentTypeError, match="nowhere"):
        KeptFile.read(str(copied / "nowhere.tflite"))
    assert find_models([copied / "stn.turn.keras"], into=True) == [copied / "stn.turn.keras"]
