"""A written file's graph, read-only."""

from __future__ import annotations

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
