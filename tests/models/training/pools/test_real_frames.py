"""Annotated real frames in trainings: their place among synthesised ones, their corners, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.synthesis.scenes import MAX_TARGETS
from stn_rectify.models.training.dense_training import DenseRecipe
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pools.real_frames import RealFrames, read_real_frames
from stn_rectify.models.training.pools.real_scenes import real_scene
from stn_rectify.models.training.pools.scene_pool import SCENE_SIZE, ScenePool
from stn_rectify.models.training.pose_training import TrainingRecipe
from stn_rectify.models.training.samples.frame_batches import batches
from stn_rectify.runtime.annotations import read_annotations
from stn_rectify.runtime.errors import DataError
from tests.models.command.test_training_command import ARGUMENTS

TARGET = np.array([[40.0, 30], [120, 36], [116, 90], [36, 84]])
WHITE = (255, 255, 255)


def painted(*targets, size=(200, 150)):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for corners in targets:
        cv2.fillConvexPoly(image, np.round(corners * 16).astype(np.int32), WHITE, cv2.LINE_AA, 4)
    return image


def save_folder(folder, frames):
    """Targets are white on black: so pictures show where they are."""
    folder.mkdir(exist_ok=True)
    for name, targets in frames.items():
        cv2.imwrite(str(folder / name), painted(*targets))
    truth = {name: [corners.tolist() for corners in targets] for name, targets in frames.items()}
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def inside(corners, size):
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, np.round(np.asarray(corners) * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return mask.astype(bool)


@pytest.mark.parametrize(("share", "places"), [(0.5, 5), (0.3, 3), (1, 10)])
def test_real_frames_stand_evenly_among_the_samples_and_come_again(tmp_path, share, places):
    read = read_annotations(save_folder(tmp_path, {"a.png": [TARGET], "b.png": [TARGET]}))
    real = RealFrames(read.frames, share)
    chosen = [real.at(k) for k in range(10)]
    given = [frame.path.name for frame in chosen if frame is not None]
    assert given == (["a.png", "b.png"] * 5)[:places]
    assert chosen[:5].count(None) in (int(5 * (1 - share)), int(5 * (1 - share)) + 1)


def test_more_frames_than_places_are_thinned_out_evenly_and_said_so(tmp_path, capsys):
    save_folder(tmp_path, {f"{k}.png": [TARGET] for k in range(9)})
    real = read_real_frames([tmp_path], 0.5, 10)
    assert [frame.path.name for frame in real.frames] == ["0.png", "2.png", "4.png", "6.png", "8.png"]
    printed = capsys.readouterr().out
    assert "truth.json, 9 frames with 9 targets" in printed
    assert "5 of 9 annotated frames have a place among the samples" in printed


def test_behind_a_dense_network_each_frame_has_a_place_in_both_pools(tmp_path, monkeypatch):
    save_folder(tmp_path, {f"{k}.png": [TARGET] for k in range(8)})
    recipe = TrainingRecipe(samples=9, frames=(str(tmp_path),), frames_share=1.0)
    monkeypatch.setattr(TrainingRecipe, "behind_dense", True)
    real = recipe.read_frames()
    assert len(real.frames) == 4
    assert {real.at(k).path for k in range(4)} == {frame.path for frame in real.frames}


def test_frames_without_any_target_are_nothing_to_learn_from(tmp_path):
    save_folder(tmp_path, {"a.png": []})
    with pytest.raises(DataError, match="no annotated frame shows a target"):
        read_real_frames([tmp_path], 1, 10)
    assert read_real_frames([], 1, 10) is None


@pytest.fixture
def mixed(tmp_path):
    """A pool of four items: synthesised, real, synthesised, real and empty."""
    small = TARGET * 0.1 + 5
    folder = save_folder(tmp_path / "frames", {"a.png": [small, TARGET], "b.png": []})
    real = read_real_frames([folder], 0.5, 4)
    return FramePool(tmp_path / "pool", count=4, size=64, seed=0, real=real), real


def test_a_pool_holds_the_largest_target_of_each_real_frame_where_it_is(mixed, pool):
    frames, _ = mixed
    np.testing.assert_array_equal(frames.frames[0], pool.frames[0])  # as without real ones
    corners = ((np.asarray(frames.corners[1], np.float64) + 1) * 64 - 1) / 2
    np.testing.assert_allclose((corners + 0.5) * [200 / 64, 150 / 64] - 0.5, TARGET, atol=1e-3)
    white = frames.frames[1][..., 0] > 127
    assert (white != inside(corners, (64, 64))).mean() < 0.03
    assert np.isnan(frames.corners[3]).all()
    batch = next(batches(frames, 0, input_shape=(32, 32, 3), batch_size=4, seed=0))
    assert batch.present.sum() == np.isfinite(frames.corners).all(axis=(1, 2)).sum()


def test_a_pool_of_other_real_frames_is_not_gone_on_with(mixed):
    frames, real = mixed
    arguments = {"count": 4, "size": 64, "seed": 0}
    FramePool(frames.folder, **arguments, real=real)
    for other in (None, RealFrames(real.frames[:1], 0.5), RealFrames(real.frames, 1)):
        with pytest.raises(DataError, match="made with other settings"):
            FramePool(frames.folder, **arguments, real=other)


def test_a_pool_that_is_older_than_real_frames_is_gone_on_with(tmp_path):
    FramePool(tmp_path, count=2, size=16, seed=0)
    state = json.loads((tmp_path / "pool.json").read_text())
    assert state.pop("real") is None
    (tmp_path / "pool.json").write_text(json.dumps(state))
    assert len(FramePool(tmp_path, count=2, size=16, seed=0)) == 2


def test_a_real_frame_that_is_lost_before_it_is_read_is_one_clear_error(tmp_path):
    folder = save_folder(tmp_path / "frames", {"a.png": [TARGET]})
    real = read_real_frames([folder], 1, 2)
    (folder / "a.png").unlink()
    with pytest.raises((DataError, FileNotFoundError), match=r"a\.png"):
        FramePool(tmp_path / "pool", count=2, size=16, seed=0, real=real)


def test_real_targets_are_never_mirrored():
    """They have one side that is up, as the user's own pictures of targets have."""
    assert not TrainingRecipe().has_own_targets
    assert not DenseRecipe().has_own_targets
    assert TrainingRecipe(frames=("labelled",)).has_own_targets
    assert DenseRecipe(frames=("labelled",)).has_own_targets
    assert replace(TrainingRecipe(), targets="pictures").has_own_targets


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames", "missing"], "there is no such folder"),
        (["--frames", "."], "no annotations"),
        (["--frames-share", "0.3"], "--frames-share needs --frames"),
        (["--frames", ".", "--frames-share", "0"], "not a number above 0 and at most 1"),
    ],
)
def test_wrong_options_of_real_frames_are_one_clear_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["pose", "--out", "m.keras", *ARGUMENTS, *options])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status != 0
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m.training").exists()


def test_the_command_trains_on_real_frames_alone(tmp_path, capsys):
    folder = save_folder(tmp_path / "frames", {"a.png": [TARGET], "b.png": [TARGET + 20], "c.png": []})
    options = ["--frames", str(folder), "--frames-share", "1", "--validate", str(folder), "--hold-out", "0"]
    out = tmp_path / "m.keras"
    assert main(["pose", "--out", str(out), *ARGUMENTS, "--epochs", "1", *options]) == 0
    assert capsys.readouterr().out.count("truth.json, 3 frames with 2 targets, 1 without") == 2
    assert load_model(out).output_shape[1] == (None, 8)
    corners = np.load(tmp_path / "m.calibration.npz")["corners"]
    assert np.isnan(corners).all(axis=(1, 2)).mean() == pytest.approx(1 / 3, abs=0.02)


def test_a_scene_of_a_real_frame_is_stretched_with_its_targets(tmp_path):
    (frame,) = read_annotations(save_folder(tmp_path, {"a.png": [TARGET]})).frames
    scene = real_scene(frame, SCENE_SIZE)
    assert scene["frames"].shape == (360, 480, 3)
    np.testing.assert_allclose(scene["corners"][0], (TARGET + 0.5) * 2.4 - 0.5, rtol=1e-6)
    assert np.isnan(scene["corners"][1:]).all()
    white = scene["frames"][..., 0] > 127
    assert (white != inside(scene["corners"][0], (480, 360))).mean() < 0.01


def test_of_more_targets_than_a_scene_has_the_smallest_are_painted_over(tmp_path):
    """So that no cell is told that a target is background."""
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    targets = [square * side + (5 + 24 * k, 20) for k, side in enumerate((8, 20, 19, 18, 17, 16, 15, 7))]
    (frame,) = read_annotations(save_folder(tmp_path, {"a.png": targets})).frames
    scene = real_scene(frame, SCENE_SIZE)
    kept = scene["corners"]
    assert np.isfinite(kept).all()
    assert len(kept) == MAX_TARGETS
    np.testing.assert_allclose(kept[0], (targets[1] + 0.5) * 2.4 - 0.5, rtol=1e-6)
    white = scene["frames"][..., 0] > 127
    shown = np.any([inside(corners, (480, 360)) for corners in kept], axis=0)
    assert (white & ~cv2.dilate(shown.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)).sum() == 0
    assert white[shown].mean() > 0.95


def test_a_pool_of_scenes_holds_real_frames_and_knows_plates_by_their_label(tmp_path):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), painted(TARGET))
    shapes = [{"label": label, "shape_type": "polygon", "points": TARGET.tolist()} for label in ("Plate", "page")]
    for name, shape in zip(("a", "b"), shapes, strict=True):
        (tmp_path / f"{name}.json").write_text(json.dumps({"imagePath": f"{name}.png", "shapes": [shape]}))
    real = read_real_frames([tmp_path], 1, 2)
    scenes = ScenePool(tmp_path / "pool", count=2, seed=0, real=real)
    assert scenes.plates[:, 0].tolist() == [True, False]
    np.testing.assert_allclose(scenes.corners[1, 0], TARGET * 2.4 - 0.5, rtol=1e-5)  # labelme counts from edges
    np.testing.assert_array_equal(scenes.frames[0], real_scene(real.frames[0], SCENE_SIZE)["frames"])


@pytest.mark.parametrize("subcommand", ["pose", "dense"])
def test_checkpoints_of_trainings_without_real_frames_say_nothing_of_them(subcommand, tmp_path):
    """So trainings that were begun before there were any go on."""
    recipe = {"pose": TrainingRecipe, "dense": DenseRecipe}[subcommand](samples=100)
    assert not any(name.startswith("frames") for name in recipe.settings(None))
    read = read_annotations(save_folder(tmp_path, {"a.png": [TARGET]}))
    one, other = (recipe.settings(RealFrames(read.frames, share)) for share in (0.5, 1))
    assert one != other
    assert len(one["frames"]) == 64
