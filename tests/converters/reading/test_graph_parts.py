"""SavedModels, which have no layers any more."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from stn_rectify.converters.reading.saved_model_parts import split_saved_model
from stn_rectify.models import AffineGrid, BilinearSampler
from stn_rectify.runtime.errors import DataError, ModelFileError
from tests.converters.keras_models import save_model, save_recognizing_model, smooth_frames, stn_with_trunk


def exported(model, folder):
    model.export(folder, verbose=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("transform", "padding"), [("affine", "border"), ("projective", "zeros")])
def test_a_saved_model_has_the_parts_of_its_keras_model(tmp_path, transform, padding):
    model = keras.models.load_model(save_model(tmp_path, "stn", transform=transform, padding=padding))
    parts = split_saved_model(exported(model, tmp_path / "stn"))
    assert (parts.transform, parts.padding, parts.classes) == (transform, padding, None)
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


@pytest.mark.slow
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


def _with_a_scalar(model, frames):
    rectified, theta = model(frames)
    return {"theta": theta, "rectified": rectified, "loss": tf.reduce_sum(theta)}


def _with_a_class_number(model, frames):
    rectified, theta = model(frames)
    return {"theta": theta, "rectified": rectified, "class": tf.argmax(rectified[:, 0, :, 0], axis=-1)[:, None]}


def _of_bytes(model, frames):
    rectified, theta = model(tf.cast(frames, tf.float32) / 255)
    return {"theta": theta, "rectified": rectified}


ODD_SIGNATURES = {
    "scalar": (_with_a_scalar, tf.float32, r"float32 of shape \(\), is neither"),
    "class number": (_with_a_class_number, tf.float32, r"int64 of shape \(None, 1\), is neither"),
    "bytes": (_of_bytes, tf.uint8, "its input is uint8; export the model with a float32 input"),
}


@pytest.mark.parametrize(("outputs", "dtype", "message"), ODD_SIGNATURES.values(), ids=ODD_SIGNATURES)
def test_a_signature_that_is_not_an_stns_is_refused(tmp_path, outputs, dtype, message):
    module = tf.Module()
    module.model = stn_with_trunk(lambda x: x)
    run = tf.function(lambda frames: outputs(module.model, frames))
    signature = run.get_concrete_function(tf.TensorSpec((None, 16, 16, 3), dtype))
    tf.saved_model.save(module, tmp_path / "odd", signatures=signature)
    with pytest.raises(ModelFileError, match=message):
        split_saved_model(tmp_path / "odd")


def _with_one_feature(model):
    features = layers.Dense(1, name="one")(layers.Flatten()(model.inputs[0]))
    theta = layers.Dense(6)(features)
    rectified = BilinearSampler()([model.inputs[0], AffineGrid((16, 16), (16, 16))(theta)])
    return keras.Model(model.inputs, [rectified, theta, features])


def _with_diverged_weights(model):
    theta = model.get_layer("theta")
    theta.kernel.assign(np.full(theta.kernel.shape, np.nan))
    return model


def _in_half_precision(model):
    model.get_layer("theta").dtype_policy = "mixed_float16"
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with_one_feature, "'.*one.*' gives both the score and all that theta is made from"),
        (_with_diverged_weights, "weights of node '.*theta.*' are not finite: the training diverged"),
        (_in_half_precision, r"node '.*' .* computes in float16; give the \.keras file"),
    ],
)
def test_a_model_that_cannot_become_integers_is_refused_by_its_node(tmp_path, change, message):
    model = change(stn_with_trunk(lambda x: x))
    with pytest.raises(ModelFileError, match=message):
        split_saved_model(exported(model, tmp_path / "odd"))


def test_a_folder_that_cannot_be_loaded_is_one_clear_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is not a SavedModel"):
        split_saved_model(tmp_path)
