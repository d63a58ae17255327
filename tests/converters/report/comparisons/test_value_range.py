"""A value range that a network was not trained with shows in its poses."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from stn_rectify.converters.networks.stn import StnNetwork
from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.keras_parts import split_keras_model
from stn_rectify.converters.report.comparisons.frame_points import frame_points
from stn_rectify.converters.report.comparisons.value_range import better_value_range, range_nearer_truth
from stn_rectify.models import AffineGrid, BilinearSampler
from stn_rectify.runtime.geometry import UNIT_CORNERS
from tests.converters.keras_models import smooth_frames


def model_for(high, spread=0.1):
    """θ moves by ``spread`` where pixel values go from 0 to ``high``."""
    frame = keras.Input((16, 16, 3))
    flat = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(frame))
    kernel = np.random.default_rng(0).normal(0, 1, (48, 6)) * spread / np.sqrt(48) * 4 / high
    bias = keras.initializers.Constant(np.array([0.8, 0, 0, 0, 0.8, 0]))
    head = keras.layers.Dense(6, bias_initializer=bias)
    theta = head(flat)
    head.kernel.assign(kernel - kernel.mean(axis=0))
    return split_keras_model(keras.Model(frame, BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])))


@pytest.mark.parametrize(
    ("trained_high", "given", "better"),
    [(1.0, (0.0, 1.0), None), (255.0, (0.0, 1.0), (0.0, 255.0)), (1.0, (0.0, 255.0), (0.0, 1.0))],
    ids=["right", "trained with bytes", "trained with shares"],
)
def test_the_range_with_which_poses_are_plausible_is_found(trained_high, given, better):
    frames = smooth_frames((16, 16, 3), 12) / np.float32(255)
    found = better_value_range(model_for(trained_high), frames * np.float32(given[1]), given, 0.11)
    assert (None if found is None else found[0]) == better


def test_a_network_that_gives_one_pose_is_not_blamed_on_the_range():
    frames = smooth_frames((16, 16, 3), 12) / np.float32(255)
    assert better_value_range(model_for(1.0, spread=0.0), frames, (0.0, 1.0), 0.11) is None


@pytest.mark.parametrize(
    ("given", "nearer"), [((0.0, 1.0), None), ((0.0, 3.0), (0.0, 1.0)), ((-1.0, 1.0), (0.0, 1.0))], ids=str
)
def test_the_range_with_which_corners_are_at_the_true_ones_is_found_though_poses_are_plausible(given, nearer):
    parts, shares = model_for(1.0), smooth_frames((16, 16, 3), 12) / np.float32(255)
    theta = np.asarray(parts.run(shares)["theta"], np.float64)
    truth = frame_points(theta, parts.transform, parts.input_size, UNIT_CORNERS)
    seen = shares * np.float32(given[1] - given[0]) + np.float32(given[0])
    found = range_nearer_truth(parts, FrameSet(seen, truth), given)
    assert (None if found is None else found[0]) == nearer
    assert better_value_range(parts, seen, given, 0.11) is None
    assert range_nearer_truth(parts, FrameSet(seen), given) is None


@pytest.mark.parametrize(
    ("truth_is_known", "said"),
    [
        (True, "px from the true ones on average, with 0 255 they are 0 px: try --value-range 0 255"),
        (False, "px: it was probably trained with the latter"),
    ],
)
def test_the_doubt_about_a_range_names_the_other(truth_is_known, said):
    parts, shares = model_for(255.0), smooth_frames((16, 16, 3), 12) / np.float32(255)
    theta = np.asarray(parts.run(255 * shares)["theta"], np.float64)
    truth = frame_points(theta, parts.transform, parts.input_size, UNIT_CORNERS) if truth_is_known else None
    options = SimpleNamespace(value_range=(0.0, 1.0))
    network = SimpleNamespace(parts=parts, options=options, validation=FrameSet(shares, truth))
    (doubt,) = StnNetwork._range_doubts(network, alike=False)
    assert doubt.startswith("with --value-range 0 1 the corners ")
    assert said in doubt
    assert StnNetwork._range_doubts(network, alike=True) == []


def test_a_network_that_is_far_from_the_truth_in_every_range_is_not_blamed_on_it():
    frames = smooth_frames((16, 16, 3), 12)
    corners = np.random.default_rng(0).uniform(0, 2, (12, 1, 2)) + UNIT_CORNERS * 4 + 40
    assert range_nearer_truth(model_for(1.0), FrameSet(frames, corners), (0.0, 255.0)) is None
