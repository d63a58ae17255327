"""The list of operators, and which of them XNNPACK takes, on graphs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.report.delegation import delegated_operators, find_delegation
from stn_rectify.converters.report.operator_list import constant_bytes, group_operators, read_operators
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import InterpreterNode, installed_packages


def mixed_model():
    """MUL and ADD in float32, a piece in int32 that XNNPACK has no operators for, MUL and SUB in float32."""
    graph = FlatbufferGraph()
    frame = graph.input((1, 8), "float32")
    factor = graph.constant(np.full((1, 8), 3.5), "float32")
    first = graph.add(graph.multiply(frame, factor), factor)
    whole = graph.cast(first, "int32")
    shifted = graph.shift_right(graph.shift_right(whole, 1), 2)
    second = graph.multiply(graph.cast(shifted, "float32"), factor)
    return graph.finish({"frame": frame}, {"y": graph.subtract(second, factor), "first": first})


def test_xnnpack_takes_the_float_operators_and_leaves_the_integer_ones(interpreter):
    delegation = find_delegation(mixed_model(), interpreter.package.split()[0])
    names = [op.name for op in read_operators(mixed_model())]
    assert names == ["MUL", "ADD", "CAST", "RIGHT_SHIFT", "RIGHT_SHIFT", "CAST", "MUL", "SUB"]
    assert delegation.problem is None
    assert delegation.interpreter == interpreter.package
    assert delegation.operators == 8
    assert [set(p) & {0, 1, 3, 4, 6, 7} for p in delegation.partitions] == [{0, 1}, {6, 7}]
    assert delegation.taken.isdisjoint({3, 4})


def test_what_no_delegate_takes_is_not_reported_as_taken(interpreter):
    graph = FlatbufferGraph()
    frame = graph.input((1, 8), "int32")
    flatbuffer = graph.finish({"frame": frame}, {"y": graph.shift_right(frame, 1)})
    delegation = find_delegation(flatbuffer, interpreter.package.split()[0])
    assert (delegation.operators, delegation.partitions) == (1, ())


def test_operators_inside_a_delegate_are_those_between_its_ends():
    """By hand: 0 feeds 1 and 2, which meet in 3; 4 is outside; a delegate for 1, 2 and 3, another for 5."""
    nodes = [
        InterpreterNode("A", (0, 90), (1,)),
        InterpreterNode("B", (1, 91), (2,)),
        InterpreterNode("C", (1,), (3,)),
        InterpreterNode("D", (2, 3), (4,)),
        InterpreterNode("E", (4,), (5,)),
        InterpreterNode("F", (5, 3), (6,)),
        InterpreterNode("DELEGATE", (1, 91), (3, 4)),
        InterpreterNode("DELEGATE", (3, 5), (6,)),
    ]
    assert delegated_operators(nodes) == ((1, 2, 3), (5,))


def test_a_model_that_an_interpreter_refuses_is_said_to_be_unknown():
    delegation = find_delegation(b"no model at all", installed_packages()[0])
    assert delegation.problem


def test_operators_are_listed_in_order_with_their_dtypes():
    operators = read_operators(mixed_model())
    cast = operators[2]
    assert (cast.inputs, cast.outputs, cast.output_shape) == (("float32",), ("int32",), (1, 8))
    assert operators[0].inputs == ("float32", "float32")


def test_operators_of_one_kind_and_dtypes_are_grouped():
    groups = {(g.name, g.inputs): g.positions for g in group_operators(read_operators(mixed_model()))}
    assert groups[("MUL", ("float32", "float32"))] == (0, 6)
    assert groups[("CAST", ("float32",))] == (2,)
    assert groups[("CAST", ("int32",))] == (5,)
    assert sum(map(len, groups.values())) == 8


@pytest.mark.parametrize(("count", "expected"), [(1, 4), (10, 40)])
def test_constants_are_counted_in_bytes_and_shared_ones_once(count, expected):
    graph = FlatbufferGraph()
    frame = graph.input((1, count), "int32")
    constant = graph.constant(np.arange(count)[None])
    flatbuffer = graph.finish({"frame": frame}, {"y": graph.add(graph.add(frame, constant), constant)})
    assert constant_bytes(flatbuffer) == expected
