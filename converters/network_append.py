"""Appends a converted network to a graph: the recognizer behind the sampler."""

from __future__ import annotations

from typing import Any

from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph, Tensor
from stn_rectify.converters.flatbuffer_model import read_model
from stn_rectify.runtime.errors import ModelFileError

__all__ = ["append_network"]


def append_network(graph: FlatbufferGraph, flatbuffer: bytes, image: Tensor, prefix: str) -> dict[str, Tensor]:
    """Appends all operators of a network of one input.

    Args:
        graph: where to.
        flatbuffer: the network, with one signature.
        image: what it shall read; shape, dtype and quantization must be those of its input.
        prefix: of its tensors' names.

    Returns:
        Its outputs by their names in its signature.

    Raises:
        ModelFileError: the image is not what the network reads.
    """
    network = read_model(flatbuffer)
    subgraph, signature = network.subgraphs[0], network.signatureDefs[0]
    wanted = FlatbufferGraph(flatbuffer).tensor(signature.inputs[0].tensorIndex)
    if (wanted.shape, wanted.dtype, wanted.quantization) != (image.shape, image.dtype, image.quantization):
        raise ModelFileError(f"{prefix}: reads {wanted}, but the sampler gives {image}")
    buffers = graph.add_buffers(network.buffers)
    places = {-1: -1, int(signature.inputs[0].tensorIndex): image.index}
    for index, tensor in enumerate(subgraph.tensors):
        if index not in places:
            tensor.buffer = buffers[tensor.buffer]
            tensor.name = f"{prefix}/{tensor.name.decode()}"
            places[index] = graph.add_tensor(tensor)
    codes = [graph.operator_code(code) for code in network.operatorCodes]
    for operator in subgraph.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
        for ends in ("inputs", "outputs", "intermediates"):
            indices: Any = getattr(operator, ends)
            if indices is not None:
                setattr(operator, ends, [places[int(t)] for t in indices])
        graph.add_operator(operator)
    return {entry.name.decode(): graph.tensor(places[int(entry.tensorIndex)]) for entry in signature.outputs}
