"""A pruning from start to end: it converts, resumes after a stop, and says in one line what is wrong."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.models import stn_cost
from stn_rectify.models.command.cli import main
from stn_rectify.models.network.loading import load_model
from stn_rectify.models.pruning import PruningCourse, prune
from stn_rectify.runtime.errors import DataError
from tests.models.small_networks import SIZE, of_layers, ours, stirred

ARGUMENTS = ["--samples", "200", "--batch-size", "50", "--jobs", "1", "--hold-out", "0"]
COURSE = PruningCourse(samples=200, epochs=2, batch_size=50, steps=2, importance="batch-norm")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    file = tmp_path_factory.mktemp("source") / "source.keras"
    keras.utils.set_random_seed(0)
    stirred(ours(body="fused", transform="projective")).save(file)
    return file


@pytest.fixture(scope="module")
def whole(source, with_frames):
    """The result of a run that nobody stopped."""
    out = with_frames(source.with_name("whole.keras"))
    prune(source, COURSE, out)
    return out


def test_a_pruned_model_is_smaller_and_converts(source, whole, tmp_path):
    small = load_model(whole)
    costs = [
        sum(s.macs for s in stn_cost(m).stages if s.stage in ("localization", "head"))
        for m in (load_model(source), small)
    ]
    assert costs[1] <= costs[0] / 2
    assert not whole.with_suffix(".training").exists()
    options = ConversionOptions(whole.with_suffix(".calibration.npz"), pose_only=True, latency=False)
    assert convert(whole, tmp_path, options).proof.passed


@pytest.mark.slow
def test_a_run_stopped_in_its_second_step_goes_on_to_the_same_result(source, whole, tmp_path, monkeypatch, with_frames):
    """Each step has an epoch of four batches."""
    train_on_batch = keras.Model.train_on_batch
    out, trained = with_frames(tmp_path / "stopped.keras"), []

    def train_and_stop(self, frames, *args, **kwargs):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append(1)
        return train_on_batch(self, frames, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        prune(source, COURSE, out)
    monkeypatch.undo()
    assert not out.exists()
    with pytest.raises(DataError, match="other settings"):
        prune(source, replace(COURSE, fraction=0.4), out)
    resumed = prune(source, COURSE, out)
    for a, b in zip(load_model(whole).get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    header, *rows = (line.split(",") for line in out.with_suffix(".curve.csv").read_text().splitlines())
    curve = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["step"], row["epoch"], row["batches"]) for row in curve] == [("1", "1", "4"), ("2", "2", "4")]


@pytest.mark.slow
def test_the_command_prunes_a_refine_network_with_crops(tmp_path, capsys):
    source, out = tmp_path / "a.refine.keras", tmp_path / "b.refine.keras"
    stirred(ours(transform="projective", initial_scale=0.7)).save(source)
    told = ["prune", str(source), "--fraction", "0.3", "--out", str(out), *ARGUMENTS, "--epochs", "1"]
    assert main(told) == 0
    printed = capsys.readouterr().out
    assert "squeeze: 16 →" in printed
    assert load_model(out).count_params() < load_model(source).count_params()
    corners = np.load(tmp_path / "b.refine.calibration.npz")["corners"]
    # In a crop the target fills about 1 / 1.4 of each side; in whole frames targets are mostly smaller.
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    assert np.median(np.ptp(corners, axis=1)) > 0.55 * SIZE[0]


def no_normalization(tmp_path):
    file = tmp_path / "plain.keras"
    of_layers(lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(32, 3)(x))).save(file)
    return file


def no_stn(tmp_path):
    file = tmp_path / "none.keras"
    keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(6, name="theta")]).save(file)
    return file


def small_stn(tmp_path):
    file = tmp_path / "small.keras"
    ours().save(file)
    return file


@pytest.mark.parametrize(
    ("make", "arguments", "status", "message"),
    [
        (small_stn, ["--fraction", "0.99"], 1, "small.keras: 99.0% of its MACs cannot be removed, only"),
        (small_stn, ["--fraction", "1"], 2, "above 0 and below 1"),
        (small_stn, ["--fraction", "0.5", "--steps", "3", "--epochs", "2"], 2, "--steps 3 share 2 epochs"),
        (small_stn, ["--fraction", "0.5", "--out", "b.refine.keras"], 2, "is called NAME.refine.keras"),
        (small_stn, ["--fraction", "0.5", "--width", "2"], 2, "unrecognized option --width"),
        (small_stn, [], 2, "required: --fraction"),
        (small_stn, ["--fraction", "0.5", "--out", "small.keras", "--overwrite"], 2, "give another --out"),
        (no_normalization, ["--fraction", "0.5", "--importance", "batch-norm"], 1, "give --importance taylor"),
        (no_stn, ["--fraction", "0.5"], 1, "no Spatial Transformer Network"),
    ],
    ids=[
        "too much",
        "all",
        "steps",
        "refine name",
        "network option",
        "no fraction",
        "onto itself",
        "no scale",
        "no STN",
    ],
)
def test_wrong_input_is_one_clear_line_before_any_work(tmp_path, monkeypatch, capsys, make, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    try:
        found = main(["prune", make(tmp_path).name, "--out", "b.keras", *arguments])
    except SystemExit as stop:
        found = stop.code
    assert found == status
    error = capsys.readouterr().err
    assert error.startswith("stn-train prune: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.training"))
