"""A size for a model that was saved for frames of any."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from stn_rectify.converters.cli import main
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.networks.stn import read_stn
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.input_shape import check_inputs, with_input_shape
from stn_rectify.models import AffineGrid, BilinearSampler
from stn_rectify.models.files import DENSE, RECOGNIZER
from stn_rectify.models.network.keras_file import save_model
from stn_rectify.runtime.errors import ModelFileError, UsageError
from tests.converters.keras_models import save_frames, smooth_frames


def any_size(sizes=(None, None, 3), grid=(24, 32)):
    """An STN whose localization network takes frames of any size."""
    frame = keras.Input(sizes)
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(frame))
    bias = keras.initializers.Constant([0.8, 0.0, 0.1, 0.0, 0.7, 0.0])
    theta = layers.Dense(6, bias_initializer=bias)(features)
    return keras.Model(frame, [BilinearSampler()([frame, AffineGrid(grid, (12, 14))(theta)]), theta], name="open")


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 3)])
def test_a_model_for_any_size_takes_the_one_that_is_said(tmp_path, shape):
    any_size().save(tmp_path / "open.keras")
    parts = read_stn(tmp_path / "open.keras", ConversionOptions(tmp_path, input_shape=shape))
    assert (parts.frame_shape, parts.output_size, parts.batch) == ((24, 32, 3), (12, 14), None)
    frames = smooth_frames((24, 32, 3), 2) / np.float32(255)
    rectified, theta = keras.models.load_model(tmp_path / "open.keras")(frames)
    found = parts.run(frames)
    np.testing.assert_allclose(found["theta"], theta, atol=1e-5)
    np.testing.assert_allclose(found["rectified"], rectified, atol=1e-5)


def everywhere(frame):
    """A dense network; its cells are of 16 pixels."""
    for _ in range(4):
        frame = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(frame)
    return [layers.Conv2D(1, 1)(frame), layers.Conv2D(8, 1)(frame)]


def letters(image):
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    return layers.Dense(3, activation="softmax")(seen)


@pytest.mark.parametrize(
    ("name", "kind", "build"),
    [("open.keras", DENSE, everywhere), ("open.recognizer.keras", RECOGNIZER, letters)],
    ids=["dense", "recognizer"],
)
def test_a_network_of_another_kind_takes_it_too(tmp_path, name, kind, build):
    frame, frames = keras.Input((None, None, 1)), save_frames(tmp_path, (64, 96, 1), 24)
    model = keras.Model(frame, build(frame), name="open")
    save_model(model, tmp_path / name, kind)
    with pytest.raises(ModelFileError, match="say the size with --input-shape HxW"):
        read_networks(tmp_path / name, ConversionOptions(frames))
    (network,) = read_networks(tmp_path / name, ConversionOptions(frames, input_shape=(64, 96)))
    seen = network.calibration.frames[:2]
    assert seen.shape == (2, 64, 96, 1)
    theirs = [np.asarray(output) for output in keras.tree.flatten(model(seen))]
    if kind == DENSE:
        theirs[0] = 1 / (1 + np.exp(-theirs[0]))
    for given, output in zip(network.float_outputs(seen).values(), theirs, strict=True):
        np.testing.assert_allclose(given, output, atol=1e-5)


def test_a_model_of_one_size_keeps_it():
    model = any_size((24, 32, 3))
    assert with_input_shape(model, None) is model
    assert with_input_shape(model, (24, 32)) is model


def _for_one_size():
    frame = keras.Input((None, 32, 1))
    return keras.Model(frame, layers.Reshape((24, 32, 1))(frame), name="open")


REFUSED = {
    "another height": (lambda: any_size((24, None, 3)), (32, 24), UsageError, "frames of 24xanyx3, not of .* 32x24"),
    "other channels": (any_size, (24, 32, 1), UsageError, "frames of anyxanyx3, not of --input-shape 24x32x1"),
    "channels not said": (
        lambda: keras.Model((frame := keras.Input((24, 32, None))), layers.ReLU()(frame)),
        (24, 32),
        UsageError,
        "any number of channels: give --input-shape 24x32xC",
    ),
    "a size that a layer does not take": (_for_one_size, (16, 32), ModelFileError, "does not take frames of 16x32"),
}


@pytest.mark.parametrize(("make", "shape", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_a_size_that_the_model_cannot_have_is_refused(make, shape, error, message):
    with pytest.raises(error, match=message):
        with_input_shape(make(), shape)


@pytest.mark.parametrize("words", ["64", "64,96", "64x0", "1x64x96x3", "64x96x", "axb"])
def test_what_is_no_size_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        main(["a.keras", "--out", "o", "--calibration", "c", "--input-shape", words])
    assert f"{words!r} is neither HxW nor HxWxC" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(None, 3, 28, 32), (1, 1, 28, 28), (None, 3, None, None)])
def test_channels_before_height_and_width_are_refused_with_what_to_do(shape):
    with pytest.raises(
        ModelFileError, match=r"planes: its input is 'x' \[.*channels before height.*Permute\(\(3, 1, 2"
    ):
        check_inputs("planes", {"x": shape})
