"""SavedModels, which have no layers any more."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.saved_model_parts import split_saved_model
from stn_rectify.models import AffineGrid, BilinearSampler
from stn_rectify.runtime.errors import DataError, ModelFileError
from tests.converters.keras_models import save_model, save_recognizing_model, smooth_frames


def exported(model, folder):
    model.export(folder, verbose=False)
    return folder


@pytest.mark.parametrize(("transform", "padding"), [("affine", "border"), ("projective", "zeros")])
def test_a_saved_model_has_the_parts_of_its_keras_model(tmp_path, transform, padding):
    model = keras.models.load_model(save_model(tmp_path, "stn", transform=transform, padding=padding))
    parts = split_saved_model(exported(model, tmp_path / "stn"))
    assert (parts.transform, parts.padding, parts.classes, parts.has_score) == (transform, padding, None, True)
    theta = model.get_layer("theta")
    np.testing.assert_array_equal(parts.kernel, np.asarray(theta.kernel))
    np.testing.assert_array_equal(parts.bias, np.asarray(theta.bias))
    frames = smooth_frames((32, 32, 3), 3) / np.float32(255)
    rectified, theta, score = model.predict(frames, verbose=0)
    found = parts.run(frames)
    np.testing.assert_allclose(found["theta"], theta, atol=1e-5)
    np.testing.assert_allclose(found["rectified"], rectified, atol=1e-4)
    np.testing.assert_allclose(found["score"], score, atol=1e-5)
    features = np.asarray(parts.trunk(frames)["features"])
    np.testing.assert_allclose(features @ parts.kernel + parts.bias, theta, atol=1e-5)


def test_the_recognizer_of_a_saved_model_is_found(tmp_path):
    model = keras.models.load_model(save_recognizing_model(tmp_path, "nested"))
    parts = split_saved_model(exported(model, tmp_path / "sm"))
    frames = smooth_frames((32, 32, 1), 3) / np.float32(255)
    rectified, _, _, class_scores = model.predict(frames, verbose=0)
    np.testing.assert_allclose(np.asarray(parts.recognizer(rectified)["class_scores"]), class_scores, atol=1e-5)


class AlignedCorners(layers.Layer):
    """Another convention: ±1 are the centres of the outermost pixels."""

    def call(self, inputs):
        frame, grid = inputs
        middle = (frame.shape[1] - 1) / 2
        return BilinearSampler()([frame, (grid - middle) * (1 - 1 / frame.shape[1]) + middle])


def _with_another_sampler(frame, theta):
    return [AlignedCorners()([frame, AffineGrid((16, 16), (16, 16))(theta)]), theta]


def _without_theta(frame, theta):
    return BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])


def _with_bounded_theta(frame, theta):
    theta = layers.Activation("tanh")(theta)
    return [BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)]), theta]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (_with_another_sampler, "is not bilinear sampling at theta in our coordinates"),
        (_without_theta, "no output of its signature is theta"),
        (_with_bounded_theta, "must be a linear function"),
    ],
)
def test_what_is_not_our_stn_is_refused(tmp_path, outputs, message):
    frame = keras.Input((16, 16, 3))
    theta = layers.Dense(6)(layers.Flatten()(frame))
    with pytest.raises(ModelFileError, match=message):
        split_saved_model(exported(keras.Model(frame, outputs(frame, theta)), tmp_path / "odd"))


def test_a_folder_that_cannot_be_loaded_is_one_clear_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is not a SavedModel"):
        split_saved_model(tmp_path)
