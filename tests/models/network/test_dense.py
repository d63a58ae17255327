"""The dense network: one set of weights for frames of any size, answers where they belong."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models.network.dense import CORNER_UNIT_PX, STRIDE, any_size, dense_localization
from stn_rectify.models.network.dense_answers import DensePredictor, pyramid_levels
from stn_rectify.runtime.errors import DataError


def test_it_answers_for_every_cell_at_every_size():
    model = dense_localization((64, 96, 3), width=0.5)
    scores, corners = model(np.zeros((2, 64, 96, 3), np.float32))
    assert scores.shape == (2, 64 // STRIDE, 96 // STRIDE, 2)
    assert corners.shape == (2, 64 // STRIDE, 96 // STRIDE, 8)
    assert float(keras.ops.max(keras.ops.sigmoid(scores))) < 0.1  # untrained it sees nothing
    other = any_size(model)
    frames = np.random.default_rng(1).random((1, 128, 160, 3), np.float32)
    assert other(frames)[0].shape == (1, 16, 20, 2)
    small = frames[:, :64, :96]
    np.testing.assert_allclose(other(small)[1], model(small)[1], atol=1e-5)


def test_a_size_that_is_no_whole_number_of_cells_is_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        dense_localization((120, 160, 3))


def test_levels_are_halves_of_whole_cells():
    assert pyramid_levels(240, 320) == ((240, 320), (128, 160), (64, 80))
    assert pyramid_levels(96, 96) == ((96, 96),)


def planted(row: int, column: int, quadrilateral: np.ndarray, shape: tuple[int, int, int]) -> keras.Model:
    """A network that sees one target at one cell, whatever the frame shows."""
    height, width, _ = shape
    rows, columns = height // STRIDE, width // STRIDE
    middle = np.array([column, row]) * STRIDE + (STRIDE - 1) / 2
    logits = np.full((rows, columns, 1), -9.0, np.float32)
    logits[row, column] = 3.0
    corners = np.zeros((rows, columns, 8), np.float32)
    corners[row, column] = ((quadrilateral - middle) / CORNER_UNIT_PX).ravel()
    frame = keras.Input(shape, name="frame")
    cells = keras.layers.AveragePooling2D(STRIDE)(frame)
    outputs = []
    for name, answer in (("scores", logits), ("corners", corners)):
        zeros = keras.layers.Conv2D(answer.shape[-1], 1, kernel_initializer="zeros", name=name)(cells)
        outputs.append(keras.ops.add(zeros, keras.ops.convert_to_tensor(answer)))
    return keras.Model(frame, outputs)


def test_candidates_are_in_pixels_of_the_frame():
    quadrilateral = np.array([[20.0, 12.0], [60.0, 14.0], [58.0, 40.0], [21.0, 38.0]])
    predictor = DensePredictor(planted(3, 5, quadrilateral, (64, 96, 3)))
    frame = np.zeros((128, 288, 3), np.uint8)  # twice as high as the network's input, three times as wide
    (found,), (again,) = (predictor.candidates([frame], min_score=low, limit=4) for low in (0.5, 0.5))
    assert [round(candidate.score, 3) for candidate in found] == [round(1 / (1 + np.exp(-3)), 3)]
    np.testing.assert_allclose(found[0].corners, (quadrilateral + 0.5) * [3, 2] - 0.5, atol=1e-3)
    np.testing.assert_allclose(found[0].corners, again[0].corners)
    assert predictor.candidates([frame], min_score=0.99, limit=4) == [[]]


def test_another_network_is_refused():
    frame = keras.Input((64, 64, 3))
    with pytest.raises(DataError, match="it is no dense network"):
        DensePredictor(keras.Model(frame, keras.layers.Conv2D(3, 1)(frame)))
