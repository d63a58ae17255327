"""A function of TensorFlow as a graph whose weights are constants: what depends on what, and parts of it to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError

# Operations that look at the shape of a tensor only: what they give does not depend on its numbers.
_OF_SHAPES = ("Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike")
_LINEAR = ("Add", "AddV2", "BiasAdd", "MatMul", "Mul", "RealDiv", "Sub")
_PASSING_ON = ("Identity", "IdentityN", "StopGradient", "Reshape", "EnsureShape", "Squeeze", "ExpandDims")


class FrozenGraph:
    """The graph of a function of one image, weights and constants in it.

    Tensors are those of TensorFlow's graph. One depends on another if it is made from its *numbers*; what only looks
    at its shape (the batch size of a tile, say) does not count.

    Args:
        name: of the model, for messages.
        concrete: a ``ConcreteFunction`` of one tensor.

    Attributes:
        name: of the model.
        frame: its input, of rank 4 and fixed size but for the batch.
        outputs: its outputs, what only passes a tensor on left out.

    Raises:
        ModelFileError: if it has not one image of fixed size as its input.
    """

    def __init__(self, name: str, concrete: Any) -> None:
        self.name = name
        self._frozen = convert_variables_to_constants_v2(concrete)
        inputs = self._frozen.inputs
        if len(inputs) != 1 or inputs[0].shape.rank != 4 or None in inputs[0].shape[1:]:
            raise ModelFileError(f"{name}: needs one input [batch, height, width, channels] of fixed size")
        self.frame: Any = inputs[0]
        self.outputs: list[Any] = [self.behind(tensor) for tensor in self._frozen.outputs]

    @property
    def operations(self) -> Sequence[Any]:
        """All operations, in the order in which they were added."""
        return self._frozen.graph.get_operations()  # type: ignore[no-any-return]

    def shape(self, tensor: Any) -> tuple[int | None, ...] | None:
        """The shape of a tensor for one frame; None where not even its rank is known."""
        found = self._shapes.get(tensor.name, tensor.shape)
        return None if found.rank is None else tuple(found.as_list())

    @cached_property
    def _shapes(self) -> dict[str, Any]:
        """Shapes by the names of tensors for a batch of one: of many, only the rank is known with an open batch."""
        definition = self._frozen.graph.as_graph_def()
        for node in definition.node:
            node.attr.pop("_output_shapes", None)
            if node.name == self.frame.op.name:
                node.attr["shape"].shape.dim[0].size = self.frame.shape[0] or 1
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
        return {t.name: t.shape for op in graph.get_operations() for t in op.outputs}

    def behind(self, tensor: Any) -> Any:
        """The tensor that operations which change no number and no shape pass on."""
        while tensor.op.type in _PASSING_ON and tensor.op.inputs[0].shape.as_list() == tensor.shape.as_list():
            tensor = tensor.op.inputs[0]
        return tensor

    # What depends on what

    def ancestors(self, tensors: Iterable[Any], ends: Iterable[Any] = ()) -> set[Any]:
        """References of tensors and of all that they are made from, no further than ``ends``."""
        reached: set[Any] = set()
        stop = {t.ref() for t in ends}
        waiting = list(tensors)
        while waiting:
            tensor = waiting.pop()
            if tensor.ref() in reached:
                continue
            reached.add(tensor.ref())
            if tensor.ref() not in stop:
                waiting += _sources(tensor.op)
        return reached

    @cached_property
    def of_frame(self) -> list[Any]:
        """The tensors that depend on the frame, each after those that it is made from."""
        computed = {self.frame.ref()}
        ordered = [self.frame]
        for op in _in_order(self.operations):
            if any(t.ref() in computed for t in _sources(op)):
                ordered += [t for t in op.outputs if t.ref() not in computed]
                computed |= {t.ref() for t in op.outputs}
        return ordered

    def depends(self, tensors: Iterable[Any], on: Any, *, not_through: Any = None) -> bool:
        """Tells whether a tensor is made from ``on``, on a way that does not go through another one."""
        ends = [on] if not_through is None else [on, not_through]
        return on.ref() in self.ancestors(tensors, ends)

    def gates(self, tensors: Sequence[Any], candidates: Iterable[Any], source: Any) -> Iterator[Any]:
        """Those candidates through which all goes that ``tensors`` know of ``source``."""
        for candidate in candidates:
            if not self.depends(tensors, source, not_through=candidate):
                yield candidate

    # Parts of it to run

    def part(self, starts: Sequence[Any], ends: Sequence[Any]) -> Any:
        """The function from some tensors to others."""
        return self._frozen.prune(list(starts), list(ends))

    def function(self, start: Any, ends: dict[str, Any]) -> TensorFunction:
        """The function from one tensor to named ones."""
        run = self.part([start], list(ends.values()))

        def named(tensor: Any) -> dict[str, Any]:
            return dict(zip(ends, run(tf.convert_to_tensor(tensor)), strict=True))

        return named

    def run(self, starts: Sequence[tuple[Any, Array]], end: Any) -> npt.NDArray[np.float32]:
        """The numbers of a tensor for those of others, float32."""
        (found,) = self.part([tensor for tensor, _ in starts], [end])(*(tf.constant(v) for _, v in starts))
        return np.asarray(found, np.float32)

    # Numbers

    def check_numbers(self) -> None:
        """Refuses weights that are no numbers, and arithmetic in half precision.

        Raises:
            ModelFileError: it names the node.
        """
        for op in self.operations:
            half = [t.dtype.name for t in op.outputs if t.dtype in (tf.float16, tf.bfloat16)]
            if half:
                raise ModelFileError(
                    f"{self.name}: node {op.name!r} ({op.type}) computes in {half[0]}; give the .keras file, or export "
                    "the model with the dtype policy float32"
                )
            weights = constant(op.outputs[0]) if op.type == "Const" and op.outputs[0].dtype == tf.float32 else None
            if weights is not None and weights.size > 1 and not np.isfinite(weights).all():
                raise ModelFileError(
                    f"{self.name}: the weights of node {_reader(op.outputs[0])!r} are not finite: the training "
                    "diverged; train it again"
                )


def constant(tensor: Any) -> Array | None:
    """The numbers of a constant; None of a tensor that is computed."""
    while tensor.op.type in _PASSING_ON:
        tensor = tensor.op.inputs[0]
    return np.asarray(tf.make_ndarray(tensor.op.get_attr("value"))) if tensor.op.type == "Const" else None


def linear_source(tensor: Any) -> Any:
    """The tensor that ``tensor`` is a linear function of, by one operation and constants; None if there is none."""
    op = tensor.op
    if op.type not in _LINEAR:
        return None
    computed = [k for k, t in enumerate(op.inputs) if constant(t) is None]
    if len(computed) != 1 or (op.type == "RealDiv" and computed != [0]):
        return None
    if op.type == "MatMul" and (computed != [0] or op.get_attr("transpose_a") or op.inputs[0].shape.rank != 2):
        return None
    return op.inputs[computed[0]]


def described(tensor: Any) -> str:
    """Name and kind of the node that makes a tensor, for messages."""
    return f"node {tensor.op.name!r} ({tensor.op.type})"


def _sources(op: Any) -> list[Any]:
    return [] if op.type in _OF_SHAPES else list(op.inputs)


def _in_order(operations: Collection[Any]) -> list[Any]:
    """Operations, each behind those that it reads; loops are cut somewhere."""
    ordered: list[Any] = []
    seen: set[str] = set()
    for first in operations:
        waiting = [(first, False)]
        while waiting:
            op, is_done = waiting.pop()
            if is_done:
                ordered.append(op)
            elif op.name not in seen:
                seen.add(op.name)
                waiting.append((op, True))
                waiting += [(t.op, False) for t in op.inputs if t.op.name not in seen]
    return ordered


def _reader(tensor: Any) -> str:
    """Name of the first node that does something with a tensor."""
    readers = tensor.consumers()
    while readers and readers[0].type in _PASSING_ON:
        tensor = readers[0].outputs[0]
        readers = tensor.consumers()
    return str(readers[0].name if readers else tensor.op.name)

