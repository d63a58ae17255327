"""Quantize-aware fine-tuning: it rounds where TensorFlow's INT8 files round, and brings INT8 nearer to float."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.conversion_options import ConversionOptions
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.models import AffineGrid, BilinearSampler, lightweight_stn
from stn_rectify.models.command.cli import main
from stn_rectify.models.network.loading import load_model
from stn_rectify.models.quantization import QuantizeAware
from stn_rectify.models.quantization.fake_quantization import rounded_activation, rounded_kernel
from stn_rectify.runtime.geometry import homography_to_corners, theta_to_homography
from tests.models.small_networks import drifted_stn
from tests.slow_tests import quick_ones

SIZE = 12


@pytest.fixture(scope="module")
def isolated():
    with IsolatedInterpreter() as interpreter:
        yield interpreter


def small_stn(trunk):
    """An STN whose theta is the six features themselves, so that theta shows their rounding."""
    frame = keras.Input((SIZE, SIZE, 3), name="frame")
    x = trunk(frame)
    if len(x.shape) == 4:
        x = layers.Flatten()(layers.Conv2D(6, x.shape[1:3])(x))
    identity = keras.initializers.Identity()
    theta = layers.Dense(6, kernel_initializer=identity, name="theta")(x)
    grid = AffineGrid((SIZE, SIZE), (SIZE, SIZE))(theta)
    stn = keras.Model(frame, [BilinearSampler()([frame, grid]), theta])
    rng = np.random.default_rng(3)
    for layer in stn.layers:
        if isinstance(layer, layers.BatchNormalization):  # with statistics that matter, negative factors among them
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.normal(0.5, 1, n), rng.normal(-0.1, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.2, 3, n)]
            )
        elif layer.name != "theta" and getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.2, layer.bias.shape))
    return stn


def normalised(x, activation=True):
    x = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(x) if activation else x


def residual(x):
    x = normalised(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x))
    y = normalised(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    y = normalised(layers.Conv2D(8, 1, use_bias=False)(y), activation=False)
    return layers.ReLU()(layers.Add()([x, y]))


def branches(x):
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    small = layers.Conv2D(4, 1)(layers.AveragePooling2D(3)(x))
    padded = layers.ZeroPadding2D(1)(layers.Conv2D(4, 5, strides=6)(x))
    return layers.Concatenate()([layers.MaxPooling2D(3)(x), small, padded])


def tutorial(x):
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 5, activation="relu")(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return layers.Dense(6)(layers.Dense(16, activation="sigmoid")(x))


def nested(x):
    inner = [keras.Input((SIZE, SIZE, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
    return layers.SeparableConv2D(8, 3, depth_multiplier=2, activation="relu")(keras.Sequential(inner)(x))


TRUNKS = {
    "convolution": lambda x: layers.Conv2D(8, 3)(x),
    "depthwise with a multiplier": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "residual": residual,
    "branches": branches,
    "tutorial": tutorial,
    "nested": nested,
    "normalization on its own": lambda x: normalised(layers.MaxPooling2D(2)(layers.Conv2D(8, 3)(x))),
    "global pooling": lambda x: layers.Dense(6)(layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x))),
    "average pooling": lambda x: layers.Conv2D(8, 3)(layers.AveragePooling2D(3)(x)),
    "transposed": lambda x: layers.Conv2DTranspose(8, 3, strides=2)(layers.Conv2D(4, 3, strides=2)(x)),
    "tanh": lambda x: layers.Conv2D(8, 3, activation="tanh")(x),
}


def int8_features(stn, head, frames, isolated):
    """What TensorFlow's full-integer quantization gives as input of the layer ``head``, and the size of a level."""
    # TensorFlow's calibration takes what an in-place addition wrote for what it read, unless that is an output as well.
    added = [layer.input[1] for layer in stn.layers if isinstance(layer, layers.Add)]
    outputs = {"features": head.input, **{f"added{k}": x for k, x in enumerate(added)}}
    trunk = keras.Model(stn.input, outputs)
    flatbuffer = quantize(lambda image: trunk(image, training=False), frames, (0.0, 1.0), "trunk")
    details = tf.lite.Interpreter(model_content=flatbuffer).get_signature_runner().get_output_details()
    scale, zero_point = details["features"]["quantization"]
    isolated.load(flatbuffer)
    levels = [isolated.run({"image": (np.round(f[None] * 255) - 128).astype(np.int8)})["features"][0] for f in frames]
    return (np.array(levels, np.float32) - zero_point) * scale, scale


@pytest.mark.parametrize("trunk", quick_ones(TRUNKS, "residual", "branches", "nested"))
def test_it_rounds_where_the_int8_file_rounds(isolated, trunk):
    """Nearly every feature has the same level; where a sum lies between two levels they may differ by one."""
    keras.utils.set_random_seed(0)
    stn = small_stn(trunk)
    frames = np.random.default_rng(1).integers(0, 256, (60, SIZE, SIZE, 3)).astype(np.float32) / 255
    frames[0, 0, 0, :2] = 0, 1  # as the converter does, to show the quantizer the whole range
    aware = QuantizeAware(stn)
    aware.observe(frames)
    int8, level = int8_features(stn, stn.get_layer("theta"), frames, isolated)
    difference = np.abs(np.asarray(aware(frames)[0]) - int8) / level
    assert difference.max() < 1.1
    assert (difference > 0.1).mean() < 0.15


def test_without_rounding_it_is_the_model_itself():
    stn = small_stn(residual)
    frames = np.random.default_rng(1).random((8, SIZE, SIZE, 3)).astype(np.float32)
    exact = np.asarray(QuantizeAware(stn, rounding=False)(frames)[0])
    np.testing.assert_allclose(exact, stn.predict(frames, verbose=0)[1], atol=1e-5)


def test_gradients_pass_through_the_rounding_and_stop_outside_the_range():
    x = tf.Variable([-2.0, -0.3, 0.0, 0.4, 3.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(rounded_activation(x, -1.0, 1.0) * [1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 2, 3, 4, 0])
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(rounded_kernel(kernel, (-1,)) ** 2)
    np.testing.assert_allclose(tape.gradient(y, kernel), 2 * rounded_kernel(kernel, (-1,)), rtol=1e-6)


def test_a_kernel_has_255_levels_in_each_output_channel():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 4)).astype(np.float32) * [1, 10, 100, 0]
    for axes, channels in (((-1,), 4), ((-2, -1), 20)):
        found = np.asarray(rounded_kernel(kernel.astype(np.float32), axes)).reshape(-1, channels)
        exact = kernel.reshape(-1, channels)
        scale = np.maximum(np.abs(exact).max(axis=0), 1e-6) / 127
        np.testing.assert_allclose(found, np.round(exact / scale) * scale, atol=1e-4)


ARGUMENTS = ["--samples", "200", "--batch-size", "50", "--jobs", "1", "--hold-out", "0"]


def int8_theta(file, frames, isolated):
    stn = load_model(file)
    head = next(layer for layer in stn.layers if isinstance(layer, layers.Dense) and layer.units == 6)
    features, _ = int8_features(stn, head, frames, isolated)
    return features @ head.get_weights()[0] + head.get_weights()[1]


def corner_error_px(theta, expected):
    """Mean, at 32 pixels."""
    corners = (homography_to_corners(theta_to_homography(t.astype(np.float64)), 32, 32) for t in (theta, expected))
    return np.linalg.norm(next(corners) - next(corners), axis=-1).mean()


@pytest.mark.slow
def test_a_refine_network_is_tuned_with_crops(tmp_path, capsys):
    source, out = tmp_path / "a.refine.keras", tmp_path / "b.refine.keras"
    lightweight_stn((32, 32, 3), transform="projective", width=0.5, initial_scale=0.7).save(source)
    tuning = ["tune", str(source), *ARGUMENTS, "--epochs", "1"]
    assert main([*tuning, "--out", str(tmp_path / "b.keras")]) == 2
    assert "is called NAME.refine.keras" in capsys.readouterr().err
    assert main([*tuning, "--out", str(out)]) == 0
    corners = np.load(tmp_path / "b.refine.calibration.npz")["corners"]
    # In a crop the target fills about 1 / 1.4 of each side; in whole frames targets are mostly smaller.
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    assert np.median(np.ptp(corners, axis=1)) > 0.55 * 32


@pytest.mark.slow
def test_tuning_brings_the_int8_file_nearer_to_the_float_model(tmp_path, capsys, isolated, with_frames):
    source, out = tmp_path / "source.keras", with_frames(tmp_path / "tuned.keras")
    drifted_stn().save(source)
    tuning = ["tune", str(source), "--out", str(out), *ARGUMENTS, "--epochs", "30"]
    assert main([*tuning, "--learning-rate", "0.003"]) == 0
    assert "epoch 30/30" in capsys.readouterr().out
    frames = np.load(tmp_path / "tuned.calibration.npz")["frames"] / np.float32(255)
    expected = load_model(source).predict(frames, verbose=0)[1]
    before, after = (corner_error_px(int8_theta(file, frames, isolated), expected) for file in (source, out))
    assert after < 0.75 * before
    tuned = load_model(out)
    assert [type(layer) for layer in tuned.layers] == [type(layer) for layer in load_model(source).layers]
    options = ConversionOptions(tmp_path / "tuned.calibration.npz", pose_only=True)
    assert convert(out, tmp_path / "build", options).proof.passed
    assert main(tuning) == 2
    assert "--overwrite" in capsys.readouterr().err
