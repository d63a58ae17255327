"""The operators of a file that XNNPACK runs, as each installed interpreter decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stn_rectify.converters.tflite.isolated_interpreter import InterpreterNode, IsolatedInterpreter, installed_packages
from stn_rectify.runtime.errors import StnRectifyError


@dataclass(frozen=True)
class Delegation:
    """The part of a file that XNNPACK took.

    Attributes:
        interpreter: name and version.
        operators: of the file.
        partitions: positions of the operators that it runs, a tuple for each connected part of the graph.
        problem: why it is not known; None if it is.
    """

    interpreter: str
    operators: int
    partitions: tuple[tuple[int, ...], ...]
    problem: str | None = None

    @property
    def taken(self) -> frozenset[int]:
        """Positions of all operators that it runs."""
        return frozenset(position for partition in self.partitions for position in partition)


def find_delegations(flatbuffer: bytes) -> list[Delegation]:
    """`find_delegation` for each installed interpreter."""
    return [find_delegation(flatbuffer, package) for package in installed_packages()]


def find_delegation(flatbuffer: bytes, package: str) -> Delegation:
    """Loads a file in an interpreter with its default delegates, of which XNNPACK is the only one on a CPU."""
    interpreter_name = package
    try:
        with IsolatedInterpreter(package) as interpreter:
            interpreter_name = interpreter.package
            interpreter.load(flatbuffer)
            nodes = interpreter.nodes()
    except StnRectifyError as error:
        return Delegation(interpreter_name, 0, (), str(error))
    partitions = delegated_operators(nodes)
    return Delegation(interpreter_name, sum(node.operator != "DELEGATE" for node in nodes), partitions)


def delegated_operators(nodes: Sequence[InterpreterNode]) -> tuple[tuple[int, ...], ...]:
    """The operators that each DELEGATE node stands for.

    The interpreter keeps the file's operators in its list and appends the delegates' nodes, but does not say which
    replaces which. Everything between a delegate's outputs and its inputs is inside it.
    """
    maker = {t: k for k, node in enumerate(nodes) if node.operator != "DELEGATE" for t in node.outputs}
    partitions = []
    for node in nodes:
        if node.operator != "DELEGATE":
            continue
        inside: set[int] = set()
        pending = list(node.outputs)
        while pending:
            tensor = pending.pop()
            if tensor in node.inputs or tensor not in maker or maker[tensor] in inside:
                continue
            inside.add(maker[tensor])
            pending += nodes[maker[tensor]].inputs
        partitions.append(tuple(sorted(inside)))
    return tuple(partitions)
