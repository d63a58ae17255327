"""Keras models taken apart, or refused by the layer's name."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.keras_parts import split_keras_model
from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.keras_models import save_recognizing_model, smooth_frames, stn_with_trunk


def test_the_parts_compute_what_the_model_computes():
    model = lightweight_stn((32, 40, 3), width=0.5, features=16, transform="projective", output_shape=(24, 20))
    parts = split_keras_model(model)
    frames = smooth_frames((32, 40, 3), 4) / np.float32(255)
    rectified, theta, score = model.predict(frames, verbose=0)
    found = parts.run(frames)
    np.testing.assert_allclose(found["rectified"], rectified, atol=1e-5)
    np.testing.assert_allclose(found["theta"], theta, atol=1e-5)
    np.testing.assert_allclose(found["score"], score, atol=1e-5)
    features = np.asarray(parts.trunk(frames)["features"])
    np.testing.assert_allclose(features @ parts.kernel + parts.bias, theta, atol=1e-5)
    assert (parts.transform, parts.padding, parts.output_size, parts.channels) == ("projective", "zeros", (24, 20), 3)


def test_nested_models_are_opened_and_the_recognizer_is_found(tmp_path):
    model = keras.models.load_model(save_recognizing_model(tmp_path, "nested"))
    parts = split_keras_model(model)
    frames = smooth_frames((32, 32, 1), 3) / np.float32(255)
    rectified, _, _, class_scores = model.predict(frames, verbose=0)
    assert parts.classes == 5
    np.testing.assert_allclose(parts.run(frames)["class_scores"], class_scores, atol=1e-5)
    np.testing.assert_allclose(np.asarray(parts.recognizer(rectified)["class_scores"]), class_scores, atol=1e-5)


TRUNKS = {
    "augmentation and dropout": lambda x: layers.Dropout(0.5)(layers.RandomFlip()(x)),
    "swish": lambda x: layers.Conv2D(4, 3, strides=4, activation="silu")(x),
    "transposed convolution": lambda x: layers.Conv2DTranspose(2, 3)(x),
    "attention": lambda x: (lambda t: layers.MultiHeadAttention(1, 4)(t, t))(layers.Reshape((16, 48))(x)),
    "separable, pooled": lambda x: layers.GlobalAveragePooling2D()(layers.SeparableConv2D(4, 3)(x)),
}


@pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)
def test_layers_with_an_integer_form_are_taken(trunk):
    assert split_keras_model(stn_with_trunk(trunk)).transform == "affine"


REFUSED = {
    "lstm": (lambda x: layers.LSTM(4, name="memory")(layers.Reshape((16, 48))(x)), "'memory' .* needs .*WHILE"),
    "sine": (lambda x: keras.ops.sin(x), r"\(Sin\) needs SIN"),
    "layer normalization": (lambda x: layers.LayerNormalization(name="norm")(x), "layer 'norm' .* computes in float"),
    "softplus": (lambda x: layers.Conv2D(2, 3, activation="softplus", name="soft")(x), "layer 'soft' .* needs LOG"),
}


@pytest.mark.parametrize(("trunk", "message"), REFUSED.values(), ids=REFUSED)
def test_a_layer_without_an_integer_form_is_refused_by_name_and_reason(trunk, message):
    with pytest.raises(ModelFileError, match=message):
        split_keras_model(stn_with_trunk(trunk))


def test_a_recognizer_that_sees_more_than_the_rectified_image_is_refused():
    model = lightweight_stn((16, 16, 3), width=0.5, features=8)
    rectified, theta, score = model.outputs
    both = layers.Concatenate(name="both")([rectified, model.inputs[0]])
    scores = layers.Dense(3, name="reader")(layers.Flatten()(both))
    with pytest.raises(ModelFileError, match=r"'reader' .*not only the rectified image but also .*'frame'"):
        split_keras_model(keras.Model(model.inputs, [rectified, theta, score, scores]))


def test_a_recognizer_with_a_layer_that_has_no_integer_form_is_refused():
    model = lightweight_stn((16, 16, 3), width=0.5, features=8)
    rows = layers.Reshape((16, 48))(model.outputs[0])
    scores = layers.Dense(3)(layers.GRU(4, name="reading")(rows))
    with pytest.raises(ModelFileError, match=r"'reading' \(GRU\)"):
        split_keras_model(keras.Model(model.inputs, [*model.outputs, scores]))


def test_a_model_whose_layers_are_hidden_is_refused():
    class Hidden(keras.Model):
        def call(self, x):
            return x

    model = Hidden()
    model.build((None, 8, 8, 3))
    with pytest.raises(ModelFileError, match=r"hidden in the call\(\) of class Hidden"):
        split_keras_model(model)


def test_a_grid_for_another_size_is_refused():
    frame = keras.Input((16, 16, 3))
    theta = layers.Dense(6)(layers.Flatten()(frame))
    rectified = BilinearSampler()([frame, AffineGrid((32, 32), (16, 16), name="wrong")(theta)])
    with pytest.raises(ModelFileError, match=r"'wrong' .*frames of \(32, 32\), the frame is \(16, 16\)"):
        split_keras_model(keras.Model(frame, rectified))
