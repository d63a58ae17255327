"""Training: it learns, is reproducible, resumes, and `stn-train` says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from stn_rectify.models.checkpoint import Checkpoint
from stn_rectify.models.cli import main
from stn_rectify.models.files import load_model
from stn_rectify.models.synthesis import FrameSynthesiser
from stn_rectify.models.training import TrainingRecipe, pose_predictor, train
from stn_rectify.models.training_frames import FramePool, batches
from stn_rectify.models.validation import KnownFrames, corner_errors, read_truth
from stn_rectify.runtime.errors import DataError

TINY = TrainingRecipe(
    input_shape=(32, 32, 1), width=0.5, features=16, samples=200, epochs=2, batch_size=50, learning_rate=2e-3
)
ARGUMENTS = ["--input-shape", "32x32x1", "--width", "0.5", "--samples", "200", "--batch-size", "50", "--jobs", "1"]


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
    errors = corner_errors(pose_predictor(model), known, (32, 32, 1))
    assert errors.mean < 0.9 * errors.centred_box
    assert not (tmp_path / "stn.training").exists()
    assert np.load(tmp_path / "stn.calibration.npz")["frames"].shape == (200, 32, 32, 1)


def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, monkeypatch):
    whole = train(TINY, tmp_path / "whole.keras")
    saved = Checkpoint.save
    stops = iter([KeyboardInterrupt])

    def save_and_stop(self, model, epoch, batch):
        saved(self, model, epoch, batch)
        raise next(stops, KeyError)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, tmp_path / "stopped.keras")
    assert not (tmp_path / "stopped.keras").exists()
    resumed = train(TINY, tmp_path / "stopped.keras")
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_other_settings_are_not_mixed_into_a_stopped_training(tmp_path, pool):
    with pytest.raises(DataError, match="other settings"):
        FramePool(pool.folder, count=200, size=64, seed=1)


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
    assert "centred box" in printed
    assert load_model(out).output_shape[1] == (None, 8)
    assert main(["--out", str(out), *arguments]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["--evaluate", str(out), "--hold-out", "20"]) == 0
    assert printed.splitlines()[-1] in capsys.readouterr().out


def test_validation_reads_a_folder_with_its_truth(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    truth = {"a.png": [[0, 0], [63, 0], [63, 47], [0, 47]]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    known = read_truth(tmp_path)
    assert known.frames[0].shape == (48, 64, 3)
    errors = corner_errors(lambda f: (np.array([[1, 0, 0, 0, 1, 0.0]]), None), known, (32, 32, 3))
    assert errors.mean == pytest.approx(100 * np.hypot(0.5, 0.5) / np.hypot(63, 47), rel=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no truth.json"), ("{", "expected"), ('{"b.png": [[0,0],[1,0],[1,1],[0,1]]}', "b.png")],
    ids=["no truth", "broken truth", "missing image"],
)
def test_bad_validation_data_is_one_clear_line_before_any_work(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    assert main(["--out", str(tmp_path / "m.keras"), *ARGUMENTS, "--validate", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m.training").exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 2),
        (["--out", "a.keras", "--evaluate", "b.keras"], 2),
        (["--out", "a.h5"], 2),
        (["--evaluate", "no.keras"], 1),
    ],
    ids=["nothing", "both", "wrong suffix", "missing file"],
)
def test_wrong_usage_is_one_clear_line(capsys, arguments, status):
    assert main(arguments) == status
    assert capsys.readouterr().err.startswith("stn-train: error: ")


def test_ctrl_c_keeps_the_state_and_a_second_run_finishes(tmp_path):
    out = tmp_path / "stn.keras"
    command = [sys.executable, "-c", "import sys; from stn_rectify.models.cli import main; sys.exit(main())"]
    command += ["--out", str(out), *ARGUMENTS, "--epochs", "400", "--hold-out", "0"]
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
    checkpoint = tmp_path / "stn.training" / "checkpoint.npz"
    assert np.load(checkpoint)["position"][0] >= 1
    before = checkpoint.stat().st_mtime
    again = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    first_epoch = next(line for line in again.stdout if line.startswith("epoch"))
    again.kill()
    assert int(first_epoch.split()[1].split("/")[0]) > 1
    assert time.time() > before
