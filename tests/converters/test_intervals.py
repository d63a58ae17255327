"""The interval analysis finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph
from stn_rectify.converters.integer_sampler import build_sampler
from stn_rectify.converters.intervals import analyse_intervals
from stn_rectify.converters.sampler_plan import SamplerPlan


def analysed(build):
    """Problems of a graph of one int8 input, widened to int32, and ``build``."""
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    output = build(graph, graph.cast(frame, "int32"))
    return analyse_intervals(graph.finish({"frame": frame}, {"output": output}))


def constant(graph, value, shape=(1, 4)):
    return graph.constant(np.full(shape, value))


def test_a_product_that_fits_is_accepted():
    report = analysed(lambda g, x: g.multiply(x, constant(g, 2**24)))
    assert report.problems == []
    assert report.largest == 2**31


def test_a_product_that_overflows_is_found():
    assert analysed(lambda g, x: g.multiply(x, constant(g, 2**24 + 1))).problems


def test_a_wrap_that_later_terms_undo_is_accepted():
    def build(g, x):
        wrapped = g.subtract(g.multiply(x, constant(g, 2**24)), constant(g, 1))
        return g.add(wrapped, constant(g, 1))

    assert analysed(build).problems == []


def test_a_wrap_that_a_relu_reads_is_found():
    assert analysed(lambda g, x: g.add(g.multiply(x, constant(g, 2**24)), constant(g, -1), relu=True)).problems


def test_an_overflowing_partial_sum_is_found():
    """The sum of the bounds would fit: +2^30 · 2 - 2^30 · 2 is zero."""

    def build(g, x):
        return g.sum(g.multiply(x, g.constant([[2**23, 2**23, -(2**23), -(2**23)]])), axis=1)

    assert analysed(build).problems


@pytest.mark.parametrize(("rows", "found"), [(256, 0), (255, 1)])
def test_a_gather_out_of_range_is_found(rows, found):
    def build(g, x):
        index = g.reshape(g.add(x, constant(g, 128)), (4,))
        return g.gather(constant(g, 5, (rows, 1)), index)

    report = analysed(build)
    assert len(report.problems) == found
    assert report.gathers == [(255, rows)]


def test_a_negative_gather_index_is_found():
    assert analysed(lambda g, x: g.gather(constant(g, 5, (300, 1)), g.reshape(x, (4,)))).problems


def test_division_by_what_may_be_zero_is_found():
    assert analysed(lambda g, x: g.divide(constant(g, 5), x)).problems


@pytest.mark.parametrize("transform", ["affine", "projective"])
def test_coefficients_that_nobody_limits_are_found(transform):
    plan = SamplerPlan(transform, "zeros", (16, 16), (16, 16), 1, 0)
    graph = FlatbufferGraph()
    frame = graph.input((1, 16, 16, 1), "int8")
    coefficients = graph.input((len(plan.formats),), "int32")
    rectified = build_sampler(graph, frame, coefficients, plan)
    report = analyse_intervals(graph.finish({"frame": frame, "c": coefficients}, {"rectified": rectified}))
    assert report.problems
    assert all("GATHER" not in problem for problem in report.problems)  # clamped all the same


def test_an_unknown_source_of_int32_is_found():
    assert analysed(lambda g, x: g.fill((1, 4), 3)).problems == []
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    graph.constant(0)
    padded = graph.pad(graph.cast(frame, "int32"), [(0, 0), (0, 1)], 0)
    assert "PADV2" in analyse_intervals(graph.finish({"frame": frame}, {"output": padded})).problems[0]
