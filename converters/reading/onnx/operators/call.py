"""An operator at its place in a graph: what it is given, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from stn_rectify.converters.reading.onnx.laid_out import Operand, Value, shape_of
from stn_rectify.converters.reading.onnx.onnx_file import Node
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError


@dataclass(frozen=True)
class Call:
    """A node with its inputs.

    Attributes:
        model: name of the model, for messages.
        node: the node.
        inputs: a value or constant for each input; None for one that is left out.
        batch: the batch size that the file was exported for; None for any. Here it is 1.
    """

    model: str
    node: Node
    inputs: tuple[Operand | None, ...]
    batch: int | None

    def refuse(self, why: str) -> NoReturn:
        """Raises a ModelFileError that names the node.

        Args:
            why: what is wrong, and what to do.
        """
        raise ModelFileError(f"{self.model}: {self.node} {why}")

    def given(self, number: int) -> Operand | None:
        """An input that may be left out."""
        return self.inputs[number] if number < len(self.inputs) else None

    def operand(self, number: int) -> Operand:
        """An input."""
        found = self.given(number)
        if found is None:
            self.refuse(f"lacks its input {number}: the file is damaged, export the model again")
        return found

    def value(self, number: int) -> Value:
        """An input that depends on the frame, or a constant made a tensor."""
        import tensorflow as tf

        found = self.operand(number)
        return found if isinstance(found, Value) else Value.plain(tf.constant(found))

    def constant(self, number: int, what: str) -> Array:
        """An input that must be a constant.

        Args:
            number: which.
            what: it is, for the message.
        """
        found = self.operand(number)
        if isinstance(found, Value):
            self.refuse(f"has {what} that depend on the frame; they must be constants")
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is if it is not there."""
        return self.node.attributes.get(name, default)

    def setting(self, name: str, number: int, default: Any = None) -> Any:
        """What was an attribute in older operator sets and is an input in newer ones: a list, a number or None."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        found = self.given(number)
        return default if found is None else self.constant(number, f"{name}").tolist()

    def axes(self, number: int = 1) -> list[int] | None:
        """The axes that it is about, none negative; None: not said."""
        rank = len(shape_of(self.operand(0)))
        found = self.setting("axes", number)
        return None if found is None else [int(axis) % rank for axis in np.atleast_1d(found)]

    def sizes(self, sizes: Any) -> list[int]:
        """A constant shape, for a batch of 1."""
        found = [int(size) for size in np.atleast_1d(sizes)]
        if self.batch not in (None, 1) and found[:1] == [self.batch]:
            found[0] = 1
        return found
