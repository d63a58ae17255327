"""`lightweight_stn` and what it costs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.models import lightweight_stn, stn_cost
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import DataError


@pytest.mark.parametrize("localization", ["profiles", "flatten", "pooled"])
@pytest.mark.parametrize(("transform", "size"), [("affine", 6), ("projective", 8), ("tps", 32)])
def test_training_starts_at_the_identity(localization, transform, size):
    frames = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
    rectified, theta, score = lightweight_stn((64, 64, 3), transform=transform, localization=localization)(frames)
    np.testing.assert_array_equal(rectified, frames)
    assert theta.shape == (2, size)
    assert score.shape == (2, 1)
    assert ((np.asarray(score) >= 0) & (np.asarray(score) <= 1)).all()


def test_the_fused_body_has_no_separable_block_where_maps_are_large():
    model = lightweight_stn((64, 64, 3), transform="projective", body="fused", initial_scale=0.5)
    depthwise = [layer for layer in model.layers if layer.name.endswith("_depthwise")]
    assert depthwise
    assert all(layer.input.shape[1:3] == (8, 8) for layer in depthwise)
    frames = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
    _, theta, _ = model(frames)
    np.testing.assert_array_equal(theta, np.tile([0.5, 0, 0, 0, 0.5, 0, 0, 0], (2, 1)))


def test_localization_may_see_a_smaller_copy_than_the_sampler_reads():
    model = lightweight_stn((224, 224, 3), localization_shape=(64, 64), output_shape=(96, 48))
    assert model.output_shape[0] == (None, 96, 48, 3)
    assert model.get_layer("stem").input.shape == (None, 64, 64, 3)
    small = lightweight_stn((64, 64, 3))
    assert model.count_params() == small.count_params()


def test_the_smaller_copy_shows_the_same_place():
    """A gradient keeps its value at every relative position: no half-pixel shift between copy and frame."""
    model = lightweight_stn((150, 150, 1), localization_shape=(64, 64))
    ramp = np.tile((np.arange(150, dtype="float32") + 0.5) / 150, (150, 1))[None, ..., None]
    copy = keras.Model(model.input, model.get_layer("stem").input)(ramp).numpy()[0, 32, :, 0]
    np.testing.assert_allclose(copy[2:-2], (np.arange(64)[2:-2] + 0.5) / 64, atol=2e-3)


def test_a_saved_model_gives_the_same_outputs(tmp_path):
    model = lightweight_stn((32, 40, 1), transform="projective", width=0.5, padding="border")
    theta = model.get_layer("theta")
    theta.kernel.assign(np.random.default_rng(0).normal(0, 0.05, theta.kernel.shape))
    model.save(tmp_path / "stn.keras")
    frames = np.random.default_rng(1).random((3, 32, 40, 1)).astype("float32")
    for a, b in zip(model(frames), load_model(tmp_path / "stn.keras")(frames), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short"], ids=["missing", "empty", "truncated"])
def test_a_file_that_is_no_model_is_one_clear_error(tmp_path, content):
    file = tmp_path / "model.keras"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.keras"):
        load_model(file)


@pytest.mark.parametrize(
    "option", [{"transform": "tilt"}, {"body": "dense"}, {"localization": "global"}, {"padding": "reflect"}], ids=str
)
def test_unknown_options_are_refused(option):
    with pytest.raises(ValueError, match="must be one of"):
        lightweight_stn((64, 64, 3), **option)


def test_cost_counts_what_the_layers_do():
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)  # 64 places · 3·3·3·8
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)  # 64 · 3·3·8
    x = keras.layers.SeparableConv2D(4, 3, padding="same")(x)  # 64 · (3·3·8 + 8·4)
    x = keras.layers.Flatten()(x)
    cost = stn_cost(keras.Model(image, keras.layers.Dense(5)(x)))  # 256·5
    assert cost.macs == 64 * 216 + 64 * 72 + 64 * (72 + 32) + 256 * 5
    assert cost.parameters == (216 + 8) + (72 + 8) + (72 + 32 + 4) + (256 * 5 + 5)


def test_cost_is_told_by_stage():
    model = lightweight_stn((64, 64, 3), transform="projective")
    cost = stn_cost(model)
    stages = {stage.stage: stage for stage in cost.stages}
    assert cost.parameters == model.count_params()
    assert stages["head"].parameters == 48 * 8 + 8 + 48 + 1
    assert stages["grid"].macs == 64 * 64 * 6
    assert stages["sampler"].macs == 64 * 64 * 3 * 6
    assert 3_000_000 < stages["localization"].macs < 4_000_000
    assert "total" in str(cost)
