"""Columns repeated to rows; the integer spline: bits against the reference, accuracy against float64, no overflow."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.converters.integer.grid import repeat_last
from stn_rectify.converters.integer.head import build_head, quantize_head
from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import THETA_BITS, SamplerPlan
from stn_rectify.converters.integer.separable_spline import separable_spline
from stn_rectify.converters.proof.intervals import analyse_intervals
from stn_rectify.converters.proof.reference import reference_grid, reference_head, reference_sampler
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.converters.tflite.object_tree import operator_name, read_model
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import identity_theta, normalised_to_pixels, transform_points
from stn_rectify.runtime.rectifying.pixels.splines import spline_map
from tests.spline_truth import spline_points

FEATURES = Quantization(6 / 255, -128)
IDENTITY = identity_theta("tps")

# Frame with channels, output. Every row is a knot (up to 47 rows), every 2nd, 4th, 8th; the last row is one or not.
SIZES = [
    pytest.param((32, 32, 1), (32, 32), id="32x32x1"),
    pytest.param((50, 50, 2), (50, 50), id="50x50x2"),
    pytest.param((64, 64, 3), (64, 64), id="64x64x3"),
    pytest.param((97, 97, 3), (97, 97), id="97x97x3"),
    pytest.param((30, 47, 5), (30, 47), id="five channels, not square"),
    pytest.param((97, 60, 3), (32, 48), id="smaller"),
    pytest.param((20, 31, 1), (64, 50), id="larger"),
    pytest.param((270, 300, 1), (264, 20), id="a large frame, without whole bytes"),
    pytest.param((1, 1, 1), (1, 1), id="one pixel"),
    pytest.param((1, 9, 2), (9, 1), id="one row to one column"),
    pytest.param((40, 40, 1), (2, 3), id="six pixels"),
]


def plan_of(size, output, padding="zeros", zero_point=-128):
    return SamplerPlan("tps", padding, size[:2], output, size[2], zero_point)


def sampler_file(plan, *, limited=False):
    graph = FlatbufferGraph()
    frame = graph.input((1, *plan.input_size, plan.channels), "int8", Quantization(1 / 255, plan.zero_point))
    coefficients = held = graph.input((len(plan.formats),), "int32")
    if limited:
        held = graph.maximum(graph.minimum(held, graph.constant(plan.limits)), graph.constant(-plan.limits))
    rectified = build_sampler(graph, frame, held, plan)
    return graph.finish({"frame": frame, "coefficients": coefficients}, {"rectified": rectified})


def random_theta(rng, spread=0.07):
    """A shrunk and shifted target whose control points are scattered."""
    points = rng.uniform(0.5, 1.1) * IDENTITY.reshape(16, 2) + rng.uniform(-0.3, 0.3, 2)
    return (points + rng.normal(0, spread, (16, 2))).ravel()


def exact_grid(theta, plan):
    """x and y in the table, [2, h, w], float64, clamped as the sampler clamps."""
    (height, width), (rows, columns) = plan.input_size, plan.output_size
    x, y = np.meshgrid((2 * np.arange(columns) + 1) / columns - 1, (2 * np.arange(rows) + 1) / rows - 1)
    points = spline_points(theta, np.stack([x.ravel(), y.ravel()], axis=1))
    return in_table(transform_points(normalised_to_pixels(width, height), points), plan)


def in_table(points, plan):
    return np.clip(points + plan.margin, 0, plan.last).T.reshape(2, *plan.output_size)


def assert_equal_bits(interpreter, plan, cases, rng):
    interpreter.load(sampler_file(plan))
    for coefficients in cases:
        frame = rng.integers(-128, 128, (*plan.input_size, plan.channels), dtype=np.int8)
        coefficients = np.asarray(coefficients, np.int32)
        seen = interpreter.run({"frame": frame[None], "coefficients": coefficients})["rectified"][0]
        np.testing.assert_array_equal(seen, reference_sampler(frame, coefficients, plan))


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize(("size", "output"), SIZES)
def test_interpreter_equals_the_integer_reference(interpreter, size, output, padding):
    rng = np.random.default_rng(size[0])
    plan = plan_of(size, output, padding, zero_point=int(rng.integers(-128, 128)))
    assert_equal_bits(interpreter, plan, [plan.coefficients(random_theta(rng)) for _ in range(15)], rng)


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_extreme_coefficients_equal_the_reference(interpreter, size, output):
    """Any int32 within the limits: all at their ends, all signs, all sizes."""
    rng = np.random.default_rng(7)
    plan = plan_of(size, output)
    limits = plan.limits
    ends = [np.zeros(len(limits)), limits, -limits]
    ends += [np.where(rng.random(len(limits)) < 0.5, limits, -limits) for _ in range(20)]
    wild = [rng.integers(-limits, limits + 1) for _ in range(40)]
    small = [np.round(rng.normal(0, 1, len(limits)) * 2.0 ** rng.integers(0, 20)) for _ in range(40)]
    assert_equal_bits(interpreter, plan, [*ends, *wild, *(np.clip(s, -limits, limits) for s in small)], rng)


@pytest.mark.parametrize("size", [1, 2, 31, 50, 64, 97, 224])
def test_identity_theta_returns_the_frame_bit_for_bit(interpreter, size):
    rng = np.random.default_rng(size)
    for padding in ("zeros", "border"):
        plan = plan_of((size, size + 3, 2), (size, size + 3), padding)
        frame = rng.integers(-128, 128, (size, size + 3, 2), dtype=np.int8)
        interpreter.load(sampler_file(plan))
        inputs = {"frame": frame[None], "coefficients": plan.coefficients(IDENTITY)}
        np.testing.assert_array_equal(interpreter.run(inputs)["rectified"][0], frame)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize(("size", "output"), [*SIZES, pytest.param((300, 400, 1), (300, 400), id="300x400x1")])
def test_no_overflow_for_any_features(size, output, padding):
    """By interval analysis of the file; the weights are far larger than trained ones."""
    rng = np.random.default_rng(size[0])
    plan = plan_of(size, output, padding)
    for spread in (0.02, 5.0):
        graph = FlatbufferGraph()
        features = graph.input((1, 48), "int8", FEATURES)
        frame = graph.input((1, *size), "int8", Quantization(1 / 255, -128))
        head = quantize_head(rng.normal(0, spread, (48, 32)), IDENTITY, FEATURES, plan)
        coefficients, theta = build_head(graph, features, head)
        outputs = {"theta": theta, "rectified": build_sampler(graph, frame, coefficients, plan)}
        report = analyse_intervals(graph.finish({"features": features, "frame": frame}, outputs))
        assert report.problems == []


def test_limits_are_needed_and_suffice():
    plan = plan_of((64, 64, 1), (64, 64))
    assert analyse_intervals(sampler_file(plan, limited=True)).problems == []
    found = analyse_intervals(sampler_file(plan)).problems
    assert found
    assert all("can read rows" not in problem for problem in found)  # clamped all the same


def test_head_gives_theta_and_coefficients_of_float64(interpreter):
    rng = np.random.default_rng(0)
    plan = plan_of((128, 96, 3), (64, 64))
    kernel, bias = rng.normal(0, 0.005, (48, 32)), random_theta(rng)
    head = quantize_head(kernel, bias, FEATURES, plan)
    graph = FlatbufferGraph()
    features = graph.input((1, 48), "int8", FEATURES)
    coefficients, theta = build_head(graph, features, head)
    interpreter.load(graph.finish({"features": features}, {"coefficients": coefficients, "theta": theta}))
    for values in rng.integers(-128, 128, (20, 48), dtype=np.int8):
        seen = interpreter.run({"features": values[None]})
        wanted_coefficients, wanted_theta = reference_head(values, head)
        np.testing.assert_array_equal(seen["coefficients"], wanted_coefficients)
        np.testing.assert_array_equal(seen["theta"][0], wanted_theta)
        exact = (values.astype(float) + 128) * FEATURES.scale @ kernel + bias
        np.testing.assert_allclose(seen["theta"][0] / 2**THETA_BITS, exact, atol=2e-5)
        np.testing.assert_allclose(seen["coefficients"], plan.coefficients(exact), atol=3)


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize(("size", "output"), [*SIZES, pytest.param((224, 224, 3), (224, 224), id="224x224x3")])
def test_the_integers_compute_what_was_fitted(size, output, padding):
    """Within 0.01 px, and within two levels on the worst frames there are."""
    rng = np.random.default_rng(11)
    plan = plan_of(size, output, padding)
    for _ in range(20 if size[0] < 200 else 5):
        theta = random_theta(rng)
        assert plan.holds(theta)
        grid = in_table(separable_spline(output).points(theta, size[:2]), plan)
        coefficients = plan.coefficients(theta)
        assert np.abs(reference_grid(coefficients, plan) / 256 - grid).max() <= 0.01
        frame = np.where(rng.random(size) < 0.5, -128, 127).astype(np.int8)
        assert np.abs(reference_sampler(frame, coefficients, plan) - bilinear(frame, grid, plan)).max() <= 2


def bilinear(frame, grid, plan):
    padding = [(plan.margin, plan.margin + 1)] * 2 + [(0, 0)]
    padded = np.pad(frame.astype(float), padding, constant_values=plan.zero_point)
    left, top = np.floor(grid).astype(int)
    fx, fy = (grid - np.floor(grid))[..., None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    return upper * (1 - fy) + lower * fy


@pytest.mark.parametrize(("size", "output"), SIZES)
def test_what_was_fitted_is_the_spline(size, output):
    """docs/reference/integer-sampler.md: of control points scattered by 3.5 % of the frame, 0.2 % at most."""
    rng = np.random.default_rng(12)
    plan = plan_of(size, output)
    for _ in range(20):
        theta = random_theta(rng)
        error = np.abs(reference_grid(plan.coefficients(theta), plan) / 256 - exact_grid(theta, plan))
        assert error.max() <= 0.01 + 0.003 * max(size[:2])
        assert error.mean() <= 0.003 + 0.0002 * max(size[:2])


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_graph_and_opencv_read_the_same_places(padding):
    """The runtime warps full-resolution frames by `spline_map`: on a smooth frame, the same pixels."""
    rng = np.random.default_rng(15)
    plan = plan_of((64, 80, 1), (48, 56), padding)
    y, x = np.mgrid[:64, :80]
    frame = (100 * np.sin(x / 9) * np.cos(y / 7)).astype(np.int8)
    border = cv2.BORDER_CONSTANT if padding == "zeros" else cv2.BORDER_REPLICATE
    for _ in range(10):
        theta = random_theta(rng)
        by_graph = reference_sampler(frame[..., None], plan.coefficients(theta), plan)[..., 0]
        places = spline_map(theta, (80, 64), (56, 48))
        by_opencv = cv2.remap(frame.astype(np.float32), *places, cv2.INTER_LINEAR, borderMode=border, borderValue=-128)
        assert np.abs(by_graph - by_opencv).mean() < 1


def test_affine_arrangements_are_exact():
    rng = np.random.default_rng(13)
    plan = plan_of((97, 64, 1), (64, 97))
    for _ in range(20):
        matrix = rng.normal(0, 0.5, (2, 2)) + 0.5 * np.eye(2)
        theta = (IDENTITY.reshape(16, 2) @ matrix.T + rng.uniform(-0.5, 0.5, 2)).ravel()
        assert np.abs(reference_grid(plan.coefficients(theta), plan) / 256 - exact_grid(theta, plan)).max() <= 0.005


@pytest.mark.parametrize("size", [32, 64, 100, 224])
def test_the_documented_range_is_held(size):
    rng = np.random.default_rng(14)
    plan = plan_of((size, size, 1), (size, size))
    assert plan.holds(2.9 * IDENTITY)
    assert plan.holds(IDENTITY + 3.4)
    assert all(plan.holds(random_theta(rng, 0.2)) for _ in range(500))


def test_what_the_integers_do_not_hold_is_known():
    plan = plan_of((64, 64, 1), (64, 64))
    crumpled = IDENTITY.copy()
    crumpled[2 * 5] += 40
    assert not plan.holds(crumpled)
    assert (np.abs(plan.coefficients(crumpled)) <= plan.limits).all()


def test_a_frame_too_large_for_the_bits_is_refused():
    with pytest.raises(DataError, match="--pose-only"):
        plan_of((513, 64, 1), (64, 64))


def repetition_file(width):
    graph = FlatbufferGraph()
    column = graph.input((2, 3, 1), "int32")
    return graph.finish({"column": column}, {"matrix": graph.add(column, repeat_last(graph, column, width))})


@pytest.mark.parametrize("width", [1, 2, 13, 31, 97, 224])
def test_every_number_fills_its_row(interpreter, width):
    column = np.arange(6, dtype=np.int32).reshape(2, 3, 1)
    interpreter.load(repetition_file(width))
    matrix = interpreter.run({"column": column})["matrix"]
    np.testing.assert_array_equal(matrix, np.broadcast_to(2 * column, (2, 3, width)))


@pytest.mark.parametrize(("width", "copies"), [(97, 14), (128, 16), (640, 22), (1009, 20)])
def test_a_row_is_made_of_few_copies_whatever_its_width(width, copies):
    model = read_model(repetition_file(width))
    graph, codes = model.subgraphs[0], model.operatorCodes
    tiles = [op for op in graph.operators if operator_name(codes[op.opcodeIndex]) == "TILE"]
    multiples = [bytes(model.buffers[graph.tensors[op.inputs[1]].buffer].data) for op in tiles]
    assert sum(int(np.frombuffer(times, np.int32)[-1]) for times in multiples) <= copies
