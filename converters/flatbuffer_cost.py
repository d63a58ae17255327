"""What a converted network costs, counted in its operators."""

from __future__ import annotations

from math import prod

from stn_rectify.converters.written_graph import WrittenGraph

__all__ = ["network_cost"]

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def network_cost(flatbuffer: bytes) -> tuple[int, int]:
    """Parameters and multiply-accumulates for one image.

    Convolutions and dense layers are counted exactly, batch normalization as folded into them; everything else is a
    few additions and counted as nothing.
    """
    graph = WrittenGraph(flatbuffer)
    parameters = macs = 0
    for op in graph.operators:
        name = graph.name(op)
        if name not in _WEIGHTED:
            continue
        kernel = graph.shape(int(op.inputs[1]))
        out = graph.shape(int(op.outputs[0]))
        parameters += sum(prod(graph.shape(t)) for t in graph.operands(op)[1:] if graph.constant(t) is not None)
        if name == "TRANSPOSE_CONV":
            macs += prod(graph.shape(int(op.inputs[2]))[1:3]) * prod(kernel)
        else:
            # [1, h, w, C] or [1, C]: each position of the output reads the whole kernel (depthwise: [1, h, w, C] too).
            macs += prod(out[:-1]) * prod(kernel)
    return parameters, macs
