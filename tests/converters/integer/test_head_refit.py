"""θ's linear function refitted to what quantization left of the features."""

from __future__ import annotations

import numpy as np

from stn_rectify.converters.integer.head_refit import refit_head
from stn_rectify.converters.tflite.graph import Quantization

FEATURES = Quantization(0.05, -128)


def distance(a, b):
    return 30 * np.linalg.norm(a - b, axis=1)


def a_case(count, offset, noise=0.02):
    """Float features, and what a quantized trunk makes of them: a little offset, a little noise, rounded."""
    rng = np.random.default_rng(0)
    features = np.clip(rng.normal(3, 1.5, (count, 12)), 0, 6)
    kernel, bias = rng.normal(0, 0.1, (12, 6)), rng.normal(0, 1, 6)
    theta = features @ kernel + bias
    moved = features + offset + rng.normal(0, noise, features.shape)
    return kernel, bias, np.clip(np.round(moved / 0.05) - 128, -128, 127).astype(np.int8), theta


def test_an_offset_of_the_quantized_features_is_taken_back():
    kernel, bias, features, theta = a_case(120, offset=0.1)
    refit = refit_head(kernel, bias, features, FEATURES, theta, distance)
    assert refit.kept
    assert refit.refitted_error.mean() < 0.5 * refit.trained_error.mean()
    read = ((features + 128.0) * 0.05) @ refit.kernel + refit.bias
    assert distance(read, theta).mean() < 0.5 * refit.trained_error.mean()


def test_trained_weights_stay_where_nothing_can_be_gained():
    kernel, bias, features, _ = a_case(40, offset=0.0, noise=0.0)
    theta = ((features + 128.0) * 0.05) @ kernel + bias  # what the trained weights give for these very features
    refit = refit_head(kernel, bias, features, FEATURES, theta, distance)
    assert refit.refitted_error is not None  # it was tried
    assert not refit.kept
    np.testing.assert_array_equal(refit.kernel, kernel)


def test_few_frames_are_not_fitted():
    kernel, bias, features, theta = a_case(10, offset=0.1)
    refit = refit_head(kernel, bias, features, FEATURES, theta, distance)
    assert not refit.kept
    assert refit.refitted_error is None
    assert [row["kept"] for row in refit.table()] == [True]


def test_the_table_names_the_way_that_is_used():
    kernel, bias, features, theta = a_case(120, offset=0.1)
    rows = refit_head(kernel, bias, features, FEATURES, theta, distance).table()
    assert [row["kept"] for row in rows] == [False, True]
    assert rows[1]["corners_mean_px"] < rows[0]["corners_mean_px"]
