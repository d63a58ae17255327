"""Keras models taken apart, or refused by the layer's name."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.reading import layer_check
from stn_rectify.converters.reading.keras_parts import split_keras_model
from stn_rectify.converters.tflite.builtin_operators import VERSIONS
from stn_rectify.converters.tflite.quantizer import to_tflite
from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.keras_models import save_recognizing_model, smooth_frames, stn_with_trunk
from tests.slow_tests import quick_ones


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


def test_frames_that_were_run_last_are_not_run_again():
    parts = split_keras_model(lightweight_stn((32, 32, 1), width=0.5, features=16))
    runs = []

    def counted(frames):
        runs.append(len(frames))
        return parts.whole(frames)

    counting = replace(parts, whole=counted)
    frames = smooth_frames((32, 32, 1), 3) / np.float32(255)
    first = counting.run(frames)
    first.pop("score")
    assert sorted(counting.run(frames)) == ["rectified", "score", "theta"]
    assert runs == [3]
    np.testing.assert_array_equal(counting.run(frames[::-1])["theta"], counting.run(frames.copy())["theta"][::-1])
    assert runs == [3, 3, 3]


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
    "prelu": lambda x: layers.PReLU(alpha_initializer="uniform")(layers.Conv2D(4, 3)(x)),
    "gelu": lambda x: keras.ops.gelu(layers.Conv2D(4, 3, activation="gelu")(x), approximate=True),
    "separable, pooled": lambda x: layers.GlobalAveragePooling2D()(layers.SeparableConv2D(4, 3)(x)),
}


@pytest.mark.parametrize("trunk", TRUNKS.values(), ids=TRUNKS)
def test_layers_with_an_integer_form_are_taken(trunk):
    assert split_keras_model(stn_with_trunk(trunk)).transform == "affine"


REFUSED = {
    "lstm": (lambda x: layers.LSTM(4, name="memory")(layers.Reshape((16, 48))(x)), "'memory' .* needs .*WHILE"),
    "sine": (lambda x: keras.ops.sin(x), r"\(Sin\) needs SIN"),
    "layer normalization": (lambda x: layers.LayerNormalization(name="norm")(x), "layer 'norm' .* computes in float"),
    "softplus": (
        lambda x: layers.Conv2D(2, 3, activation="softplus", name="soft")(x),
        "layer 'soft' .*activation softplus.* needs LOG",
    ),
    "elu": (
        lambda x: layers.Conv2D(2, 3, activation="elu", name="conv")(x),
        r"layer 'conv' \(Conv2D, activation elu\) computes in float",
    ),
    "leaky relu with a threshold": (
        lambda x: layers.ReLU(threshold=0.2, negative_slope=0.1, name="odd")(x),
        "layer 'odd' .* compares numbers, and bool tensors are no integers",
    ),
    "bounded leaky relu": (lambda x: layers.ReLU(3, negative_slope=0.1, name="odd")(x), "layer 'odd' .* in float"),
    "bicubic": (
        lambda x: layers.UpSampling2D(interpolation="bicubic", name="up")(x),
        r"layer 'up' .*operation ResizeBicubic \('[^']*/ResizeBicubic'\) has no TensorFlow Lite operator",
    ),
}


@pytest.mark.parametrize("refused", quick_ones(REFUSED, "sine", "elu", "bicubic"))
def test_a_layer_without_an_integer_form_is_refused_by_name_and_reason(refused):
    trunk, message = refused
    with pytest.raises(ModelFileError, match=message):
        split_keras_model(stn_with_trunk(trunk))


def _rows(x):
    return layers.Reshape((16, 48))(x)


# What is refused, what the message names instead, and that in its place.
SUBSTITUTES = {
    "lstm": (lambda x: layers.LSTM(4)(_rows(x)), "Conv1D", lambda x: layers.Conv1D(4, 3)(_rows(x))),
    "bidirectional": (
        lambda x: layers.Bidirectional(layers.GRU(4))(_rows(x)),
        "Conv1D",
        lambda x: layers.Conv1D(4, 3, padding="same")(_rows(x)),
    ),
    "layer normalization": (
        lambda x: layers.LayerNormalization()(x),
        "BatchNormalization",
        lambda x: layers.BatchNormalization()(x),
    ),
    "unit normalization": (
        lambda x: keras.ops.normalize(x),
        "BatchNormalization",
        lambda x: layers.BatchNormalization()(x),
    ),
    "three dimensions": (
        lambda x: layers.Conv3D(2, 3)(layers.Reshape((16, 16, 3, 1))(x)),
        "Conv2D and MaxPooling2D",
        lambda x: layers.MaxPooling2D()(layers.Conv2D(2, 3)(x)),
    ),
    "dilated transposed convolution": (
        lambda x: layers.Conv2DTranspose(2, 3, dilation_rate=2)(x),
        "UpSampling2D and a Conv2D",
        lambda x: layers.Conv2D(2, 3, dilation_rate=2)(layers.UpSampling2D()(x)),
    ),
    "bicubic": (
        lambda x: layers.Resizing(8, 8, interpolation="bicubic")(x),
        "interpolation='bilinear'",
        lambda x: layers.Resizing(8, 8, interpolation="bilinear")(x),
    ),
    "negative": (lambda x: -x, "-1.0 [*] x", lambda x: -1.0 * x),
    "square": (lambda x: keras.ops.square(x), "x [*] x", lambda x: x * x),
    "power": (lambda x: x**3, "x [*] x", lambda x: x * x * x),
    "division": (
        lambda x: x / (1 + keras.ops.abs(x)),
        "keras.ops.rsqrt",
        lambda x: x * keras.ops.rsqrt(1 + keras.ops.abs(x)),
    ),
    "deviation": (
        lambda x: keras.ops.std(x, axis=(1, 2)),
        "keras.ops.abs and its mean",
        lambda x: keras.ops.mean(keras.ops.abs(x), axis=(1, 2)),
    ),
    "choice": (
        lambda x: keras.ops.where(x > 0.5, x, 0.5),
        "keras.ops.maximum",
        lambda x: keras.ops.maximum(x, 0.5),
    ),
    "product of all": (lambda x: keras.ops.prod(x, axis=-1), "a [*] b", lambda x: x[..., 0] * x[..., 1] * x[..., 2]),
    "remainder": (lambda x: x % 0.5, "keras.ops.clip", lambda x: keras.ops.clip(x, 0.0, 0.5)),
    "largest": (lambda x: keras.ops.top_k(x, 1)[0], "keras.ops.max", lambda x: keras.ops.max(x, axis=-1)),
    "running sum": (
        lambda x: keras.ops.cumsum(_rows(x), axis=-1),
        "a Dense layer",
        lambda x: layers.Dense(48)(_rows(x)),
    ),
    "logarithm": (lambda x: keras.ops.log(x + 1), "silu", lambda x: keras.ops.silu(x + 1)),
    "sine": (lambda x: keras.ops.sin(x), "tanh", lambda x: keras.ops.tanh(x)),
    "rounding": (lambda x: keras.ops.floor(8 * x), "leave it out", lambda x: 8 * x),
    **{
        refused: (
            lambda x, refused=refused: layers.Conv2D(4, 3, activation=refused)(x),
            named,
            lambda x, named=named: layers.Conv2D(4, 3, activation=named)(x),
        )
        for refused, named in {
            "elu": "leaky_relu", "selu": "leaky_relu", "softplus": "relu", "softsign": "tanh", "mish": "silu",
            "log_sigmoid": "sigmoid", "hard_shrink": "tanh_shrink", "soft_shrink": "tanh_shrink", "squareplus": "relu",
            "sparse_plus": "relu", "sparsemax": "softmax", "sparse_sigmoid": "hard_sigmoid",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", quick_ones(SUBSTITUTES, "negative", "softsign"))
def test_what_is_named_instead_of_a_refused_layer_is_taken(case):
    refused, named, instead = case
    with pytest.raises(ModelFileError, match=f"; replace it by .*{named}"):
        split_keras_model(stn_with_trunk(refused))
    assert split_keras_model(stn_with_trunk(instead)).transform == "affine"


def _sampled(image, grid_of=None, name=None):
    """A small STN of ours on an image; θ is made from another one if it is given."""
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image if grid_of is None else grid_of))
    size = tuple(image.shape[1:3])
    return BilinearSampler(name=name)([image, AffineGrid(size, (12, 12))(layers.Dense(6)(seen))])


FRAME = keras.Input((16, 16, 3), name="frame")
HINT = keras.Input((2,), name="hint")
STRUCTURES = {
    "one after the other": (
        lambda: keras.Model(FRAME, _sampled(_sampled(FRAME), name="second")),
        r"has 2 samplers, one after the other: layer 'second' .*; one can be converted: save each as a model",
    ),
    "beside each other": (
        lambda: keras.Model(FRAME, [_sampled(FRAME), _sampled(FRAME, name="second")]),
        r"has 2 samplers, beside each other: .* and layer 'second' .*; one can be converted: save each as a model",
    ),
    "texts behind the sampler": (
        lambda: keras.Model(FRAME, layers.Dense(5)(layers.Reshape((12, 36))(_sampled(FRAME)))),
        r"output of layer .*shape \[None, 12, 5\].*; for a network that reads texts .* NAME\.recognizer\.keras",
    ),
    "scaled behind the sampler": (
        lambda: keras.Model(FRAME, layers.Rescaling(2.0, name="scaled")(_sampled(FRAME))),
        r"output of layer 'scaled' .*; save the model with the sampler's own image as the output",
    ),
    "a second input": (
        lambda: keras.Model([FRAME, HINT], [_sampled(FRAME), layers.Dense(3)(HINT)]),
        r"has 2 inputs, 'frame' \[any, 16, 16, 3\], 'hint' \[any, 2\].*: save it with constants for the others",
    ),
    "a row of pixels": (
        lambda: keras.Model(HINT, layers.Dense(6)(HINT)),
        r"its input is 'hint' \[any, 2\].*: save it with a layer in front",
    ),
    "any size": (
        lambda: (lambda frame: keras.Model(frame, layers.Conv2D(2, 3)(frame)))(keras.Input((None, None, 1))),
        r"its input is .* \[any, any, any, 1\].*: save it for one size, or .* say the size with --input-shape HxW$",
    ),
    "any size and channels": (
        lambda: (lambda frame: keras.Model(frame, layers.ReLU()(frame)))(keras.Input((8, 8, None))),
        r"its input is .* \[any, 8, 8, any\].*: save it for one size, or .* say the size with --input-shape HxWxC$",
    ),
}


@pytest.mark.parametrize(("make", "message"), STRUCTURES.values(), ids=STRUCTURES)
def test_a_structure_that_a_file_cannot_hold_is_refused_with_what_to_do(make, message):
    with pytest.raises(ModelFileError, match=message):
        split_keras_model(make())


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


def test_equal_layers_are_tried_once(monkeypatch):
    tried = []
    quantize = layer_check.quantize
    monkeypatch.setattr(layer_check, "quantize", lambda *a, **k: tried.append(1) or quantize(*a, **k))

    def trunk(x):
        for filters in (4, 8, 12):
            x = keras.ops.abs(layers.Conv2D(filters, 3)(x))
        return keras.ops.abs(layers.GlobalAveragePooling2D()(x))

    split_keras_model(stn_with_trunk(trunk))
    assert len(tried) == 2  # an image and a row


def test_an_operator_that_the_interpreter_lacks_is_refused(monkeypatch):
    monkeypatch.delitem(VERSIONS, "ABS")
    with pytest.raises(ModelFileError, match=r"\(Absolute\) needs ABS v1, which tflite-runtime .* lacks"):
        split_keras_model(stn_with_trunk(keras.ops.abs))


def test_a_model_of_mixed_precision_is_taken_in_float32():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = stn_with_trunk(lambda x: layers.Conv2D(4, 3, strides=4, activation="relu")(x))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    parts = split_keras_model(model)
    frames = smooth_frames((16, 16, 3), 2) / np.float32(255)
    found = parts.trunk(frames)["features"]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    to_tflite(parts.trunk, (16, 16, 3), "trunk")
    np.testing.assert_allclose(np.asarray(found) @ parts.kernel + parts.bias, parts.run(frames)["theta"], atol=1e-5)


def _stn(theta_layer=None, features=8, shape=(16, 16, 3), batch=None, behind=lambda theta: theta):
    """Input, features, θ and rectified image."""
    frame = keras.Input(shape, batch_size=batch)
    rows = layers.Dense(features, activation="relu", name="features")(layers.Flatten()(frame))
    theta = behind((theta_layer or layers.Dense(6, name="theta"))(rows))
    return frame, rows, theta, BilinearSampler()([frame, AffineGrid(shape[:2], shape[:2])(theta)])


BEHIND_THETA = {
    "linear activation": layers.Activation("linear", dtype="float32"),
    "reshape": layers.Reshape((6,)),
    "cast": lambda theta: keras.ops.cast(theta, "float32"),
}


@pytest.mark.parametrize("behind", BEHIND_THETA.values(), ids=BEHIND_THETA)
def test_what_changes_nothing_may_stand_behind_theta(behind):
    frame, _, theta, rectified = _stn(behind=behind)
    assert split_keras_model(keras.Model(frame, [rectified, theta])).kernel.shape == (8, 6)


def test_a_model_for_one_frame_at_a_time_is_taken():
    frame, _, theta, rectified = _stn(batch=1)
    row = keras.ops.reshape(layers.Conv2D(2, 3, strides=4)(frame), (1, -1))
    outputs = [rectified, theta, layers.Dense(1)(row), layers.Dense(4)(keras.ops.reshape(rectified, (1, -1)))]
    parts = split_keras_model(keras.Model(frame, outputs))
    assert (parts.batch, parts.classes) == (1, 4)
    assert parts.run(np.zeros((3, 16, 16, 3), np.float32))["score"].shape == (3, 1)


def test_an_output_given_twice_counts_once():
    frame, rows, theta, rectified = _stn()
    score = layers.Dense(1)(rows)
    parts = split_keras_model(keras.Model(frame, {"a": rectified, "b": theta, "c": score, "d": score, "e": theta}))
    assert set(parts.run(np.zeros((2, 16, 16, 3), np.float32))) == {"rectified", "theta", "score"}


class TwiceDense(layers.Dense):
    """A user's layer that is not what its weights say."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training)


def _quantized_by_keras():
    frame, _, theta, rectified = _stn()
    model = keras.Model(frame, [rectified, theta])
    model.get_layer("theta").quantize("int8")
    return model


def _with_the_score_as_feature():
    frame, rows, theta, rectified = _stn(features=1)
    return keras.Model(frame, [rectified, theta, rows])


def _with_a_changed_head():
    frame, _, theta, rectified = _stn(TwiceDense(6, name="twice", bias_initializer="ones"))
    return keras.Model(frame, [rectified, theta])


def _diverged(layer):
    frame, _, theta, rectified = _stn()
    scores = layers.Dense(3, name="reader")(layers.Flatten()(rectified))
    model = keras.Model(frame, [rectified, theta, scores])
    kernel, bias = model.get_layer(layer).get_weights()
    kernel[0, 0] = np.nan
    model.get_layer(layer).set_weights([kernel, bias])
    return model


WRONG_WEIGHTS = {
    "quantized head": (_quantized_by_keras, r"'theta' \(Dense\) was quantized by Keras \(int8\)"),
    "score as feature": (_with_the_score_as_feature, "'features' .* gives both the score and all that theta"),
    "changed head": (_with_a_changed_head, r"'twice' \(TwiceDense\) gives a theta that differs"),
    "diverged trunk": (lambda: _diverged("features"), "weights of layer 'features' .* not finite"),
    "diverged recognizer": (lambda: _diverged("reader"), "weights of layer 'reader' .* not finite"),
}


@pytest.mark.parametrize(("make", "message"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_weights_that_do_not_give_theta_are_refused(make, message):
    with pytest.raises(ModelFileError, match=message):
        split_keras_model(make())
