"""A look at the whole frame in the file of a dense network: converted for real, proved, run, refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from stn_rectify.converters.batch.model_inputs import find_models
from stn_rectify.converters.conversion import convert
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.options import DEFAULT_WEIGHT, ConversionOptions
from stn_rectify.converters.proof import proof
from stn_rectify.converters.reading.model_files import companion_files, sha256_of_model
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.models import lightweight_stn
from stn_rectify.models.files import DENSE, REFINE, SCAN, WHOLE, bundled_networks
from stn_rectify.models.network.keras_file import load_model, network_kind
from stn_rectify.models.network.keras_file import save_model as save_kind
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.geometry import theta_to_corners
from stn_rectify.runtime.model.model_file import ModelFile
from tests.converters.keras_models import enliven, save_frames, save_model, save_recognizing_model, smooth_frames
from tests.converters.test_dense_conversion import lively_dense
from tests.converters.test_refine_file import save_refine

SHAPE = (128, 128, 3)
SEEN = (32, 32, 3)


def save_whole(folder, name="everywhere", shape=SEEN, kind=SCAN, **options):
    """A network that sees the whole frame, and frames to calibrate it with, whose targets are known."""
    keras.utils.set_random_seed(6)
    model = lightweight_stn(shape, **{"transform": "projective", "width": 0.5, "features": 16, **options})
    enliven(model)
    file = folder / f"{name}.whole.keras"
    save_kind(model, file, kind)
    square = np.array([[4.1, 4.1], [26.9, 4.1], [26.9, 26.9], [4.1, 26.9]])
    corners = square + np.random.default_rng(0).normal(0, 3, (24, 4, 2))
    np.savez(file.with_suffix(".calibration.npz"), frames=smooth_frames(shape, 24, seed=6), corners=corners)
    return file


def options(folder, **chosen):
    return ConversionOptions(**{"calibration": folder / "frames3.npz", "latency": False, **chosen})


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """everywhere.keras, .whole.keras, .refine.keras, their frames, and what became of them in ``out``."""
    folder = tmp_path_factory.mktemp("whole")
    source = folder / "everywhere.keras"
    save_kind(lively_dense(SHAPE), source, DENSE)
    save_frames(folder, SHAPE, 24)
    save_whole(folder)
    save_refine(folder, "everywhere")
    return folder, convert(source, folder / "out", options(folder, whole_weight=0.6))


@pytest.fixture
def copied(three, tmp_path):
    """Models and frames, to be spoilt."""
    for file in three[0].iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


def test_it_stands_behind_the_levels(three):
    folder, done = three
    model = ModelFile.open(folder / "out" / "everywhere.tflite")
    whole = model.metadata.whole
    assert (model.networks, len(model.level_signatures)) == (3, 3)
    assert (whole.input.height, whole.input.width, whole.input.colour) == (32, 32, "RGB")
    assert (whole.theta.size, whole.weight) == (8, 0.6)
    assert (whole.parameters, whole.macs) == (done.networks[1].cost.parameters, done.networks[1].cost.macs)
    assert [model.whole_signature.subgraph, model.refine_signature.subgraph] == [3, 4]
    assert [network.kind for network in done.networks] == ["dense", "whole", "refine"]
    assert "3 networks" in str(done)
    assert "whole network corner error float→INT8" in str(done)


def test_the_proof_compares_its_bits_in_every_interpreter(three):
    checks = {check.name: check.found for check in three[1].proof.checks}
    assert "all within 32 bits" in checks["no overflow, no GATHER out of range, for any frame, whole network"]
    bits = [name for name in checks if name.startswith("bits on 24 calibration frames, whole network")]
    assert len(bits) == len(installed_packages())
    told_apart = [name for name in checks if name.endswith("smaller than the spread of poses")]
    assert [name.split(":")[0] for name in told_apart] == ["whole network", "refine network"]
    flatbuffer = ModelFile.open(three[0] / "out" / "everywhere.tflite").flatbuffer
    assert all(check.passed for check in proof.inspect_file(flatbuffer))


def test_the_proof_fails_where_a_pose_differs(three):
    folder, _ = three
    whole = read_networks(folder / "everywhere.keras", options(folder))[1]
    fixed = replace(whole.options, refit_head=False)  # no fit to the float network puts it right
    other = replace(whole, options=fixed, parts=replace(whole.parts, bias=whole.parts.bias + 0.01))
    flatbuffer = ModelFile.open(folder / "out" / "everywhere.tflite").flatbuffer
    with IsolatedInterpreter() as interpreter:
        assert whole.reference.differences(flatbuffer, "whole", interpreter) == []
        assert other.reference.differences(flatbuffer, "whole", interpreter)


def test_what_it_gives_in_the_file_is_what_the_float_network_says(three):
    folder, _ = three
    model = ModelFile.open(folder / "out" / "everywhere.tflite")
    frames = smooth_frames(SEEN, 24, seed=6)
    _, theta, score = load_model(folder / "everywhere.whole.keras").predict(frames / np.float32(255), verbose=0)
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        runs = [interpreter.run({"frame": (f.astype(int) - 128).astype(np.int8)[None]}, "whole") for f in frames]
    of_file = np.concatenate([run["theta"] for run in runs]) / 2.0**20
    spec = model.metadata.whole.score
    scores = (np.concatenate([run["score"] for run in runs]).astype(float) - spec.zero_point) * spec.scale
    assert np.abs(theta_to_corners(of_file, 32, 32) - theta_to_corners(theta, 32, 32)).mean() < 0.5
    assert np.abs(scores - score).mean() < 0.03


def test_a_device_runs_it(three):
    with Rectifier(three[0] / "out" / "everywhere.tflite") as rectifier:
        assert rectifier.locate(smooth_frames((240, 320, 3), 1)[0]).score > 0


def test_the_report_shows_its_frames(three):
    folder, done = three
    report = json.loads((folder / "out" / "everywhere.report.json").read_text())
    whole = report["networks"][1]
    assert (whole["kind"], whole["weight"], whole["comparison"]["frames"]) == ("whole", 0.6, 24)
    assert whole["comparison"]["known_targets"] == 24
    assert report["metadata"]["whole"]["weight"] == 0.6
    assert len(done.networks[1].pictures) == 8
    page = (folder / "out" / "everywhere.report.html").read_text()
    assert "The look at the whole frame" in page
    assert "as the network that looks at the whole frame sees them" in page
    assert "What both find, level by level" in page
    assert page.count("<figcaption>frame ") == 8


def test_it_may_be_affine_and_without_a_refine_network(copied):
    for file in copied.glob("everywhere.refine.*"):
        file.unlink()
    save_whole(copied, transform="affine")
    convert(copied / "everywhere.keras", copied / "out", options(copied))
    metadata = ModelFile.open(copied / "out" / "everywhere.tflite").metadata
    assert (metadata.whole.theta.size, metadata.whole.weight, metadata.refine) == (6, DEFAULT_WEIGHT, None)


@pytest.mark.parametrize("kind", [SCAN, WHOLE])
def test_a_scan_network_may_be_called_so(tmp_path, kind):
    file = save_whole(tmp_path, kind=kind)
    assert network_kind(file) == WHOLE
    save_kind(load_model(file), file, REFINE)
    with pytest.raises(DataError, match=r"holds a refine network, but is called as a whole network is: rename it"):
        network_kind(file)


def test_a_changed_one_makes_another_model(copied):
    names = {file.name for file in companion_files(copied / "everywhere.keras")}
    assert {"everywhere.whole.keras", "everywhere.whole.calibration.npz"} < names
    before = sha256_of_model(copied / "everywhere.keras")
    save_whole(copied, padding="border")
    assert sha256_of_model(copied / "everywhere.keras") != before


def test_it_is_no_model_of_its_own_in_a_batch(copied):
    assert find_models([copied]) == [copied / "everywhere.keras"]
    with pytest.raises(UsageError, match=r"everywhere\.whole\.keras is the whole network of .*everywhere\.keras, and"):
        find_models([copied / "everywhere.whole.keras"])


def test_alone_it_is_a_model_as_any_other(tmp_path):
    file = save_whole(tmp_path)
    (network,) = read_networks(file, ConversionOptions(calibration=file.with_suffix(".calibration.npz")))
    assert network.kind == SCAN


def test_beside_a_network_that_is_not_dense_it_is_refused(tmp_path):
    source = save_model(tmp_path, "stn")
    save_whole(tmp_path, "stn")
    with pytest.raises(
        UsageError, match=r"stn\.whole\.keras goes into the file of a dense network, but .*stn\.keras is"
    ):
        read_networks(source, ConversionOptions(calibration=save_frames(tmp_path, (32, 32, 3))))


def _without_frames(folder):
    (folder / "everywhere.whole.calibration.npz").unlink()


def _spline(folder):
    save_whole(folder, transform="tps")


def _channels(folder):
    save_whole(folder, shape=(32, 32, 4))


def _recognizer(folder):
    save_recognizing_model(folder, "everywhere.whole")


def _dense(folder):
    save_kind(lively_dense(SHAPE), folder / "everywhere.whole.keras", DENSE)


def _no_network(folder):
    (folder / "everywhere.whole.keras").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            _without_frames,
            DataError,
            r"needs everywhere\.whole\.calibration\.npz beside it, frames to calibrate it with",
        ),
        (_spline, ModelFileError, r"its transform is tps, but beside a dense network it must be affine or projective"),
        (_channels, ModelFileError, r"reads 4 channels, the model 3; they must agree"),
        (_recognizer, ModelFileError, r"a recognizer follows its sampler; save the STN alone"),
        (_dense, DataError, r"holds a dense network, but is called as a whole network is: rename it"),
        (_no_network, DataError, r"is not a \.keras file, or was cut short"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) and not isinstance(value, type) else "",
)
def test_what_does_not_fit_is_refused_in_one_line(copied, spoil, error, message):
    spoil(copied)
    with pytest.raises(error, match=rf"everywhere\.whole\.keras.*{message}") as caught:
        read_networks(copied / "everywhere.keras", options(copied))
    assert "\n" not in str(caught.value)


def test_the_names_of_scan_networks_are_not_those_of_whole_ones():
    assert not any(name.endswith(".whole") for name in bundled_networks(".keras"))
