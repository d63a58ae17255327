"""`ThinPlateSplineGrid`, and the pose supervision of its θ."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.models import BilinearSampler, ThinPlateSplineGrid, lightweight_stn, stn_cost
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.refined_pose import find_targets
from stn_rectify.models.network.poses import CornerLoss, corners_to_control_points, theta_to_corners
from stn_rectify.runtime.evaluation.corner_errors import summarise
from stn_rectify.runtime.geometry import (
    CONTROL_POINTS,
    UNIT_CORNERS,
    corners_to_homography,
    identity_theta,
    normalised_to_pixels,
    transform_points,
)
from tests.spline_truth import spline_points

SIZES = [
    pytest.param((16, 16), (16, 16), id="square"),
    pytest.param((9, 14), (9, 14), id="non-square"),
    pytest.param((12, 7), (5, 21), id="other output size"),
    pytest.param((1, 8), (4, 1), id="one row to one column"),
]


def scattered(rng, count, spread=0.2):
    return identity_theta("tps") + rng.normal(0, spread, (count, 32))


def output_points(rows, columns):
    x, y = np.meshgrid((2 * np.arange(columns) + 1) / columns - 1, (2 * np.arange(rows) + 1) / rows - 1)
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_the_grid_is_the_spline_in_input_pixels(size, output):
    thetas = scattered(np.random.default_rng(0), 8)
    grid = np.asarray(ThinPlateSplineGrid(size, output)(thetas.astype("float32")))
    to_pixels = normalised_to_pixels(size[1], size[0])
    for theta, found in zip(thetas, grid, strict=True):
        exact = transform_points(to_pixels, spline_points(theta, output_points(*output)))
        np.testing.assert_allclose(found.reshape(-1, 2), exact, atol=2e-5 * max(size))


@pytest.mark.parametrize("size", [1, 2, 31, 50, 64, 97, 224])
def test_identity_theta_returns_the_image_exactly(size):
    image = np.random.default_rng(size).random((2, size, size + 3, 3)).astype("float32")
    theta = np.tile(identity_theta("tps"), (2, 1)).astype("float32")
    grid = ThinPlateSplineGrid((size, size + 3), (size, size + 3))(theta)
    for padding in ("zeros", "border"):
        np.testing.assert_array_equal(BilinearSampler(padding)([image, grid]), image)


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(3)
    theta, weights = scattered(rng, 1), rng.random((1, 6, 5, 2))
    layer = ThinPlateSplineGrid((7, 9), (6, 5), dtype="float64")
    variable = tf.Variable(theta)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(variable) ** 2 * weights)
    gradient = np.asarray(tape.gradient(value, variable))
    for k in range(32):
        step = 1e-6 * np.eye(32)[k]
        up, down = (float(tf.reduce_sum(layer(theta + s) ** 2 * weights)) for s in (step, -step))
        assert gradient[0, k] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-4)


def test_the_layer_survives_serialisation():
    layer = ThinPlateSplineGrid((4, 5), (6, 7))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


def test_a_saved_model_gives_the_same_outputs(tmp_path):
    model = lightweight_stn((32, 40, 1), transform="tps", width=0.5)
    theta = model.get_layer("theta")
    theta.kernel.assign(np.random.default_rng(0).normal(0, 0.01, theta.kernel.shape))
    model.save(tmp_path / "stn.keras")
    frames = np.random.default_rng(1).random((3, 32, 40, 1)).astype("float32")
    for a, b in zip(model(frames), keras.models.load_model(tmp_path / "stn.keras")(frames), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {s.stage: s.macs for s in stn_cost(model).stages}["grid"] == 32 * 40 * 32


def test_corners_of_theta_are_its_corner_points():
    theta = scattered(np.random.default_rng(4), 5)
    expected = [spline_points(t, UNIT_CORNERS) for t in theta]
    np.testing.assert_allclose(theta_to_corners(theta.astype("float32")), expected, atol=1e-5)


def test_control_points_of_a_flat_target_are_those_of_its_homography():
    rng = np.random.default_rng(5)
    corners = 0.6 * UNIT_CORNERS + rng.normal(0, 0.1, (20, 4, 2))
    found = np.asarray(corners_to_control_points(corners.astype("float32")))
    to_pixels = normalised_to_pixels(64, 64)
    for quadrilateral, points in zip(corners, found, strict=True):
        homography = corners_to_homography(transform_points(to_pixels, quadrilateral), 64, 64)
        np.testing.assert_allclose(points, transform_points(homography, CONTROL_POINTS), atol=1e-5)


def test_the_loss_sees_more_of_a_spline_than_its_corners():
    corners = (0.6 * UNIT_CORNERS)[None].astype("float32")
    truth = 0.6 * identity_theta("tps")[None]
    bulged = truth.copy()
    bulged[0, 2 * 5] += 0.1  # a point inside: the corners stay
    loss = CornerLoss()
    assert float(loss(corners, truth.astype("float32"))) < 1e-8
    assert float(loss(corners, bulged.astype("float32"))) > 1e-3


def test_frames_without_a_target_do_not_spoil_the_loss():
    """Their corners are zeros, which no homography has; their weight is 0, and 0 · NaN would be NaN."""
    corners = np.stack([0.6 * UNIT_CORNERS, np.zeros((4, 2))]).astype("float32")
    theta = tf.Variable(np.tile(identity_theta("tps"), (2, 1)).astype("float32"))
    with tf.GradientTape() as tape:
        value = CornerLoss()(corners, theta, sample_weight=np.array([1.0, 0.0], "float32"))
    assert np.isfinite(float(value))
    assert np.isfinite(np.asarray(tape.gradient(value, theta))).all()


@pytest.mark.slow
def test_a_few_steps_of_training_lower_the_loss():
    stn = lightweight_stn((32, 32, 1), transform="tps", width=0.5)
    pose = keras.Model(stn.input, stn.get_layer("theta").output)
    pose.compile(keras.optimizers.AdamW(1e-2), loss=CornerLoss())
    frames = np.random.default_rng(6).random((4, 32, 32, 1)).astype("float32")
    corners = np.tile((0.6 * UNIT_CORNERS).astype("float32"), (4, 1, 1))
    losses = [float(np.ravel(pose.train_on_batch(frames, corners))[0]) for _ in range(6)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_corner_errors_of_a_spline_are_reported():
    model = lightweight_stn((32, 32, 3), transform="tps", width=0.5)
    frame = np.zeros((48, 64, 3), np.uint8)
    whole = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 47.5], [-0.5, 47.5]])
    known = KnownFrames("one", (frame,), (whole,))
    errors = summarise(known, find_targets(model, None, known.frames)[0].corners, None)
    assert errors.mean == pytest.approx(0, abs=1e-4)
