"""SavedModels and Keras models of anybody's making, read by their graphs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from stn_rectify.converters.reading.foreign import frozen_graph
from stn_rectify.converters.reading.foreign.coordinates import SamplerProbe
from stn_rectify.converters.reading.graph_parts import split_keras_graph, split_saved_model
from stn_rectify.converters.report.comparisons.float_sampling import near_the_cut
from stn_rectify.models import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.runtime.errors import DataError, ModelFileError
from stn_rectify.runtime.geometry import THETA_SIZE
from tests.converters.foreign_models import layers as foreign
from tests.converters.foreign_models import styles
from tests.converters.foreign_models.styles import SHAPE, SIZE
from tests.converters.keras_models import save_model, save_recognizing_model, smooth_frames, stn_with_trunk
from tests.slow_tests import quick_ones


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


# Made by, convention and border that must be found, and how many numbers θ is made from.
STYLES = {
    "layer with theta": (styles.layer_with_theta, "(W - 1), corners aligned", "cut", 16),
    "rows before columns": (styles.rows_before_columns, "· W, lattice from -1 to 1, (row, column) order", "border", 16),
    "layer that holds its network": (styles.layer_that_holds_its_network, "· W, lattice", "cut", 16),
    "lambda": (styles.a_lambda, "(W - 1), corners aligned", "cut", 16),
    "attention": (styles.attention, "a linear function of its own", "zeros", 16),
    "two dense layers": (styles.two_dense_layers, "(W - 2)", "zeros", 16),
    "projective": (styles.projective, "projective, a linear function of its own", "cut", 16),
    "bounded": (styles.bounded, "(W - 1), corners aligned", "cut", 6),
    "half a pixel": (
        styles.half_a_pixel_before,
        "· W - 1/2, lattice from -1 to 1, (row, column) order",
        "cut",
        16,
    ),
    "shift alone": (styles.shift_alone, "a linear function of its own", "cut", 16),
    "added to the identity": (styles.added_to_the_identity, "(W - 1), corners aligned", "cut", 16),
    "normalised first": (styles.normalised_first, "(W - 1), corners aligned", "cut", 16),
    "TensorFlow's transform, in pixels": (
        styles.image_projective_transform,
        "a linear function of its own",
        "zeros",
        16,
    ),
    "scaled first": (styles.scaled_first, "(W - 1), corners aligned", "cut", 16),
    "layer with its own weights": (styles.layer_with_its_own_weights, "(W - 1), corners aligned", "border", 640),
    "grid and sampler": (styles.grid_and_sampler, "a linear function of its own", "zeros", 16),
    "products instead of gathers": (styles.attention_by_products, "a linear function of its own", "zeros", 16),
    "boxes": (styles.part_of_the_image, "a linear function of its own", "cut", 16),
    "Keras' transform": (styles.affine_transform_of_keras, "a linear function of its own", "zeros", 16),
    "normalised for the network": (styles.normalised_before_the_network, "(W - 1), corners aligned", "cut", 16),
    "spline": (styles.spline_of_our_points, "a thin-plate spline of its own", "zeros", 16),
    "sigmoid before a grid of ours": (styles.with_a_grid_of_ours, None, "border", 6),
}


def check_against(parts, frames):
    """Our own layers at the θ that was read give what the model gives."""
    found = parts.run(frames)
    kind = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}[parts.transform]
    grid = kind(parts.input_size, parts.output_size)(found["theta"])
    ours = np.asarray(BilinearSampler(parts.padding)([frames, grid]))
    sure = np.ones(ours.shape[:3], bool)
    if parts.padding == "cut":
        sure = ~near_the_cut(np.reshape(grid, (-1, 2)), parts.input_size).reshape(sure.shape)
        assert sure.mean() > 0.8
    np.testing.assert_allclose(ours[sure], found["rectified"][sure], atol=1e-3)
    assert np.std(found["theta"], axis=0).max() > 0.005, "θ must move for this to show anything"
    if parts.classes is not None:
        scores = np.asarray(parts.recognizer(found["rectified"])["class_scores"])
        np.testing.assert_allclose(scores, found["class_scores"], atol=1e-5)
    return found


@pytest.mark.parametrize(("build", "coordinates", "padding", "features"), STYLES.values(), ids=STYLES)
def test_an_stn_of_anybodys_making_is_read(build, coordinates, padding, features):
    keras.utils.set_random_seed(1)
    frame = keras.Input(SHAPE)
    model = keras.Model(frame, build(frame), name="theirs")
    parts = split_keras_graph(model)
    transform = {styles.projective: "projective", styles.spline_of_our_points: "tps"}.get(build, "affine")
    assert (parts.transform, parts.padding) == (transform, padding)
    assert parts.kernel.shape == (features, THETA_SIZE[transform])
    if coordinates is None:
        assert parts.convention is None
    else:
        assert coordinates in parts.convention.coordinates
        assert parts.convention.residual_px < 1e-4
        assert parts.convention.padding == padding
    frames = smooth_frames(SHAPE, 5) / np.float32(255)
    low, high = parts.scaling.value_range((0.0, 1.0))
    found = check_against(parts, frames * np.float32(high - low) + np.float32(low))
    theirs = model.predict(frames, verbose=0)
    np.testing.assert_allclose(found["rectified" if parts.classes is None else "class_scores"], theirs, atol=1e-4)


def test_numbers_of_each_channel_before_the_sampler_go_behind_it():
    """Held at the edge, which is read before or after scaling is all the same."""
    keras.utils.set_random_seed(1)
    frame = keras.Input(SHAPE)
    rectified = styles.normalised_and_held(frame)
    model = keras.Model(frame, {"rectified": rectified, "classes": styles.classes(rectified)}, name="theirs")
    parts = split_keras_graph(keras.Model(frame, model.outputs, name="theirs"))
    frames = smooth_frames(SHAPE, 5) / np.float32(255)
    found, theirs = check_against(parts, frames), model.predict(frames, verbose=0)
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found["rectified"], theirs["rectified"] * deviation + mean, atol=1e-4)
    np.testing.assert_allclose(found["class_scores"], theirs["classes"], atol=1e-4)


def test_zero_of_scaled_values_outside_the_frame_is_named():
    keras.utils.set_random_seed(1)
    frame = keras.Input(SHAPE)
    model = keras.Model(frame, styles.normalised_for_each_channel(frame), name="theirs")
    with pytest.raises(ModelFileError, match=r"outside the frame \(cut of its scaled values\) is none of"):
        split_keras_graph(model)


def test_a_model_of_one_frame_that_indexes_all_axes_is_read():
    keras.utils.set_random_seed(1)
    frame = keras.Input(batch_shape=(1, *SHAPE))
    model = keras.Model(frame, styles.coordinates_of_keras(frame), name="theirs")
    parts = split_keras_graph(model)
    assert (parts.batch, parts.padding) == (1, "zeros")
    frames = smooth_frames(SHAPE, 5) / np.float32(255)
    theirs = np.concatenate([model(one[None]) for one in frames])
    np.testing.assert_allclose(check_against(parts, frames)["rectified"], theirs, atol=1e-4)


def saved_for_four(model, folder):
    serve = tf.function(lambda frame: {"image": model(frame, training=False)}, autograph=False)
    spec = tf.TensorSpec((4, *SHAPE), tf.float32, name="frame")
    tf.saved_model.save(model, str(folder), signatures=serve.get_concrete_function(spec))
    return folder


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_model_of_four_frames_at_a_time_is_read_for_any_number(dtype):
    keras.utils.set_random_seed(1)
    frame = keras.Input(batch_shape=(4, *SHAPE), dtype=dtype)
    seen = layers.Rescaling(1 / 255)(ops.cast(frame, "float32")) if dtype == "uint8" else frame
    model = keras.Model(frame, styles.bounded(seen), name="theirs")
    parts = split_keras_graph(model)
    assert parts.batch is None
    frames = smooth_frames(SHAPE, 4)
    theirs = model(frames if dtype == "uint8" else frames / np.float32(255))
    np.testing.assert_allclose(check_against(parts, frames / np.float32(255))["rectified"], theirs, atol=1e-4)


@pytest.mark.parametrize("saved", [False, True])
def test_a_model_that_counts_on_four_frames_is_refused_with_what_to_do(tmp_path, saved):
    frame = keras.Input(batch_shape=(4, *SHAPE))
    model = keras.Model(frame, styles.coordinates_of_keras(frame), name="theirs")
    with pytest.raises(ModelFileError, match=r"takes 4 frames at a time.*save it for any number, keras.Input"):
        split_saved_model(saved_for_four(model, tmp_path)) if saved else split_keras_graph(model)


def test_a_saved_model_of_two_inputs_is_refused_before_it_is_frozen(tmp_path, monkeypatch):
    frame, known = keras.Input((8, 8, 3), name="frame"), keras.Input((2,), name="known")
    exported(keras.Model([frame, known], layers.Dense(6)(layers.Flatten()(frame)) + layers.Dense(6)(known)), tmp_path)
    monkeypatch.setattr(frozen_graph, "with_constant_weights", pytest.fail)
    with pytest.raises(ModelFileError, match=r"2 inputs, 'frame' \[any, 8, 8, 3\], 'known' \[any, 2\], .*CONSTANT"):
        split_saved_model(tmp_path)


def test_a_saved_model_of_anybodys_making_needs_no_names(tmp_path):
    keras.utils.set_random_seed(1)
    frame = keras.Input(SHAPE)
    model = keras.Model(frame, styles.layer_with_theta(frame))
    parts = split_saved_model(exported(model, tmp_path / "theirs"))
    assert (parts.padding, parts.classes) == ("cut", 4)
    frames = smooth_frames(SHAPE, 5) / np.float32(255)
    found = check_against(parts, frames)
    np.testing.assert_allclose(found["class_scores"], model.predict(frames, verbose=0), atol=1e-5)


def test_a_model_of_bytes_is_read_behind_its_cast(tmp_path):
    module = tf.Module()
    module.model = stn_with_trunk(lambda x: x)
    run = tf.function(lambda frames: _of_bytes(module.model, frames))
    signature = run.get_concrete_function(tf.TensorSpec((None, 16, 16, 3), tf.uint8))
    tf.saved_model.save(module, tmp_path / "bytes", signatures=signature)
    parts = split_saved_model(tmp_path / "bytes")
    assert parts.scaling.value_range((0.0, 1.0)) == pytest.approx((0, 1))
    assert parts.scaling.of_bytes
    frames = smooth_frames((16, 16, 3), 3)
    found, theirs = parts.run(frames / np.float32(255)), run(frames)
    np.testing.assert_allclose(found["rectified"], theirs["rectified"], atol=1e-5)


class Hidden(keras.Model):
    """A model whose layers are written into its call()."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.localization = foreign.localization(SHAPE)
        self.sampler = foreign.BilinearInterpolation(SIZE, "W", "border")

    def call(self, frame):
        return self.sampler([frame, self.localization(frame)])


def test_a_model_that_hides_its_layers_is_read_by_its_graph():
    keras.utils.set_random_seed(1)
    model = Hidden(name="theirs")
    frames = smooth_frames(SHAPE, 5) / np.float32(255)
    model(frames)
    parts = split_keras_graph(model)
    found = check_against(parts, frames)
    np.testing.assert_allclose(found["rectified"], np.asarray(model(frames)), atol=1e-5)


@pytest.mark.parametrize("padding", ["extrapolated", "mirrored"])
def test_a_border_that_cannot_be_made_is_taken_only_when_asked_for(padding):
    keras.utils.set_random_seed(1)
    border = {"extrapolated": "truncated", "mirrored": "mirrored"}[padding]
    frame = keras.Input(SHAPE)
    theta = foreign.localization(SHAPE)(frame)
    model = keras.Model(frame, foreign.BilinearInterpolation(SIZE, "W", border)([frame, theta]), name="theirs")
    with pytest.raises(ModelFileError, match=rf"\(.*{padding}.*\) is none of zeros, border, cut; with --accept-border"):
        split_keras_graph(model)
    parts = split_keras_graph(model, accept_border=True)
    assert 0 < parts.convention.padding_differs < 0.5
    assert "of the pixels differ" in parts.convention.notes[0]


def _in_series(frame, theta):
    once = foreign.BilinearInterpolation((12, 14))([frame, theta])
    return foreign.BilinearInterpolation((8, 8))([once, foreign.localization((12, 14, 3), name="second")(once)])


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            styles.twice,
            "has several samplers, beside each other, each with a theta of its own; one can be converted: save each",
        ),
        (
            _in_series,
            "has several samplers, one after the other: .* reads what .* gives; one can be converted: save each",
        ),
        (styles.of_an_angle, r"is made by node '.*' \((Cos|Sin)\), which has no INT8 operator"),
        (styles.nearest, "reads the nearest pixel, and not between pixels"),
        (
            styles.of_features,
            "samples the output of node '.*earlier.*, not the frame; .*: train it with the sampler on the frame",
        ),
        (lambda frame, theta: theta, "has no sampler: nothing in it reads the frame"),
        (lambda frame, theta: frame * 1.0, "has no sampler: nothing in it reads the frame"),
        (styles.projective_in_pixels, r"projective, but H\[2, 2\] in normalised coordinates depends on node"),
        (
            styles.spline_of_theirs,
            r"as with splines, but its grid is none with 4x4 .*px away at its nearest.*ThinPlateSplineGrid",
        ),
        (
            styles.mixed_with_theta,
            "is at no point an image of 3 channels and fixed size that all that follows is",
        ),
        (styles.mixed_with_the_frame, "sees not only the rectified image but also the frame"),
    ],
    ids=[
        "two samplers",
        "samplers in series",
        "an angle",
        "nearest",
        "features",
        "no sampler",
        "no network",
        "projective in pixels",
        "a spline of theirs",
        "mixed with theta",
        "mixed with the frame",
    ],
)
def test_what_cannot_be_carried_over_is_refused(outputs, message):
    frame = keras.Input((16, 16, 3))
    theta = foreign.localization((16, 16, 3))(frame)
    with pytest.raises(ModelFileError, match=message):
        split_keras_graph(keras.Model(frame, outputs(frame, theta), name="odd"))


NO_INT8 = {
    "negative": (lambda x: -x, r"node '.*' \(Neg\) has no INT8 operator; replace it by a product with -1"),
    "elu": (lambda x: ops.elu(x), r"\(Elu\) has no INT8 operator; replace it by leaky_relu"),
    "layer normalization": (
        lambda x: layers.LayerNormalization()(x),
        "has no INT8 operator; replace the normalization that it is part of by BatchNormalization",
    ),
    "division": (
        lambda x: x / (1 + ops.abs(x)),
        r"\(RealDiv\) has no INT8 operator; replace it by .*keras\.ops\.rsqrt",
    ),
    "recurrent": (lambda x: layers.LSTM(4)(layers.Reshape((16, 48))(x)), "of a loop .* a recurrent layer as Conv1D"),
}


@pytest.mark.parametrize(("trunk", "message"), NO_INT8.values(), ids=NO_INT8)
def test_an_operation_without_an_integer_form_is_refused_before_the_sampler_is_measured(monkeypatch, trunk, message):
    monkeypatch.setattr(SamplerProbe, "pose_map", lambda self: pytest.fail("it was measured"))
    with pytest.raises(ModelFileError, match=message):
        split_keras_graph(stn_with_trunk(trunk))


BEHIND = {
    "texts": (
        lambda image: layers.Dense(5)(layers.Reshape((14, 36))(image)),
        r"float32 of shape .*; for a network that reads texts .* NAME\.recognizer\.keras",
    ),
    "scaled": (
        lambda image: layers.Rescaling(2.0)(image),
        "is neither the rectified image.*; save the model with the sampler's own image as the output",
    ),
    "a layer of the recognizer": (
        lambda image: styles.classes(ops.elu(image)),
        r"\(Elu\) has no INT8 operator; replace it by leaky_relu",
    ),
}


@pytest.mark.parametrize(("behind", "message"), BEHIND.values(), ids=BEHIND)
def test_what_cannot_follow_the_sampler_is_refused_before_that_is_measured(monkeypatch, behind, message):
    monkeypatch.setattr(SamplerProbe, "pose_map", lambda self: pytest.fail("it was measured"))
    frame = keras.Input(SHAPE)
    image = foreign.BilinearInterpolation(SIZE)([frame, foreign.localization(SHAPE)(frame)])
    with pytest.raises(ModelFileError, match=message):
        split_keras_graph(keras.Model(frame, behind(image), name="theirs"))


ACTIVATIONS = {
    "prelu": lambda x: layers.PReLU(alpha_initializer="uniform")(layers.Conv2D(4, 3)(x)),
    "prelu of a row": lambda x: layers.PReLU(alpha_initializer="uniform")(layers.Dense(8)(layers.Flatten()(x))),
    "gelu": lambda x: layers.Conv2D(4, 3, activation="gelu")(x),
    "gelu by tanh": lambda x: ops.gelu(layers.Conv2D(4, 3)(x), approximate=True),
}


@pytest.mark.parametrize("trunk", quick_ones(ACTIVATIONS, "prelu"))
def test_an_activation_that_becomes_one_operator_is_taken(trunk):
    assert split_keras_graph(stn_with_trunk(trunk)).transform == "affine"


def test_a_signature_for_any_size_takes_the_one_that_is_said(tmp_path):
    """Its places are pixels, so that they do not depend on the size of the frame."""
    module = tf.Module()
    seen = keras.Input((None, None, 3))
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(seen))
    bias = keras.initializers.Constant([0.8, 0.1, 2.0, -0.1, 0.7, 3.0])
    module.network = keras.Model(seen, layers.Dense(6, bias_initializer=bias)(features))

    def run(frame):
        theta = module.network(frame)
        numbers = tf.concat([theta, tf.zeros_like(theta[:, :2])], axis=1)
        image = tf.raw_ops.ImageProjectiveTransformV3(
            images=frame, transforms=numbers, output_shape=[12, 14], fill_value=0.0, interpolation="BILINEAR"
        )
        return {"image": tf.ensure_shape(image, (None, 12, 14, 3))}

    signature = tf.function(run).get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.float32, name="frame"))
    tf.saved_model.save(module, tmp_path / "any", signatures=signature)
    with pytest.raises(ModelFileError, match=r"'frame' \[any, any, any, 3\].* --input-shape HxW"):
        split_saved_model(tmp_path / "any")
    parts = split_saved_model(tmp_path / "any", input_shape=(24, 32))
    assert (parts.input_size, parts.output_size) == ((24, 32), (12, 14))
    frames = smooth_frames((24, 32, 3), 2) / np.float32(255)
    np.testing.assert_allclose(parts.run(frames)["rectified"], run(frames)["image"], atol=1e-5)


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
    features = layers.Dense(1, "relu", name="one")(layers.Flatten()(model.inputs[0]))
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
