"""The operators of a written file, in the order they run, and how many bytes its constants take."""

from __future__ import annotations

from dataclasses import dataclass

from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        name: the schema's name.
        version: of the operator.
        inputs: dtypes of its operands; absent ones are left out.
        outputs: dtypes of its results.
        output_shape: of the first result.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_shape: tuple[int, ...]


@dataclass(frozen=True)
class OperatorGroup:
    """Operators of one name, version and set of dtypes.

    Attributes:
        name: the schema's name.
        version: of the operator.
        inputs: dtypes of the operands.
        outputs: dtypes of the results.
        positions: of its operators, in the order they run.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    positions: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of operators."""
        return len(self.positions)


def read_operators(flatbuffer: bytes) -> tuple[Operator, ...]:
    """The operators of the first subgraph; a second one, the refine network, has none of other kinds."""
    model = read_model(flatbuffer)
    tensors = model.subgraphs[0].tensors

    def dtypes(numbers: list[int]) -> tuple[str, ...]:
        return tuple(DTYPES[tensors[t].type] for t in numbers if t >= 0)

    operators = []
    for op in model.subgraphs[0].operators:
        code = model.operatorCodes[op.opcodeIndex]
        shape = tensors[op.outputs[0]].shape if len(op.outputs) else None
        shape = tuple(int(n) for n in shape) if shape is not None else ()
        operators.append(Operator(operator_name(code), int(code.version), dtypes(op.inputs), dtypes(op.outputs), shape))
    return tuple(operators)


def group_operators(operators: tuple[Operator, ...]) -> tuple[OperatorGroup, ...]:
    """Operators that differ only in place and size, together; in the order of their first appearance."""
    places: dict[tuple[str, int, tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for position, op in enumerate(operators):
        places.setdefault((op.name, op.version, op.inputs, op.outputs), []).append(position)
    return tuple(OperatorGroup(*key, tuple(positions)) for key, positions in places.items())


def constant_bytes(flatbuffer: bytes) -> int:
    """Bytes of all constants, shared ones counted once."""
    return sum(len(buffer.data) for buffer in read_model(flatbuffer).buffers if buffer.data is not None)
