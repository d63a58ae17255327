"""A written network as a graph: which operator makes and reads a tensor, and what the network costs."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model
from stn_rectify.runtime.arrays import IntArray


class WrittenGraph:
    """One subgraph of a file, the first unless another is named; tensors are named by their position."""

    def __init__(self, flatbuffer: bytes, subgraph: int = 0) -> None:
        self._model = read_model(flatbuffer)
        self._graph = self._model.subgraphs[subgraph]
        self._producer = {int(t): op for op in self._graph.operators for t in op.outputs}

    @property
    def operators(self) -> list[Any]:
        """In the order they run."""
        return list(self._graph.operators)

    @property
    def outputs(self) -> list[int]:
        """The graph's outputs."""
        return [int(t) for t in self._graph.outputs]

    def name(self, op: Any) -> str:
        """Name of an operator."""
        return operator_name(self._model.operatorCodes[op.opcodeIndex])

    def operands(self, op: Any) -> list[int]:
        """The tensors that an operator reads; absent ones are left out."""
        return [int(t) for t in op.inputs if t >= 0]

    def producer(self, tensor: int) -> Any:
        """The operator that makes a tensor; None for constants and inputs."""
        return self._producer.get(tensor)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(int(n) for n in self._graph.tensors[tensor].shape)

    def dtype(self, tensor: int) -> str:
        """NumPy's name of a tensor's dtype."""
        return DTYPES[self._graph.tensors[tensor].type]

    def constant(self, tensor: int) -> IntArray | None:
        """The value of a constant; None for what is computed."""
        t = self._graph.tensors[tensor]
        data = self._model.buffers[t.buffer].data
        if data is None:
            return None
        return np.frombuffer(bytes(data), self.dtype(tensor)).reshape(self.shape(tensor)).astype(np.int64)

    def made_by(self, tensor: int, name: str) -> Any:
        """The operator that makes a tensor, if it is a ``name`` without an activation; else None."""
        op = self._producer.get(tensor)
        if op is None or self.name(op) != name or getattr(op.builtinOptions, "fusedActivationFunction", False):
            return None
        return op


_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


def network_cost(flatbuffer: bytes, subgraph: int = 0) -> tuple[int, int]:
    """Parameters and multiply-accumulates for one image.

    Convolutions, dense layers and products of matrices are counted exactly, batch normalization as folded into them;
    everything else is a few additions and counted as nothing. A layer that is called more than once has its parameters
    once.

    Args:
        flatbuffer: the file.
        subgraph: number of the network in it.
    """
    graph = WrittenGraph(flatbuffer, subgraph)
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
