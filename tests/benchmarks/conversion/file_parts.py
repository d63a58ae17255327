"""A file of stn-convert, cut off behind its pooling, its trunk and its head, to see what each takes.

python tests/benchmarks/conversion/file_parts.py MODEL.tflite DIR                  # where the converter is installed
python tests/benchmarks/speed/interleaved_latency.py DIR/whole.tflite DIR/*.tflite
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stn_rectify.converters.proof.bits import COEFFICIENTS, FEATURES
from stn_rectify.converters.tflite.object_tree import operator_name, read_model, write_model


def main() -> None:
    """Writes whole.tflite, and the beginnings pooling.tflite (if it starts with one), trunk.tflite, head.tflite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument("folder", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    flatbuffer = arguments.model.read_bytes()
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    made = [graph.tensors[int(op.outputs[0])].name.decode() for op in graph.operators]
    ends = {"trunk": made.index(FEATURES), "head": made.index(COEFFICIENTS)}
    if operator_name(model.operatorCodes[graph.operators[0].opcodeIndex]) == "AVERAGE_POOL_2D":
        ends["pooling"] = 0
    (arguments.folder / "whole.tflite").write_bytes(flatbuffer)
    for name, end in ends.items():
        beginning = read_model(flatbuffer)
        graph, beginning.signatureDefs = beginning.subgraphs[0], []
        graph.operators = graph.operators[: end + 1]
        graph.outputs = [int(graph.operators[-1].outputs[0])]
        (arguments.folder / f"{name}.tflite").write_bytes(write_model(beginning))


if __name__ == "__main__":
    main()
