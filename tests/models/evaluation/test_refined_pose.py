"""Poses of Keras networks after refinement passes, and what `stn-train` says of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from stn_rectify.models.command.cli import main
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.network.stn import lightweight_stn
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import corner_error, homography_to_corners
from stn_rectify.runtime.rectifying.refining.refinement import compose

ROOT = Path(__file__).parents[3]
MODELS, SAMPLE = ROOT / "models" / "data", ROOT / "runtime" / "data" / "demo.jpg"
WIDTH, HEIGHT = 96, 72
FRAMES = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
WHOLE = homography_to_corners(np.eye(3), WIDTH, HEIGHT)


def small_network(name="stn", shape=(32, 32, 3), **options):
    keras.utils.set_random_seed(1)
    return lightweight_stn(shape, transform="projective", width=0.5, features=8, name=name, **options)


def with_pose(model, theta):
    model.get_layer("theta").bias.assign(theta)
    return model


def test_passes_compose_poses_as_the_runtime_does():
    """The kernels of θ are zero: each network says the same of every frame."""
    scan = with_pose(small_network(), [0.5, 0, 0.1, 0, 0.5, 0, 0, 0])
    refine = with_pose(small_network("refine"), [0.65, 0.02, 0.05, 0, 0.7, 0, 0.05, 0])
    found = find_targets(scan, refine, FRAMES, passes=2, margin=0.2)
    assert len(found) == 3
    pose = np.array([[0.5, 0, 0.1], [0, 0.5, 0], [0, 0, 1]])
    seen = np.array([[0.65, 0.02, 0.05], [0, 0.7, 0], [0.05, 0, 1]])
    for one in found:
        for corners in one.corners:
            np.testing.assert_allclose(corners, homography_to_corners(pose, WIDTH, HEIGHT), atol=1e-3)
        pose = compose(pose, seen, 0.2)
    assert (found[1].score < found[0].score).all()  # the product of both
    alone = find_targets(scan, None, FRAMES[:1], passes=1)
    np.testing.assert_array_equal(alone[0].corners, alone[1].corners)


def test_an_unusable_pose_is_the_whole_frame_and_stops_refinement():
    mirrored = with_pose(small_network(), [-0.5, 0, 0, 0, 0.5, 0, 0, 0])
    refine = with_pose(small_network("refine"), [0.5, 0, 0, 0, 0.5, 0, 0, 0])
    for one in find_targets(mirrored, refine, FRAMES, passes=2):
        np.testing.assert_allclose(one.corners[0], WHOLE)
        assert (one.score == 0).all()
    scan = with_pose(small_network(), [0.5, 0, 0, 0, 0.5, 0, 0, 0])
    flips = with_pose(small_network("refine"), [-0.7, 0, 0, 0, 0.7, 0, 0, 0])
    first, second = find_targets(scan, flips, FRAMES[:1], passes=1)
    np.testing.assert_array_equal(first.corners, second.corners)


def test_passes_begin_at_what_a_dense_network_is_surest_of():
    """The bundled networks, on the sample, and on a frame that shows nothing."""
    scan, refine = (load_model(MODELS / name) for name in ("general.keras", "general.refine.keras"))
    sample = cv2.imread(str(SAMPLE))
    truth = np.array(json.loads(SAMPLE.with_suffix(".truth.json").read_text())[SAMPLE.name])
    found = find_targets(scan, refine, [sample, np.zeros_like(sample)], passes=2)
    errors = [float(corner_error(one.corners[0], truth)) for one in found]
    assert errors[0] < 0.1
    assert errors[2] < 0.02 < errors[0]
    for one in found:
        assert one.score[1] == 0 < 0.5 < one.score[0]
        np.testing.assert_allclose(one.corners[1], homography_to_corners(np.eye(3), *sample.shape[1::-1]))


def test_a_refine_network_of_six_numbers_is_refused():
    affine = lightweight_stn((32, 32, 3), transform="affine", width=0.5, features=8)
    with pytest.raises(DataError, match="8 numbers"):
        find_targets(small_network(), affine, FRAMES[:1], passes=1)


def test_evaluate_takes_the_refine_network_along_and_writes_a_sheet(tmp_path, capsys):
    small_network().save(tmp_path / "pair.keras")
    small_network("refine", initial_scale=1 / 1.4).save(tmp_path / "pair.refine.keras")
    for name, frame in zip("ab", FRAMES, strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    target = [[20, 10], [70, 12], [68, 50], [22, 52]]
    (tmp_path / "truth.json").write_text(json.dumps({"a.png": target, "b.png": None}))
    sheet = tmp_path.with_suffix(".sheet.png")  # not among the images
    arguments = ["--hold-out", "0", "--validate", str(tmp_path), "--sheet", str(sheet)]
    tables = []
    for name in ("pair.keras", "pair.refine.keras"):
        assert main(["evaluate", str(tmp_path / name), *arguments]) == 0
        tables.append(capsys.readouterr().out.split("wrote ")[0])
    assert tables[0] == tables[1]
    assert f"{tmp_path.name}, 1 pass " in tables[0]
    assert f"{tmp_path.name}, 5 passes" in tables[0]
    assert cv2.imread(str(sheet)).shape[1] > 1000
    (tmp_path / "pair.keras").unlink()
    assert main(["evaluate", str(tmp_path / "pair.refine.keras"), *arguments]) == 0
    assert "pair.keras beside it" in capsys.readouterr().out
