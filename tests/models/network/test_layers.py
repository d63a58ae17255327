"""Grid generators and the bilinear sampler against an independent float64 reference."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from stn_rectify.models import AffineGrid, BilinearSampler, ProjectiveGrid
from stn_rectify.models.network.layers import ThinPlateSplineGrid
from stn_rectify.runtime.geometry import identity_theta

GRIDS = {"affine": AffineGrid, "projective": ProjectiveGrid}
IDENTITY = np.array([1, 0, 0, 0, 1, 0, 0, 0], float)


def reference_grid(theta, input_size, output_size):
    """Textbook form: normalised output points, mapped, then turned to input pixels."""
    (height, width), (rows, columns) = input_size, output_size
    h = np.append(theta, [0, 0, 1][len(theta) - 6 :] if len(theta) == 6 else [1]).reshape(3, 3)
    grid = np.zeros((rows, columns, 2))
    for i in range(rows):
        for j in range(columns):
            u = h @ [(2 * j + 1) / columns - 1, (2 * i + 1) / rows - 1, 1]
            grid[i, j] = ((u[0] / u[2] + 1) * width - 1) / 2, ((u[1] / u[2] + 1) * height - 1) / 2
    return grid


def reference_sample(image, grid, padding):
    """Sum over the four neighbours, each looked up on its own."""
    height, width, channels = image.shape
    out = np.zeros((*grid.shape[:2], channels))
    for at in np.ndindex(grid.shape[:2]):
        x, y = grid[at]
        if padding == "cut" and not (0 <= x < width - 1 and 0 <= y < height - 1):
            continue
        if padding == "border":
            x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
                if 0 <= row < height and 0 <= column < width:
                    out[at] += weight * image[row, column]
    return out


def random_theta(rng, transform, spread=0.4):
    theta = IDENTITY + rng.normal(0, spread, 8)
    theta[6:] = rng.uniform(-0.3, 0.3, 2)
    return theta[: 6 if transform == "affine" else 8]


SHAPES = [
    pytest.param((16, 16, 3), (16, 16), id="square colour"),
    pytest.param((9, 14, 1), (9, 14), id="non-square grey"),
    pytest.param((12, 7, 3), (5, 21), id="other output size"),
    pytest.param((1, 1, 3), (1, 1), id="one pixel"),
    pytest.param((1, 8, 2), (4, 1), id="one row to one column"),
]


@pytest.mark.parametrize("padding", ["zeros", "border", "cut"])
@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize(("shape", "output"), SHAPES)
def test_random_theta_agrees_with_the_reference(shape, output, transform, padding):
    rng = np.random.default_rng(sum(shape) + len(padding))
    thetas = np.array([random_theta(rng, transform) for _ in range(12)])
    images = rng.random((12, *shape))
    grid = GRIDS[transform](shape[:2], output)(thetas.astype("float32"))
    rectified = BilinearSampler(padding)([images.astype("float32"), grid]).numpy()
    for k in range(12):
        expected = reference_grid(thetas[k], shape[:2], output)
        np.testing.assert_allclose(grid[k], expected, atol=1e-4 * max(1, np.abs(expected).max()))
        np.testing.assert_allclose(rectified[k], reference_sample(images[k], expected, padding), atol=2e-4)


@pytest.mark.parametrize("size", [1, 2, 31, 50, 64, 97, 224])
@pytest.mark.parametrize("transform", ["affine", "projective"])
def test_identity_theta_returns_the_image_exactly(transform, size):
    image = np.random.default_rng(size).random((2, size, size + 3, 3)).astype("float32")
    theta = np.tile(IDENTITY[: 6 if transform == "affine" else 8], (2, 1)).astype("float32")
    grid = GRIDS[transform]((size, size + 3), (size, size + 3))(theta)
    for padding in ("zeros", "border"):
        np.testing.assert_array_equal(BilinearSampler(padding)([image, grid]), image)


def test_half_pixel_shift_averages_neighbours():
    image = np.arange(8, dtype="float32").reshape(1, 1, 8, 1)
    theta = IDENTITY[None, :6].astype("float32").copy()
    theta[0, 2] = 1 / 8  # half a pixel: the frame is 2 wide and 8 pixels
    grid = AffineGrid((1, 8), (1, 8))(theta)
    zeros = BilinearSampler("zeros")([image, grid]).numpy().ravel()
    border = BilinearSampler("border")([image, grid]).numpy().ravel()
    two_rows = np.repeat(image, 2, axis=1)  # of one row no place is before the last
    cut = BilinearSampler("cut")([two_rows, AffineGrid((2, 8), (2, 8))(theta)]).numpy()[0, 0].ravel()
    np.testing.assert_allclose(zeros, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 3.5], atol=1e-6)
    np.testing.assert_allclose(border, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.0], atol=1e-6)
    np.testing.assert_allclose(cut, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 0.0], atol=1e-6)


@pytest.mark.parametrize(("padding", "expected"), [("zeros", 0.0), ("border", 1.0), ("cut", 0.0)])
def test_points_far_outside(padding, expected):
    theta = np.array([[1, 0, 50, 0, 1, -50]], "float32")
    out = BilinearSampler(padding)([np.ones((1, 6, 6, 1), "float32"), AffineGrid((6, 6), (6, 6))(theta)])
    np.testing.assert_array_equal(out, np.full((1, 6, 6, 1), expected))


def test_points_behind_the_camera_stay_finite():
    theta = np.array([[1, 0, 0, 0, 1, 0, 3, -3]], "float32")
    grid = ProjectiveGrid((8, 8), (8, 8))(theta).numpy()
    assert np.isfinite(grid).all()


@pytest.mark.parametrize("padding", ["zeros", "border", "cut"])
@pytest.mark.parametrize("transform", ["affine", "projective"])
def test_gradients_agree_with_finite_differences(transform, padding):
    rng = np.random.default_rng(3)
    image = rng.random((1, 7, 9, 2))
    theta = random_theta(rng, transform, 0.1)[None]
    weights = rng.random((1, 6, 5, 2))
    grid_layer = GRIDS[transform]((7, 9), (6, 5), dtype="float64")
    sampler = BilinearSampler(padding, dtype="float64")

    def loss(t, i):
        return tf.reduce_sum(sampler([i, grid_layer(t)]) * weights)

    theta_var, image_var = tf.Variable(theta), tf.Variable(image)
    with tf.GradientTape() as tape:
        value = loss(theta_var, image_var)
    by_theta, by_image = tape.gradient(value, [theta_var, image_var])
    step = 1e-6
    for array, gradient, other in ((theta, by_theta, 0), (image, by_image, 1)):
        gradient = np.asarray(gradient)
        places = list(np.ndindex(array.shape))
        for at in [places[k] for k in rng.choice(len(places), min(20, len(places)), replace=False)]:
            moved = array.copy(), array.copy()
            moved[0][at] += step
            moved[1][at] -= step
            up, down = (loss(m, image) if other == 0 else loss(theta, m) for m in moved)
            assert gradient[at] == pytest.approx(float(up - down) / (2 * step), abs=2e-5)


@pytest.fixture
def mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("mixed_precision")
@pytest.mark.parametrize("make", [AffineGrid, ProjectiveGrid, ThinPlateSplineGrid])
def test_mixed_precision_leaves_coordinates_in_float32(make):
    size = (4, 1030)  # float16 has no 1025.5
    theta = identity_theta(make.transform)[None].astype("float32")
    theta += np.float32(1e-4)  # nor this beside 1
    grid = make(size, size)(theta)
    np.testing.assert_array_equal(grid, make(size, size, dtype="float32")(theta))
    assert keras.backend.standardize_dtype(grid.dtype) == "float32"
    image = np.random.default_rng(0).random((1, *size, 1)).astype("float16")
    rectified = BilinearSampler()([image, grid])
    np.testing.assert_array_equal(rectified, BilinearSampler(dtype="float32")([image.astype("float32"), grid]))


@pytest.mark.usefixtures("mixed_precision")
def test_a_network_of_mixed_precision_learns_through_grid_and_sampler():
    frame = keras.Input((6, 6, 1))
    theta = keras.layers.Dense(6, bias_initializer=keras.initializers.Constant(IDENTITY[:6]))(
        keras.layers.Flatten()(frame)
    )
    model = keras.Model(frame, BilinearSampler()([frame, AffineGrid((6, 6), (6, 6))(theta)]))
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    frames = np.random.default_rng(0).random((4, 6, 6, 1)).astype("float32")
    model.fit(frames, frames[:, ::-1], verbose=0)
    assert not np.array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize(
    "layer",
    [AffineGrid((4, 5), (6, 7)), ProjectiveGrid((4, 5), (6, 7)), BilinearSampler("border")],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_serialisation(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "make",
    [lambda: AffineGrid((0, 4), (4, 4)), lambda: BilinearSampler("reflect")],
    ids=["empty input", "unknown padding"],
)
def test_impossible_arguments_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
