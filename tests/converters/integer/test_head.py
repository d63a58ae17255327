"""The head: bits against the reference, accuracy against float64, overflow excluded."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.integer.head import build_head, quantize_head
from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import THETA_BITS, SamplerPlan
from stn_rectify.converters.proof.intervals import analyse_intervals
from stn_rectify.converters.proof.reference import reference_head, reference_sampler
from stn_rectify.converters.tflite.graph import FlatbufferGraph, Quantization
from stn_rectify.runtime.errors import ModelFileError

FEATURES = Quantization(6 / 255, -128)
IDENTITY = np.array([1, 0, 0, 0, 1, 0, 0, 0], float)


def weights(rng, count, transform, spread=0.02):
    size = {"affine": 6, "projective": 8}[transform]
    return rng.normal(0, spread, (count, size)), IDENTITY[:size] + rng.normal(0, 0.05, size)


def head_file(plan, head, count, sampler=False):
    graph = FlatbufferGraph()
    features = graph.input((1, count), "int8", FEATURES)
    inputs = {"features": features}
    coefficients, theta = build_head(graph, features, head)
    outputs = {"theta": theta}
    if sampler:
        inputs["frame"] = graph.input((1, *plan.input_size, plan.channels), "int8", Quantization(1 / 255, -128))
        outputs["rectified"] = build_sampler(graph, inputs["frame"], coefficients, plan)
    elif coefficients is not None:
        outputs["coefficients"] = coefficients
    return graph.finish(inputs, outputs)


@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize(("count", "spread"), [(48, 0.02), (384, 0.05), (7, 1.0), (48, 40.0)])
def test_interpreter_equals_the_integer_reference(interpreter, transform, count, spread):
    rng = np.random.default_rng(count)
    plan = SamplerPlan(transform, "zeros", (64, 96), (64, 96), 3, -128)
    head = quantize_head(*weights(rng, count, transform, spread), FEATURES, plan)
    interpreter.load(head_file(plan, head, count))
    extremes = [np.full(count, v) for v in (-128, 127)] + [np.where(head.weights[0] > 0, 127, -128)]
    for features in [*extremes, *rng.integers(-128, 128, (60, count))]:
        seen = interpreter.run({"features": features[None].astype(np.int8)})
        coefficients, theta = reference_head(features, head)
        np.testing.assert_array_equal(seen["coefficients"], coefficients)
        np.testing.assert_array_equal(seen["theta"][0], theta)


@pytest.mark.parametrize("transform", ["affine", "projective"])
def test_theta_and_coefficients_are_those_of_float64(transform):
    rng = np.random.default_rng(0)
    plan = SamplerPlan(transform, "zeros", (128, 128), (64, 64), 3, -128)
    kernel, bias = weights(rng, 48, transform)
    head = quantize_head(kernel, bias, FEATURES, plan)
    G, g = plan.coefficient_map()
    for features in rng.integers(-128, 128, (50, 48)):
        theta = (features + 128) * FEATURES.scale @ kernel + bias
        coefficients, fixed = reference_head(features, head)
        np.testing.assert_allclose(fixed / 2**THETA_BITS, theta, atol=2e-5)
        wanted = (G @ theta + g) * 2.0**plan.formats
        inside = np.abs(wanted) < plan.limits
        # One unit for the rounding of the result, one for that of the weights.
        unit = np.maximum(2.0, 48 * 255 / 2.0 ** (head.shift[: head.coefficients] + 1) + 1)
        assert (np.abs(coefficients - wanted) <= unit)[inside].all()


@pytest.mark.parametrize("size", [(32, 32, 1), (64, 64, 3), (97, 97, 3), (224, 224, 3), (40, 90, 2)], ids=str)
@pytest.mark.parametrize("transform", ["affine", "projective"])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_no_overflow_for_any_features(size, transform, padding):
    """By interval analysis of the file, whatever the features; the weights are far larger than trained ones."""
    rng = np.random.default_rng(size[0])
    plan = SamplerPlan(transform, padding, size[:2], size[:2], size[2], -128)
    for spread in (0.02, 5.0):
        head = quantize_head(*weights(rng, 48, transform, spread), FEATURES, plan)
        report = analyse_intervals(head_file(plan, head, 48, sampler=True))
        assert report.problems == []
        assert len(report.gathers) == 2


@pytest.mark.parametrize("transform", ["affine", "projective"])
def test_wild_weights_still_give_the_reference_image(interpreter, transform):
    rng = np.random.default_rng(9)
    plan = SamplerPlan(transform, "zeros", (50, 50), (50, 50), 2, -128)
    for spread in (0.05, 2.0, 50.0):
        head = quantize_head(*weights(rng, 32, transform, spread), FEATURES, plan)
        interpreter.load(head_file(plan, head, 32, sampler=True))
        for _ in range(40):
            features = rng.integers(-128, 128, (1, 32), dtype=np.int8)
            frame = rng.integers(-128, 128, (50, 50, 2), dtype=np.int8)
            seen = interpreter.run({"features": features, "frame": frame[None]})
            coefficients, _ = reference_head(features, head)
            np.testing.assert_array_equal(seen["rectified"][0], reference_sampler(frame, coefficients, plan))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9], ids=str)
def test_weights_of_a_diverged_training_are_refused(value):
    kernel, bias = weights(np.random.default_rng(0), 8, "affine")
    kernel[3, 2] = value
    with pytest.raises(ModelFileError, match="diverged"):
        quantize_head(kernel, bias, FEATURES, SamplerPlan("affine", "zeros", (64, 64), (64, 64), 3, -128))
