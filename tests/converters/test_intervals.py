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


def blend_of(g, x, first_weight, second_weight):
    """x·w0 + x·w1 where the weights are made from the low byte of x."""
    return g.add(g.multiply(x, first_weight), g.multiply(x, second_weight))


def low_byte(g, x):
    return g.cast(g.cast(x, "uint8"), "int32")


BLENDS = [
    pytest.param(lambda g, x, f: g.subtract(g.fill((1, 4), 256), f), True, id="256 - w"),
    pytest.param(lambda g, x, f: g.subtract(g.fill((1, 4), 256), g.add(f, constant(g, 1))), False, id="255 - w"),
    pytest.param(lambda g, x, f: g.subtract(g.fill((1, 4), 100), f), False, id="weights beyond the total"),
    pytest.param(lambda g, x, f: g.subtract(g.fill((1, 4), 256), low_byte(g, constant(g, 7))), False, id="other w"),
]


@pytest.mark.parametrize(("complement", "is_blend"), BLENDS)
def test_only_weights_that_add_up_are_a_blend(complement, is_blend):
    """A true blend of values in [-128, 127] stays within 256 · 128; anything else is bounded term by term."""

    def build(g, x):
        weight = low_byte(g, x)
        return g.shift_right(blend_of(g, x, complement(g, x, weight), weight), 0)

    assert (analysed(build).largest == 2**15) == is_blend


def test_a_blend_whose_product_has_an_activation_is_none():
    def build(g, x):
        weight = low_byte(g, x)
        first = g.multiply(x, g.subtract(g.fill((1, 4), 256), weight))
        return g.shift_right(g.add(g._arithmetic("MUL", x, weight, True), first), 0)

    assert analysed(build).largest > 2**15


def byte_shift(g, x, tail=0, begin=1):
    """(x + 128) · 256 as `integer_sampler` shifts it back by a byte."""
    z = g.reshape(g.subtract(g.multiply(g.add(x, constant(g, 128)), constant(g, 256)), constant(g, 0)), (4,))
    z = g.subtract(z, low_byte(g, z))
    raw = g.concatenate([g.bitcast(z, (4, 4), "int8"), g.constant(np.full((1, 4), tail), "int8")])
    moved = g.slice(g.reshape(raw, (20,)), (begin,), (16,))
    return g.gather(constant(g, 5, (256, 1)), g.bitcast(g.reshape(moved, (4, 4)), (4,), "int32"))


@pytest.mark.parametrize(("options", "found"), [({}, 0), ({"tail": 127}, 1), ({"begin": 2}, 1)], ids=str)
def test_only_the_true_byte_shift_is_believed(options, found):
    assert len(analysed(lambda g, x: byte_shift(g, x, **options)).problems) == found


def test_a_shift_of_what_is_no_multiple_of_256_is_not_believed():
    def build(g, x):
        z = g.reshape(g.add(x, constant(g, 128)), (4,))
        raw = g.concatenate([g.bitcast(z, (4, 4), "int8"), g.constant(np.zeros((1, 4)), "int8")])
        moved = g.slice(g.reshape(raw, (20,)), (1,), (16,))
        return g.gather(constant(g, 5, (256, 1)), g.bitcast(g.reshape(moved, (4, 4)), (4,), "int32"))

    assert analysed(build).problems


def test_only_the_remainder_of_the_same_division_is_small():
    def build(g, x, other):
        positive = g.add(x, constant(g, 128))
        n = g.multiply(positive, positive)
        divisor = g.add(positive, constant(g, 3))  # [3, 258]
        product = g.multiply(g.divide(n, divisor), constant(g, 4) if other else divisor)
        return g.gather(constant(g, 5, (258, 1)), g.reshape(g.subtract(n, product), (4,)))

    assert analysed(lambda g, x: build(g, x, False)).problems == []
    assert analysed(lambda g, x: build(g, x, True)).problems


def test_only_its_own_low_byte_makes_a_number_smaller():
    def build(g, x, own):
        positive = g.add(x, constant(g, 128))
        byte = low_byte(g, positive if own else g.add(positive, constant(g, 1)))
        return g.gather(constant(g, 5, (1, 1)), g.reshape(g.subtract(positive, byte), (4,)))

    assert analysed(lambda g, x: build(g, x, True)).problems == []
    assert analysed(lambda g, x: build(g, x, False)).problems


def test_bounds_that_would_wrap_themselves_are_found():
    def build(g, x):
        for _ in range(6):
            x = g.multiply(x, x)
        return g.gather(constant(g, 5, (1, 1)), g.reshape(x, (4,)))

    assert "multiplies to more" in analysed(build).problems[0]


def test_an_activation_that_is_not_relu_is_found():
    def build(g, x):
        graph_op = g._graph.operators
        out = g.add(x, constant(g, 1))
        graph_op[-1].builtinOptions.fusedActivationFunction = 2  # RELU_N1_TO_1
        return out

    assert "activation" in analysed(build).problems[0]


def test_an_operator_that_is_not_followed_may_not_read_a_wrapped_number():
    def build(g, x):
        wrapped = g.multiply(x, constant(g, 2**30))
        return g._emit("QUANTIZE", [wrapped], g.new_tensor((1, 4), "int8"), "QuantizeOptions")

    assert "QUANTIZE" in analysed(build).problems[0]


def test_another_operator_that_reads_by_index_is_found():
    def build(g, x):
        table = g.cast(constant(g, 5, (3, 1)), "int8")
        return g._emit("GATHER_ND", [table, g.reshape(x, (4, 1))], g.new_tensor((4, 1), "int8"), "GatherNdOptions")

    assert "GATHER_ND" in analysed(build).problems[0]


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_operators_of_a_trunk_are_passed_over(axis):
    """A split of channels, a sum that keeps its axis: nothing of int32 comes from them."""
    graph = FlatbufferGraph()
    frame = graph.input((2, 4), "int8")
    shape = (1, 4) if axis == 0 else (2, 2)
    halves = [graph.new_tensor(shape, "int8") for _ in range(2)]
    graph._emit_many("SPLIT", [graph.constant(axis), frame], halves, "SplitOptions", numSplits=2)
    assert analyse_intervals(graph.finish({"frame": frame}, {"a": halves[0], "b": halves[1]})).problems == []


def test_an_unknown_source_of_int32_is_found():
    assert analysed(lambda g, x: g.fill((1, 4), 3)).problems == []
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    graph.constant(0)
    padded = graph.pad(graph.cast(frame, "int32"), [(0, 0), (0, 1)], 0)
    assert "PADV2" in analyse_intervals(graph.finish({"frame": frame}, {"output": padded})).problems[0]
