"""The turn network: exact in quarter turns; and how its accuracy is counted."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models.evaluation.turn_accuracy import turn_accuracy
from stn_rectify.models.files import TURN
from stn_rectify.models.network.keras_file import load_model, save_model
from stn_rectify.models.network.turn import QuarterTurns, SquaresOfFour, turn_network

SHAPE = (48, 48, 1)


@pytest.fixture(scope="module")
def model():
    """A network with statistics and a head, as after a training."""
    model = turn_network(SHAPE, width=0.5)
    rng = np.random.default_rng(3)
    for variable in model.variables:
        if "moving_mean" in variable.path:
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif "uprightness" in variable.path:
            variable.assign(rng.normal(0, 2, variable.shape))
    return model


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).random((3, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_picture_gives_the_same_one_class_further(model, pictures, quarters):
    """A picture turned counterclockwise must be turned clockwise by as much more."""
    upright = model.predict(pictures, verbose=0)
    turned = model.predict(np.rot90(pictures, quarters, axes=(1, 2)), verbose=0)
    assert np.ptp(upright, axis=1).min() > 1e-3, "it says the same of all turns"
    np.testing.assert_allclose(turned, np.roll(upright, quarters, axis=1), atol=2e-4)


def test_the_pictures_are_turned_clockwise_and_those_of_a_turn_stay_together(pictures):
    expected = np.concatenate([np.rot90(pictures, -quarters, axes=(1, 2)) for quarters in range(4)])
    np.testing.assert_array_equal(np.asarray(QuarterTurns()(pictures)), expected)


def test_a_convolution_of_squares_is_one_of_pixels_at_stride_two():
    rng = np.random.default_rng(2)
    picture, kernel = rng.random((2, 10, 14, 3)).astype(np.float32), rng.normal(size=(4, 4, 3, 5)).astype(np.float32)
    squares = SquaresOfFour()(picture)
    assert squares.shape == (2, 5, 7, 12) == SquaresOfFour().compute_output_shape(picture.shape)
    regrouped = kernel.reshape(2, 2, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 12, 5)
    of_pixels = keras.ops.conv(picture, kernel, strides=2, padding="valid")
    np.testing.assert_allclose(keras.ops.conv(squares, regrouped), of_pixels, atol=1e-4)


def test_its_file_computes_the_same(model, pictures, tmp_path):
    save_model(model, tmp_path / "some.turn.keras", TURN)
    again = load_model(tmp_path / "some.turn.keras")
    np.testing.assert_allclose(again.predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=1e-6)


@pytest.mark.parametrize("shape", [(48, 64, 1), (40, 40, 1)])
def test_sides_that_a_turn_would_change_are_refused(shape):
    with pytest.raises(ValueError, match="both sides must be the same multiple of 16"):
        turn_network(shape)


def test_accuracy_counts_what_is_right_what_is_sure_and_what_is_spoilt():
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 0.1, 0.9]], np.float32)
    accuracy = turn_accuracy("four", probabilities, np.array([0, 0, 0, 3]), threshold=0.7)
    assert (accuracy.count, accuracy.right, accuracy.sure) == (4, 0.5, 0.75)
    assert accuracy.wrong_upright == pytest.approx(1 / 3)
    assert str(accuracy).startswith("four: 4 looks, 50.0 % right, 75.0 % sure (from 0.7 on), 33.33 %")
