"""The interval analysis finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.integer.sampler import build_sampler
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.intervals import analyse_intervals
from stn_rectify.converters.tflite.graph import FlatbufferGraph


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


def cut(g, numbers, byte, first=0, count=4):
    """The bytes of ``numbers``, int32 [4], from one on, as `integer_sampler` cuts them out."""
    raw = g.concatenate([g.bitcast(numbers, (4, 4), "int8"), g.constant(np.zeros((1, 4)), "int8")])
    moved = g.slice(g.reshape(raw, (20,)), (4 * first + byte,), (4 * count,))
    return g.bitcast(g.reshape(moved, (count, 4)), (count,), "int32")


def from_zero(g, x, factor):
    """(x + 128) · factor: 0 to 255 · factor, int32 [4]."""
    return g.reshape(g.multiply(g.add(x, constant(g, 128)), constant(g, factor)), (4,))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        pytest.param({"byte": 2}, 0, id="high half"),
        pytest.param({"byte": 2, "first": 1, "count": 3}, 0, id="of the last three"),
        pytest.param({"byte": 2, "first": 1}, 1, id="beyond the last"),
        pytest.param({"byte": 3}, 1, id="half of it the next number's"),
        pytest.param({"byte": 1}, 1, id="more than 16 bits"),
        pytest.param({"byte": 2, "dtype": "uint8"}, 0, id="one byte"),
        pytest.param({"byte": 2, "dtype": "int8"}, 1, id="one byte with a sign"),
    ],
)
def test_only_whole_numbers_that_were_cut_out_are_believed(options, found):
    dtype = options.get("dtype", "int16")
    places = {key: value for key, value in options.items() if key != "dtype"}

    def build(g, x):
        part = g.cast(g.cast(cut(g, from_zero(g, x, 1 << 16), **places), dtype), "int32")
        return g.gather(constant(g, 5, (256, 1)), part)

    assert len(analysed(build).problems) == found


def test_cut_out_numbers_are_as_large_as_they_can_be():
    def build(g, x):
        return g.gather(constant(g, 5, (255, 1)), g.cast(g.cast(cut(g, from_zero(g, x, 1 << 16), 2), "int16"), "int32"))

    assert analysed(build).gathers == [(255, 255)]
    assert analysed(build).problems


def lane_shift(g, numbers, begin=1, narrow="uint16"):
    """int8 [5], from the second on, · 2^16 as `integer_sampler` makes it."""
    wide = g.cast(g.cast(numbers, narrow), "int32")
    lanes = g.reshape(g.bitcast(wide, (5, 2), "int16"), (10,))
    return g.bitcast(g.reshape(g.slice(lanes, (begin,), (8,)), (4, 2)), (4,), "int32")


@pytest.mark.parametrize(
    ("options", "is_shift"),
    [
        pytest.param({}, True, id="as it is made"),
        pytest.param({"begin": 0}, False, id="not moved"),
        pytest.param({"begin": 2}, False, id="moved too far"),
        pytest.param({"narrow": "int16"}, False, id="beside signs"),
    ],
)
def test_only_the_true_shift_by_a_lane_is_believed(options, is_shift):
    def build(g, x):
        narrow = g.reshape(g.cast(x, "int8"), (4,))
        return g.add(g.cast(narrow, "int32"), lane_shift(g, g.pad(narrow, ((1, 0),), 0), **options))

    report = analysed(build)
    assert (report.largest == 128 * 65537) == is_shift
    assert bool(report.problems) != is_shift


@pytest.mark.parametrize(("rows", "found"), [(256, 0), (255, 1)])
def test_a_gather_of_bytes_out_of_range_is_found(rows, found):
    """Its output is no int32, and still it reads by index."""

    def build(g, x):
        table = g.cast(constant(g, 5, (rows, 1)), "int8")
        return g.gather(table, from_zero(g, x, 1))

    assert len(analysed(build).problems) == found


def test_a_gather_of_bytes_by_constant_places_is_passed_over():
    """Part of some trunk: the interpreter checks the places itself."""
    graph = FlatbufferGraph()
    frame = graph.input((2, 4), "int8")
    output = graph.gather(frame, graph.constant([1, 0]))
    assert analyse_intervals(graph.finish({"frame": frame}, {"output": output})).problems == []


def test_an_int64_index_is_never_believed():
    def build(g, x):
        index = g.multiply(g.cast(from_zero(g, x, 1), "int64"), g.constant(np.zeros(4), "int64"))
        return g.gather(constant(g, 5, (256, 1)), index)

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
        return g.emit("QUANTIZE", [wrapped], g.new_tensor((1, 4), "int8"), "QuantizeOptions")

    assert "QUANTIZE" in analysed(build).problems[0]


def test_another_operator_that_reads_by_index_is_found():
    def build(g, x):
        table = g.cast(constant(g, 5, (3, 1)), "int8")
        return g.emit("GATHER_ND", [table, g.reshape(x, (4, 1))], g.new_tensor((4, 1), "int8"), "GatherNdOptions")

    assert "GATHER_ND" in analysed(build).problems[0]


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_operators_of_a_trunk_are_passed_over(axis):
    """A split of channels, a sum that keeps its axis: nothing of int32 comes from them."""
    graph = FlatbufferGraph()
    frame = graph.input((2, 4), "int8")
    shape = (1, 4) if axis == 0 else (2, 2)
    halves = [graph.new_tensor(shape, "int8") for _ in range(2)]
    graph.emit_many("SPLIT", [graph.constant(axis), frame], halves, "SplitOptions", numSplits=2)
    assert analyse_intervals(graph.finish({"frame": frame}, {"a": halves[0], "b": halves[1]})).problems == []


def test_an_unknown_source_of_int32_is_found():
    assert analysed(lambda g, x: g.fill((1, 4), 3)).problems == []
    graph = FlatbufferGraph()
    frame = graph.input((1, 4), "int8")
    graph.constant(0)
    padded = graph.pad(graph.cast(frame, "int32"), [(0, 0), (0, 1)], 0)
    assert "PADV2" in analyse_intervals(graph.finish({"frame": frame}, {"output": padded})).problems[0]
