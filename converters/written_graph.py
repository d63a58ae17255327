"""A written file's graph, read-only: what it declares, and the operator patterns the converter makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.flatbuffer_model import DTYPES, operator_name, read_model

__all__ = ["WrittenGraph"]

_MOVES = ("TILE", "SPLIT", "RESHAPE")


class WrittenGraph:
    """The first subgraph of a file; tensors are named by their position."""

    def __init__(self, flatbuffer: bytes) -> None:
        self._model = read_model(flatbuffer)
        self._graph = self._model.subgraphs[0]
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
        """The tensors that an operator reads."""
        return [int(t) for t in op.inputs]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(int(n) for n in self._graph.tensors[tensor].shape)

    def dtype(self, tensor: int) -> str:
        """NumPy's name of a tensor's dtype."""
        return DTYPES[self._graph.tensors[tensor].type]

    def constant(self, tensor: int) -> npt.NDArray[np.int64] | None:
        """The value of a constant; None for what is computed."""
        t = self._graph.tensors[tensor]
        data = self._model.buffers[t.buffer].data
        if data is None:
            return None
        return np.frombuffer(bytes(data), self.dtype(tensor)).reshape(self.shape(tensor)).astype(np.int64)

    def made_by(self, tensor: int, name: str) -> Any:
        """The operator that makes a tensor, if it is a ``name``; else None."""
        op = self._producer.get(tensor)
        return op if op is not None and self.name(op) == name else None

    # Patterns

    def is_low_byte(self, tensor: int, of: int) -> bool:
        """Whether ``tensor`` is the low byte of ``of``: cast to uint8 and back."""
        wide = self.made_by(tensor, "CAST")
        narrow = wide and self.made_by(int(wide.inputs[0]), "CAST")
        return bool(narrow) and self.dtype(int(wide.inputs[0])) == "uint8" and int(narrow.inputs[0]) == of

    def divisor_of_multiple(self, tensor: int, number: int) -> int | None:
        """d if ``tensor`` is (number / d) · d."""
        product = self.made_by(tensor, "MUL")
        quotient = product and self.made_by(int(product.inputs[0]), "DIV")
        if quotient and int(quotient.inputs[0]) == number and int(quotient.inputs[1]) == int(product.inputs[1]):
            return int(product.inputs[1])
        return None

    def unmoved(self, tensor: int) -> tuple[int, list[tuple[str, int, tuple[int, ...]]]]:
        """The tensor that TILE, SPLIT and RESHAPE made this one of, and how."""
        path = []
        while (op := self._producer.get(tensor)) is not None and self.name(op) in _MOVES:
            path.append((self.name(op), list(op.outputs).index(tensor), self.shape(tensor)))
            tensor = int(op.inputs[1 if self.name(op) == "SPLIT" else 0])
        return tensor, path

    def source_of_byte_shift(self, op: Any) -> int | None:
        """Z if the BITCAST ``op`` ends the sequence by which `integer_sampler` shifts Z by one byte."""
        tensor = int(op.inputs[0])
        for name in ("RESHAPE", "SLICE", "RESHAPE", "CONCATENATION", "BITCAST"):
            step = self.made_by(tensor, name)
            if step is None:
                return None
            begin = self.constant(int(step.inputs[1])) if name == "SLICE" else None
            if begin is not None and begin.tolist() != [1]:
                return None
            tensor = int(step.inputs[0])
        return tensor
