"""Training: it learns, is reproducible, resumes, and `stn-train` says what is wrong."""

from __future__ import annotations

import functools
import json
import operator
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.cli import main
from stn_rectify.models.evaluation.corner_errors import summarise
from stn_rectify.models.evaluation.known_frames import KnownFrames, read_truth
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.files import load_model
from stn_rectify.models.partial_file import partial_file
from stn_rectify.models.progress import Progress
from stn_rectify.models.stn import lightweight_stn
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.models.training import frame_pool
from stn_rectify.models.training.checkpoint import Checkpoint
from stn_rectify.models.training.frame_batches import batches
from stn_rectify.models.training.frame_pool import FramePool
from stn_rectify.models.training.pose_supervision import pose_predictor
from stn_rectify.models.training.pose_training import TrainingRecipe, train
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import homography_to_corners

TINY = TrainingRecipe(
    input_shape=(32, 32, 1), width=0.5, features=16, samples=200, epochs=2, batch_size=50, learning_rate=2e-3
)
ARGUMENTS = ["--input-shape", "32x32x1", "--width", "0.5", "--samples", "200", "--batch-size", "50", "--jobs", "1"]


def exit_status(arguments):
    """Of `stn-train`, whichever way it ends."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return FramePool(tmp_path_factory.mktemp("pool"), count=200, size=64, seed=0)


def test_training_beats_the_centred_box_on_its_own_frames(tmp_path):
    """The best centred box is what a network that does not look at the frame can reach."""
    recipe = TrainingRecipe(input_shape=(32, 32, 1), samples=200, epochs=60, batch_size=40, learning_rate=4e-3)
    model = train(recipe, tmp_path / "stn.keras")
    synthesiser = FrameSynthesiser(seed=0, frame_size=(320, 240))
    samples = [synthesiser(k) for k in range(100)]
    known = KnownFrames("training", tuple(s.frame for s in samples), tuple(s.corners for s in samples))
    errors = summarise(known, find_targets(model, None, known.frames)[0].corners, None)
    assert errors.mean < 0.9 * errors.centred_box
    assert not (tmp_path / "stn.training").exists()
    calibration = np.load(tmp_path / "stn.calibration.npz")
    assert calibration["frames"].shape == (200, 32, 32, 1)
    assert calibration["corners"].shape == (200, 4, 2)
    assert 0 < np.isnan(calibration["corners"]).all(axis=(1, 2)).sum() < 100  # some frames are empty


def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, monkeypatch):
    """Stopped in the second epoch, between its first batch and its second; an epoch has four."""
    train_on_batch = keras.Model.train_on_batch
    trained = []

    def train_until(last):
        def train_and_stop(self, frames, *args, **kwargs):
            if len(trained) == last:
                raise KeyboardInterrupt
            trained.append(frames)
            return train_on_batch(self, frames, *args, **kwargs)

        trained.clear()
        monkeypatch.setattr(keras.Model, "train_on_batch", train_and_stop)

    train_until(None)
    whole = train(TINY, tmp_path / "whole.keras")
    batches_of_the_whole = list(trained)
    train_until(5)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "stopped.keras")
    assert not (tmp_path / "stopped.keras").exists()
    train_until(None)
    resumed = train(TINY, tmp_path / "stopped.keras")
    assert len(batches_of_the_whole) == 8
    np.testing.assert_array_equal(trained, batches_of_the_whole[5:])
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_other_settings_are_not_mixed_into_a_stopped_training(tmp_path, pool):
    with pytest.raises(DataError, match="other settings"):
        FramePool(pool.folder, count=200, size=64, seed=1)


@pytest.mark.parametrize("size", [0, 20_000], ids=["empty", "truncated"])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path, size):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", {"seed": 0})
    checkpoint.save(model, 1, 2)
    assert checkpoint.load(model) == (1, 2)
    os.truncate(checkpoint.file, size)
    with pytest.raises(DataError, match=r"checkpoint\.npz cannot be read .* delete it to start anew"):
        checkpoint.load(model)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"count": 200}'], ids=["empty", "cut", "a list", "keys missing"])
def test_a_damaged_pool_is_one_clear_error(tmp_path, content):
    (tmp_path / "pool.json").write_text(content)
    with pytest.raises(DataError, match=r"pool\.json is damaged .* to start anew"):
        FramePool(tmp_path, count=200, size=64, seed=0)


def test_lost_frames_are_one_clear_error(tmp_path, pool):
    (tmp_path / "pool.json").write_bytes((pool.folder / "pool.json").read_bytes())
    with pytest.raises(DataError, match=r"frames\.npy cannot be read"):
        FramePool(tmp_path, count=200, size=64, seed=0)


@pytest.fixture
def full_disk():
    """No file grows beyond 100 kB: the same errors as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_frames_that_do_not_fit_on_the_disk_are_refused_before_any_is_made(tmp_path, full_disk):
    with pytest.raises(DataError, match=r"cannot make the 2 MB of frames"):
        FramePool(tmp_path / "frames", count=200, size=64, seed=0)
    assert not list((tmp_path / "frames").iterdir())


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(tmp_path, full_disk):
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", {"seed": 0})
    small, large = (
        keras.Sequential([keras.Input((size,)), keras.layers.Dense(size)], name="same") for size in (10, 200)
    )
    for model in (small, large):
        model.compile("sgd", "mse")
    checkpoint.save(small, 1, 2)
    with pytest.raises(DataError, match=r"checkpoint\.npz cannot be written"):
        checkpoint.save(large, 3, 4)
    assert checkpoint.load(small) == (1, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_a_model_that_does_not_fit_leaves_the_last_one(tmp_path, full_disk):
    (tmp_path / "stn.keras").write_text("the last one")
    model = keras.Sequential([keras.Input((200,)), keras.layers.Dense(200)])
    with pytest.raises(DataError, match=r"stn\.keras cannot be written"), partial_file(tmp_path / "stn.keras") as file:
        model.save(file)
    assert (tmp_path / "stn.keras").read_text() == "the last one"
    assert [file.name for file in tmp_path.iterdir()] == ["stn.keras"]


def test_a_killed_synthesis_is_one_clear_error(tmp_path, monkeypatch):
    """Each worker is given a synthesiser that kills it, and calls that when it starts."""
    killer = functools.partial(signal.raise_signal, signal.SIGKILL)
    monkeypatch.setattr(frame_pool, "FrameSynthesiser", lambda **_: killer)
    monkeypatch.setattr(frame_pool, "_start_worker", operator.methodcaller("__call__"))
    with pytest.raises(DataError, match="was killed"):
        FramePool(tmp_path, count=200, size=64, seed=0)


def test_progress_of_a_resumed_synthesis_counts_frames(tmp_path, monkeypatch):
    """Of 201 frames the first 200 are there: 1 is missing, not a chunk of 200."""
    seen = []

    class Recorded(Progress):
        def __init__(self, what, total, done, unit):
            super().__init__(what, total, done, unit)
            seen.append((total, done))

        def advance(self, count=1, note=""):
            seen.append(count)

    pool = FramePool(tmp_path, count=201, size=16, seed=0)
    state = json.loads((tmp_path / "pool.json").read_text())
    (tmp_path / "pool.json").write_text(json.dumps({**state, "done": [0]}))
    last = np.array(pool.frames[200])
    monkeypatch.setattr(frame_pool, "Progress", Recorded)
    assert (FramePool(tmp_path, count=201, size=16, seed=0).frames[200] == last).all()
    assert seen == [(201, 200), 1]


def test_batches_are_the_same_for_the_same_arguments_and_new_in_each_epoch(pool):
    def first(epoch, start=0):
        options = {"input_shape": (32, 32, 3), "batch_size": 50, "seed": 4}
        return next(batches(pool, epoch, **options, first=start))

    np.testing.assert_array_equal(first(0).frames, first(0).frames)
    assert (first(0).frames != first(1).frames).any()
    assert (first(0, 2).frames != first(0).frames).any()
    assert first(0).frames.dtype == np.float32
    assert 0 <= first(0).frames.min() <= first(0).frames.max() <= 1


def test_augmented_corners_stay_on_the_target(pool):
    """A frame that is white inside its target and black outside shows where each draw has moved the corners."""
    frames, corners = [], []
    for k in range(len(pool)):
        c = np.asarray(pool.corners[k])
        if np.isfinite(c).all() and np.abs(c).max() < 0.95:
            image = np.zeros((64, 64, 3), np.uint8)
            points = np.round((((c + 1) * 64 - 1) / 2) * 16).astype(np.int32)
            cv2.fillConvexPoly(image, points, (255, 255, 255), cv2.LINE_AA, 4)
            frames.append(image)
            corners.append(c)
    painted = object.__new__(FramePool)
    painted.frames, painted.corners, painted._count = np.stack(frames), np.stack(corners), len(frames)
    batch = next(batches(painted, 0, input_shape=(32, 32, 1), batch_size=len(frames), seed=0))
    assert len(frames) > 30
    for frame, quad in zip(batch.frames, batch.corners, strict=True):
        inside = np.zeros((32, 32), np.uint8)
        cv2.fillConvexPoly(inside, np.round((((quad + 1) * 32 - 1) / 2) * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        middle = (frame.min() + frame.max()) / 2
        assert ((frame[..., 0] > middle) != inside).mean() < 0.06


def test_the_command_trains_evaluates_and_refuses_to_overwrite(tmp_path, capsys):
    out = tmp_path / "stn.keras"
    arguments = [*ARGUMENTS, "--epochs", "1", "--hold-out", "20"]
    assert main(["--out", str(out), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "synthesised hold-out" in printed
    assert "overlap (IoU)" in printed
    assert cv2.imread(str(tmp_path / "stn.sheet.png")).shape[1] > 1000
    assert cv2.imread(str(tmp_path / "stn.curve.png")) is not None
    assert load_model(out).output_shape[1] == (None, 8)
    assert main(["--out", str(out), *arguments]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["--evaluate", str(out), "--hold-out", "20"]) == 0
    assert printed.splitlines()[-2] in capsys.readouterr().out


def test_validation_reads_a_folder_with_its_truth(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    truth = {"a.png": [[0, 0], [63, 0], [63, 47], [0, 47]]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    known = read_truth(tmp_path)
    assert known.frames[0].shape == (48, 64, 3)
    errors = summarise(known, [homography_to_corners(np.eye(3), 64, 48)], None)
    assert errors.mean == pytest.approx(100 * np.hypot(0.5, 0.5) / np.hypot(63, 47), rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_frames_that_are_all_empty_have_no_corner_error():
    empty = KnownFrames("empty", (np.zeros((48, 64, 3), np.uint8),), (None,))
    errors = summarise(empty, [homography_to_corners(np.eye(3), 64, 48)], np.array([0.1]))
    assert errors.count == 0
    assert np.isnan([errors.mean, errors.median, errors.p95, errors.centred_box]).all()
    assert errors.score_accuracy == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no truth.json"),
        ("{", "expected"),
        ("[]", "expected"),
        ("{}", "names no image"),
        ('{"b.png": {"x": 0}}', "expected"),
        ('{"b.png": [[0,0],[1,0]]}', "expected"),
        ('{"b.png": [[0,0],[1,0],[1,1],[0,NaN]]}', "expected"),
        ('{"b.png": [[0,0],[1,0],[1,1],[0,1]]}', "b.png"),
        ('{"truth.json": [[0,0],[1,0],[1,1],[0,1]]}', "missing or damaged"),
    ],
    ids=[
        "no truth",
        "broken truth",
        "a list",
        "no images",
        "a dictionary for corners",
        "two corners",
        "a corner that is no number",
        "missing image",
        "no image",
    ],
)
def test_bad_validation_data_is_one_clear_line_before_any_work(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    assert main(["--out", str(tmp_path / "m.keras"), *ARGUMENTS, "--validate", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m.training").exists()


def test_a_truth_that_cannot_be_read_is_one_clear_error(tmp_path):
    (tmp_path / "truth.json").symlink_to("/proc/self/mem")  # its first byte cannot be read, by root neither
    with pytest.raises(DataError, match=r"truth\.json cannot be read"):
        read_truth(tmp_path)


def test_grey_validation_images_are_read_as_colour(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64), 7, np.uint8))
    (tmp_path / "truth.json").write_text('{"a.png": [[0, 0], [63, 0], [63, 47], [0, 47]]}')
    np.testing.assert_array_equal(read_truth(tmp_path).frames[0], np.full((48, 64, 3), 7, np.uint8))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["--out", "a.keras", "--evaluate", "b.keras"], 2),
        (["--out", "a.h5"], 2),
        (["--evaluate", "no.keras"], 1),
        (["--out", "folder.keras", "--overwrite"], 2),
        (["--out", "file/a.keras"], 2),
        (["--out", "file/folder/a.keras"], 2),
        (["--out", "/dev/full/a.keras"], 2),
        (["--out", f"{'a' * 300}.keras"], 2),
        (["--out", "a.keras", "--samples", "10", "--batch-size", "20"], 2),
        (["--out", "a.keras", "--input-shape", "32x32x2"], 2),
        (["--unknown"], 2),
        (["--out", "a.keras", "--input-shape", "32x32"], 2),
        (["--out", "a.keras", "--width", "-1"], 2),
        (["--out", "a.keras", "--width", "nan"], 2),
        (["--out", "a.keras", "--samples", "0"], 2),
        (["--out", "a.keras", "--epochs", "0"], 2),
        (["--out", "a.keras", "--batch-size", "0"], 2),
        (["--out", "a.keras", "--learning-rate", "-0.1"], 2),
        (["--out", "a.keras", "--learning-rate", "fast"], 2),
        (["--out", "a.keras", "--seed", "-1"], 2),
        (["--out", "a.keras", "--seed", "4294967296"], 2),
        (["--out", "a.keras", "--jobs", "0"], 2),
        (["--out", "a.keras", "--jobs", "1.5"], 2),
        (["--out", "a.keras", "--hold-out", "-1"], 2),
        (["--out", "a.keras", "--prune-steps", "2"], 2),
        (["--evaluate", "a.keras", "--importance", "taylor"], 2),
        (["--out", "a.keras", "--scan", "b.keras"], 2),
        (["--out", "a.refine.keras"], 2),
        (["--out", "a.keras", "--sheet", "missing/a.png"], 2),
    ],
    ids=lambda value: " ".join(value)[:40] or "nothing" if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_clear_line(tmp_path, monkeypatch, capsys, arguments, status):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").touch()
    assert exit_status(arguments) == status
    error = capsys.readouterr().err
    assert error.startswith("stn-train: error: ")
    assert error.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.keras"]


@pytest.mark.parametrize(
    ("size", "layer", "values", "message"),
    [
        ((8, 8, 3), "pose", 6, 'layer named "theta"'),
        ((8, 8, 3), "theta", 4, 'layer named "theta"'),
        ((64,), "theta", 6, "input must be one image"),
        ((8, 8, 2), "theta", 6, "input must be one image"),
    ],
    ids=["no theta", "four theta", "input no image", "two channels"],
)
def test_evaluating_another_kind_of_model_is_one_clear_line(tmp_path, capsys, size, layer, values, message):
    file = tmp_path / "other.keras"
    keras.Sequential([keras.Input(size), keras.layers.Flatten(), keras.layers.Dense(values, name=layer)]).save(file)
    assert main(["--evaluate", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"stn-train: error: {file}: ")
    assert message in error


def test_ctrl_c_keeps_the_state_and_a_second_run_finishes(tmp_path):
    out = tmp_path / "stn.keras"
    command = [sys.executable, "-c", "import sys; from stn_rectify.models.cli import main; sys.exit(main())"]
    command += ["--out", str(out), *ARGUMENTS, "--epochs", "40", "--hold-out", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert not out.exists()
    done = int(np.load(tmp_path / "stn.training" / "checkpoint.npz")["position"][0])
    assert done >= 2
    again = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert again.returncode == 0, again.stderr
    epochs = [line.split()[1] for line in again.stdout.splitlines() if line.startswith("epoch")]
    assert epochs == [f"{epoch}/40" for epoch in range(done + 1, 41)]
    assert load_model(out).output_shape[1] == (None, 8)
    assert not (tmp_path / "stn.training").exists()


def test_a_model_without_a_score_is_evaluated():
    predict = pose_predictor(lightweight_stn((32, 32, 1), width=0.5, features=8, score=False))
    theta, score = predict(np.zeros((3, 32, 32, 1), np.float32))
    assert theta.shape == (3, 6)
    assert score is None


def test_a_training_can_start_from_trained_weights(tmp_path):
    source = TINY.model()
    source.set_weights([w + 0.01 for w in source.get_weights()])
    source.save(tmp_path / "source.keras")
    started = replace(TINY, weights=str(tmp_path / "source.keras")).model()
    for got, expected in zip(started.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_weights_of_another_network_are_refused(tmp_path):
    replace(TINY, width=1.0).model().save(tmp_path / "wide.keras")
    with pytest.raises(DataError, match=r"wide.keras is another network .*--width"):
        replace(TINY, weights=str(tmp_path / "wide.keras")).model()


def test_a_refine_network_starts_with_the_target_where_it_was(tmp_path):
    stn = replace(TINY, refine_margin=0.2).model()
    theta = stn.get_layer("theta").get_weights()[1]
    np.testing.assert_allclose(theta[[0, 4]], 1 / 1.4, rtol=1e-6)


def test_refine_networks_are_told_by_their_names(tmp_path, capsys):
    assert main(["--refine", "--out", str(tmp_path / "labels.keras")]) == 2
    assert "NAME.refine.keras" in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "labels.refine.keras")]) == 2
    assert main(["--refine", "--transform", "affine", "--out", str(tmp_path / "labels.refine.keras")]) == 2
    assert "a refine network is projective" in capsys.readouterr().err
