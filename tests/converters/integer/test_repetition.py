"""Columns repeated to rows in the file."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.converters.integer.repetition import repeat_last
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.object_tree import operator_name, read_model


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
