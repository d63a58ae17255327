"""The cost of a converted network, counted in its operators."""

from __future__ import annotations

from math import prod

from stn_rectify.converters.tflite.written_graph import WrittenGraph

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


def network_cost(flatbuffer: bytes) -> tuple[int, int]:
    """Parameters and multiply-accumulates for one image.

    Convolutions, dense layers and products of matrices are counted exactly, batch normalization as folded into them;
    everything else is a few additions and counted as nothing. A layer that is called more than once has its parameters
    once.
    """
    graph = WrittenGraph(flatbuffer)
    parameters: set[int] = set()  # numbers of constant tensors
    macs = 0
    for op in graph.operators:
        name = graph.name(op)
        if name not in _WEIGHTED:
            continue
        weights = graph.operands(op)[0 if name == "BATCH_MATMUL" else 1 :]  # the first of the others is no parameter
        parameters |= {t for t in weights if graph.constant(t) is not None}
        kernel = graph.shape(int(op.inputs[1]))
        out = graph.shape(int(op.outputs[0]))
        if name == "BATCH_MATMUL":
            # [..., m, k] times [..., k, n]; either may be stored transposed.
            macs += prod(out) * graph.shape(int(op.inputs[0]))[-2 if op.builtinOptions.adjX else -1]
        elif name == "TRANSPOSE_CONV":
            macs += prod(graph.shape(int(op.inputs[2]))[1:3]) * prod(kernel)
        else:
            # [1, h, w, C] or [1, C]: each position of the output reads the whole kernel (depthwise: [1, h, w, C] too).
            macs += prod(out[:-1]) * prod(kernel)
    return sum(prod(graph.shape(t)) for t in parameters), macs
