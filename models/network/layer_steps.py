"""A Keras model as a flat list of layer calls, nested models opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

__all__ = ["Step", "flat_steps", "steps_to"]


@dataclass(frozen=True)
class _Slot:
    """Stands for a tensor in the arguments of a call."""

    number: int


@dataclass(frozen=True)
class Step:
    """One call of one layer.

    Attributes:
        layer: a Keras layer or operation.
        inputs: numbers of the tensors it takes.
        outputs: numbers of the tensors it gives.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    _arguments: Any = field(repr=False)

    def arguments(self, value: Callable[[int], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the call; ``value`` gives the tensor of a number."""
        args, kwargs = keras.tree.map_structure(
            lambda a: value(a.number) if isinstance(a, _Slot) else a, self._arguments
        )
        return args, kwargs


def flat_steps(model: keras.Model) -> tuple[list[Step], list[int]]:
    """The calls of a functional or sequential model, in the order they run.

    Returns:
        The steps, and the numbers of the model's outputs; its inputs have the numbers from 0.
    """
    walk = _Walk(len(model.inputs))
    numbers = {id(tensor): number for number, tensor in enumerate(model.inputs)}
    return walk.steps, [walk.number(tensor, numbers) for tensor in model.outputs]


def steps_to(steps: Sequence[Step], outputs: Sequence[int]) -> list[Step]:
    """Gives those of the steps that ``outputs`` need, in the same order."""
    needed, chosen = set(outputs), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            chosen.append(step)
    return chosen[::-1]


class _Walk:
    def __init__(self, count: int) -> None:
        self.steps: list[Step] = []
        self._count = count  # of numbers given so far

    def number(self, tensor: Any, numbers: dict[int, int]) -> int:
        """Number of a symbolic tensor, after the steps that make it; ``numbers`` holds those of its model by id."""
        waiting = [tensor]  # a list of its own: Python's call stack is too short for a chain of some hundred layers
        while waiting:
            if id(waiting[-1]) in numbers:
                waiting.pop()
                continue
            history = waiting[-1]._keras_history
            node = history.operation._inbound_nodes[history.node_index]
            missing = [t for t in node.input_tensors if id(t) not in numbers]
            if missing:
                waiting += missing[::-1]
                continue
            inputs = [numbers[id(t)] for t in node.input_tensors]
            numbers |= {id(t): made for t, made in zip(node.outputs, self._call(node, inputs), strict=True)}
        return numbers[id(tensor)]

    def _call(self, node: Any, inputs: list[int]) -> list[int]:
        layer = node.operation
        if isinstance(layer, keras.Function | keras.Sequential):
            inner = {id(tensor): number for tensor, number in zip(layer.inputs, inputs, strict=True)}
            return [self.number(tensor, inner) for tensor in layer.outputs]
        numbers = iter(inputs)
        arguments = keras.tree.map_structure(
            lambda a: _Slot(next(numbers)) if isinstance(a, keras.KerasTensor) else a,
            (node.arguments.args, node.arguments.kwargs),
        )
        outputs = list(range(self._count, self._count + len(node.outputs)))
        self._count += len(outputs)
        self.steps.append(Step(layer, tuple(inputs), tuple(outputs), arguments))
        return outputs
