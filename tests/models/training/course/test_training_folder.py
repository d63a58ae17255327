"""The folder of a training: frames, the batches drawn from them, checkpoints; damaged, lost, too large for the disk."""

from __future__ import annotations

import functools
import json
import multiprocessing
import operator
import os
import resource
import signal
import threading
import time

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.files import partial_file
from stn_rectify.models.progress import Progress
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.dense_training import DenseRecipe
from stn_rectify.models.training.pools import frame_pool, stored_pool
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pose_training import TrainingRecipe
from stn_rectify.models.training.reader_training import ReaderRecipe
from stn_rectify.models.training.samples.frame_batches import batches
from stn_rectify.models.training.turn_training import TurnRecipe
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.process.stop_signals import sigterm_as_ctrl_c
from tests.waiting import wait_for


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
    monkeypatch.setattr(stored_pool, "_start_worker", operator.methodcaller("synthesiser"))
    with pytest.raises(DataError, match="was killed"):
        FramePool(tmp_path, count=200, size=64, seed=0)


@pytest.mark.slow
def test_sigterm_ends_the_synthesis_in_the_middle_of_a_chunk(tmp_path):
    def kill_when_a_frame_is_there() -> None:
        frames = tmp_path / "frames.npy"
        wait_for("the first frame", lambda: frames.exists() and np.load(frames, mmap_mode="r")[0].any())
        os.kill(os.getpid(), signal.SIGTERM)

    def synthesise() -> None:
        with sigterm_as_ctrl_c():
            FramePool(tmp_path, count=200, size=64, seed=0)

    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    other.start()
    killer = threading.Thread(target=kill_when_a_frame_is_there)
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        synthesise()
    killer.join()
    still_there = multiprocessing.active_children()
    other.kill()
    other.join()
    assert still_there == [other]  # the pool's are gone, one that is not its own is left alone
    assert not np.load(tmp_path / "frames.npy", mmap_mode="r")[-1].any()  # nobody has waited for the whole chunk
    assert json.loads((tmp_path / "pool.json").read_text())["done"] == []


def test_progress_of_a_resumed_synthesis_counts_frames(tmp_path, monkeypatch):
    """Of 201 frames the first 200 are there: 1 is missing, not a chunk of 200."""
    seen = []

    class Recorded(Progress):
        def __init__(self, task, total, done, unit):
            super().__init__(task, total, done, unit)
            seen.append((total, done))

        def advance(self, count=1, note=""):
            seen.append(count)

    pool = FramePool(tmp_path, count=201, size=16, seed=0)
    state = json.loads((tmp_path / "pool.json").read_text())
    (tmp_path / "pool.json").write_text(json.dumps({**state, "done": [0]}))
    last = np.array(pool.frames[200])
    monkeypatch.setattr(stored_pool, "Progress", Recorded)
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


@pytest.mark.parametrize("recipe", [TrainingRecipe, DenseRecipe, TurnRecipe, ReaderRecipe])
def test_another_network_under_the_same_name_is_another_training(tmp_path, recipe):
    file = tmp_path / "some.keras"
    file.write_bytes(b"one")
    first, untrained = recipe(weights=str(file)).settings(), recipe().settings()
    assert first == recipe(weights=str(file)).settings() != untrained
    assert untrained["weights"] is None
    file.write_bytes(b"another")
    assert recipe(weights=str(file)).settings() != first
