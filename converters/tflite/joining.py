"""Two networks in one flatbuffer: one behind the other in a graph, or each a subgraph with a signature of its own."""

from __future__ import annotations

from typing import Any

from stn_rectify.converters.tflite.builder import FlatbufferBuilder, Tensor
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.runtime.errors import ModelFileError


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
        ModelFileError: if the image is not what the network reads.
    """
    network = read_model(flatbuffer)
    subgraph, signature = network.subgraphs[0], network.signatureDefs[0]
    network_input = FlatbufferGraph(flatbuffer).tensor(signature.inputs[0].tensorIndex)
    if (network_input.shape, network_input.dtype, network_input.quantization) != (
        image.shape,
        image.dtype,
        image.quantization,
    ):
        raise ModelFileError(f"{prefix}: reads {network_input}, but the sampler gives {image}")
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


def without_signature(flatbuffer: bytes, signature: str) -> bytes:
    """A flatbuffer without its last subgraph, and without what only that one needs, if that one has this signature.

    Args:
        flatbuffer: subgraphs with a SignatureDef each.
        signature: the key; where there is none of it, the flatbuffer is given back as it is.

    Raises:
        ModelFileError: if the subgraph of that signature is not the last one.
    """
    builder = FlatbufferBuilder(flatbuffer)
    model = builder.model
    named = {one.signatureKey.decode(): int(one.subgraphIndex) for one in model.signatureDefs}
    if signature not in named:
        return flatbuffer
    if named[signature] != len(model.subgraphs) - 1:
        raise ModelFileError(f"the network {signature!r} is not the last one of the file")
    model.subgraphs.pop()
    model.signatureDefs = [one for one in model.signatureDefs if one.signatureKey.decode() != signature]
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    codes = sorted({int(operator.opcodeIndex) for operator in operators})
    for operator in operators:
        operator.opcodeIndex = codes.index(int(operator.opcodeIndex))
    model.operatorCodes = [model.operatorCodes[code] for code in codes]
    builder.drop_unused_buffers()
    return write_model(model)


def join_subgraph(flatbuffer: bytes, other: bytes, signature: str) -> bytes:
    """Adds another model's only subgraph behind those of a flatbuffer.

    Args:
        flatbuffer: what it is added to; its first subgraph stays what an interpreter runs unasked.
        other: a model of one subgraph and one SignatureDef.
        signature: the key that this SignatureDef gets.

    Returns:
        A flatbuffer of both; operator codes that both have are in it once.
    """
    joined, added = FlatbufferBuilder(flatbuffer), read_model(other)
    model, subgraph, named = joined.model, added.subgraphs[0], added.signatureDefs[0]
    buffers = joined.add_buffers(added.buffers)
    for tensor in subgraph.tensors:
        tensor.buffer = buffers[tensor.buffer]
    codes = [joined.operator_code(code) for code in added.operatorCodes]
    for operator in subgraph.operators:
        operator.opcodeIndex = codes[operator.opcodeIndex]
    subgraph.name = named.signatureKey = signature
    named.subgraphIndex = len(model.subgraphs)
    model.subgraphs.append(subgraph)
    model.signatureDefs.append(named)
    return write_model(model)
