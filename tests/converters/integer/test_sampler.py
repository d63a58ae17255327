"""The sampler in the file against the integer reference (bits) and against float64 (accuracy)."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.reference import reference_grid, reference_sampler
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import identity_theta, normalised_to_pixels, theta_to_homography

SIZES = [
    (32, 32, 1),
    (50, 50, 2),
    (64, 64, 3),
    (97, 97, 3),
    (128, 128, 3),
    (224, 224, 3),
    (30, 47, 3),
    (25, 24, 4),
    (19, 31, 5),
    (1, 1, 1),
    (1, 9, 2),
]
IDENTITY = {"affine": np.array([1, 0, 0, 0, 1, 0.0]), "projective": np.array([1, 0, 0, 0, 1, 0, 0, 0.0])}


def sampler_file(plan: SamplerPlan) -> bytes:
    graph = FlatbufferGraph()
    frame = graph.input((1, *plan.input_size, plan.channels), "int8", Quantization(1 / 255, plan.zero_point))
    count = len(plan.formats)
    coefficients = graph.input((count,), "int32")
    rectified = build_sampler(graph, frame, coefficients, plan)
    return graph.finish({"frame": frame, "coefficients": coefficients}, {"rectified": rectified})


class Sampler:
    """A sampler file in an interpreter."""

    def __init__(self, plan, interpreter):
        interpreter.load(sampler_file(plan))
        self.interpreter = interpreter

    def __call__(self, frame, coefficients):
        inputs = {"frame": frame[None], "coefficients": np.asarray(coefficients, np.int32)}
        return self.interpreter.run(inputs)["rectified"][0]


def plan_of(size, transform, padding="zeros", output=None, zero_point=-128):
    return SamplerPlan(transform, padding, size[:2], output or size[:2], size[2], zero_point)


def random_frame(rng, size):
    return rng.integers(-128, 128, size, dtype=np.int8)


def random_theta(rng, transform):
    """Rotations, scales, shears, shifts and perspectives as cameras see them."""
    angle, (sx, sy) = rng.uniform(-1, 1), np.exp(rng.uniform(-1, 0.4, 2))
    a = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([sx, sy])
    a += rng.normal(0, 0.1, (2, 2))
    theta = np.array([a[0, 0], a[0, 1], rng.uniform(-0.6, 0.6), a[1, 0], a[1, 1], rng.uniform(-0.6, 0.6), 0, 0])
    theta[6:] = rng.uniform(-0.35, 0.35, 2)
    return theta[: 6 if transform == "affine" else 8]


def float64_sampler(frame, theta, plan):
    """Textbook bilinear sampling in float64; returns the image and x, y in the table."""
    (height, width), (rows, columns) = plan.input_size, plan.output_size
    h = (
        normalised_to_pixels(width, height)
        @ theta_to_homography(theta)
        @ np.linalg.inv(normalised_to_pixels(columns, rows))
    )
    j, i = np.meshgrid(np.arange(columns), np.arange(rows))
    u = h @ np.stack([j.ravel(), i.ravel(), np.ones(j.size)])
    x, y = (u[:2] / u[2]).reshape(2, rows, columns) + plan.margin
    x, y = np.clip(x, 0, plan.last[0]), np.clip(y, 0, plan.last[1])
    padded = np.pad(
        frame.astype(float), [(plan.margin, plan.margin + 1)] * 2 + [(0, 0)], constant_values=plan.zero_point
    )
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    upper = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
    lower = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
    read = upper * (1 - fy) + lower * fy
    if plan.padding == "cut":
        inside = (x >= 1) & (x < width) & (y >= 1) & (y < height)
        read = np.where(inside[..., None], read, plan.zero_point)
    return read, np.stack([x, y])


@pytest.mark.parametrize("padding", ["zeros", "border", "cut"])
@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
def test_interpreter_equals_the_integer_reference(interpreter, size, transform, padding):
    rng = np.random.default_rng(size[0])
    plan = plan_of(size, transform, padding, zero_point=int(rng.integers(-128, 128)))
    sampler = Sampler(plan, interpreter)
    for _ in range(40 if size[0] < 100 else 12):
        frame, coefficients = random_frame(rng, size), plan.coefficients(random_theta(rng, transform))
        np.testing.assert_array_equal(sampler(frame, coefficients), reference_sampler(frame, coefficients, plan))


@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
def test_identity_theta_returns_the_frame_bit_for_bit(interpreter, size, transform):
    rng = np.random.default_rng(1)
    for padding in ("zeros", "border"):
        plan = plan_of(size, transform, padding)
        frame = random_frame(rng, size)
        np.testing.assert_array_equal(Sampler(plan, interpreter)(frame, plan.coefficients(IDENTITY[transform])), frame)


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_a_cut_frame_ends_at_the_centre_of_its_last_pixel(interpreter, transform):
    """At the identity every pixel is read at its centre: the last ones are where the frame ends, all others are not."""
    theta = identity_theta(transform)
    plan = plan_of((20, 31, 3), transform, "cut", zero_point=-100)
    frame = random_frame(np.random.default_rng(3), (20, 31, 3))
    expected = frame.copy()
    expected[-1], expected[:, -1] = -100, -100
    shift = 1 / 31  # half a pixel to the right: the last place but one is read beside the last pixel's centre
    for moved, at in ((0.0, expected), (shift, None)):
        pose = theta + (moved * np.tile([1, 0], 16) if transform == "tps" else moved * (np.arange(len(theta)) == 2))
        coefficients = plan.coefficients(pose)
        image = Sampler(plan, interpreter)(frame, coefficients)
        np.testing.assert_array_equal(image, reference_sampler(frame, coefficients, plan))
        if at is not None:
            np.testing.assert_array_equal(image, at)
        else:
            assert (image[:, -1] == -100).all()
            assert np.abs(image[:-1, -2].astype(int) - frame[:-1, -2:].mean(axis=1)).max() <= 1


@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_a_flat_frame_stays_flat(interpreter, value):
    """At -128 the packed lanes wrap before their rounding is added."""
    rng = np.random.default_rng(2)
    for transform in ("affine", "projective"):
        plan = plan_of((64, 64, 3), transform, "border")
        frame = np.full((64, 64, 3), value, np.int8)
        sampler = Sampler(plan, interpreter)
        for _ in range(10):
            np.testing.assert_array_equal(sampler(frame, plan.coefficients(random_theta(rng, transform))), frame)


@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize(
    ("size", "output"),
    [((97, 97, 3), (60, 48)), ((20, 31, 1), (64, 50)), ((224, 224, 3), (64, 64)), ((90, 70, 1), (20, 11))],
    ids=["smaller", "larger", "much smaller", "much smaller, grey"],
)
def test_output_may_have_another_size(interpreter, size, output, transform):
    rng = np.random.default_rng(5)
    for padding in ("zeros", "cut"):
        plan = plan_of(size, transform, padding, output)
        sampler = Sampler(plan, interpreter)
        for _ in range(5):
            frame, coefficients = random_frame(rng, size), plan.coefficients(random_theta(rng, transform))
            np.testing.assert_array_equal(sampler(frame, coefficients), reference_sampler(frame, coefficients, plan))


@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize("size", [(32, 32, 1), (50, 50, 2), (64, 64, 3)], ids=lambda s: "x".join(map(str, s)))
def test_extreme_and_degenerate_coefficients_equal_the_reference(interpreter, size, transform):
    """Any int32 within the limits: vanishing lines through the image, points behind the camera, collapsed rows."""
    rng = np.random.default_rng(7)
    plan = plan_of(size, transform)
    sampler = Sampler(plan, interpreter)
    limits = plan.limits
    special = [np.zeros(len(limits)), limits, -limits, np.where(np.arange(len(limits)) % 2, limits, -limits)]
    wild = [rng.integers(-limits, limits + 1) for _ in range(200)]
    spread = [
        np.clip(np.round(rng.normal(0, 1, len(limits)) * 2.0 ** rng.integers(0, 31)), -limits, limits)
        for _ in range(200)
    ]
    for coefficients in [*special, *wild, *spread]:
        frame = random_frame(rng, size)
        coefficients = np.asarray(coefficients, np.int64)
        np.testing.assert_array_equal(sampler(frame, coefficients), reference_sampler(frame, coefficients, plan))


@pytest.mark.parametrize("padding", ["zeros", "border", "cut"])
@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize(
    "size",
    [s for s in SIZES if s[0] > 1] + [pytest.param(s, marks=pytest.mark.slow) for s in [(300, 400, 1), (512, 512, 1)]],
    ids=lambda s: "x".join(map(str, s)),
)
def test_within_two_levels_and_a_hundredth_of_a_pixel_of_float64(size, transform, padding):
    rng = np.random.default_rng(11)
    plan = plan_of(size, transform, padding)
    for _ in range(60 if size[0] < 200 else 15):
        theta = random_theta(rng, transform)
        # The worst frame there is: every other neighbour differs by all 255 levels.
        frame = np.where(rng.random(size) < 0.5, -128, 127).astype(np.int8)
        expected, grid = float64_sampler(frame, theta, plan)
        coefficients = plan.coefficients(theta)
        assert np.abs(reference_grid(coefficients, plan) / 256 - grid).max() <= 0.01
        most = 2 if max(size) <= 400 else 2.5  # docs/reference/integer-sampler.md
        error = np.abs(reference_sampler(frame, coefficients, plan) - expected)
        if padding == "cut":  # on the line where the frame ends a place may fall to either side
            places, last = (grid - 1).reshape(2, -1).T, np.array([size[1] - 1, size[0] - 1])
            sure = (np.abs(places[:, None] - [[0, 0], last]) > 0.01).all(axis=(1, 2))
            error = error.reshape(-1, size[2])[sure]
        assert error.max() <= most


def test_a_frame_too_long_for_the_positions_is_refused():
    with pytest.raises(DataError, match="9000x1 pixels is too large"):
        plan_of((1, 9000, 1), "affine")
