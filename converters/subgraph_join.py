"""Two networks in one flatbuffer, each a subgraph with a SignatureDef of its own."""

from __future__ import annotations

from stn_rectify.converters.flatbuffer_builder import FlatbufferBuilder
from stn_rectify.converters.flatbuffer_model import read_model, write_model

__all__ = ["join_subgraph"]


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
