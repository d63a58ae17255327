"""A function of TensorFlow as a graph whose weights are constants: what depends on what, and parts of it to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from stn_rectify.converters.reading.foreign.constant_weights import with_constant_weights
from stn_rectify.converters.reading.input_shape import check_inputs
from stn_rectify.converters.tflite.quantizer import TensorFunction
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError, first_line

# Operations that look at the shape of a tensor only: what they give does not depend on its numbers.
_OF_SHAPES = ("Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike")
_LINEAR = ("Add", "AddV2", "BiasAdd", "MatMul", "Mul", "RealDiv", "Sub")
_KEEPING_SHAPE = ("Identity", "IdentityN", "StopGradient", "EnsureShape")
_PASSING_ON = (*_KEEPING_SHAPE, "Reshape", "Squeeze", "ExpandDims")


@dataclass(frozen=True)
class Scaling:
    """What a model makes of pixel values before anything else: ``value · factor + offset``.

    Attributes:
        factor: above 0.
        offset: 0 where there is none.
        of_bytes: whether its input is integers: the pixel values themselves.
    """

    factor: float = 1.0
    offset: float = 0.0
    of_bytes: bool = False

    def value_range(self, given: tuple[float, float]) -> tuple[float, float]:
        """What pixel values 0 and 255 are behind it, where they are ``given`` to the model."""
        low, high = (0.0, 255.0) if self.of_bytes else given
        return low * self.factor + self.offset, high * self.factor + self.offset


class FrozenGraph:
    """The graph of a function of one image, weights and constants in it.

    Tensors are those of TensorFlow's graph. One depends on another if it is made from its *numbers*; what only looks
    at its shape (the batch size of a tile, say) does not count.

    Args:
        name: of the model, for messages.
        concrete: a ``ConcreteFunction`` of one tensor.

    Attributes:
        name: of the model.
        frame: its input, of rank 4 and fixed size but for the batch, as the model first scales and shifts it.
        scaling: what comes before that.
        outputs: its outputs, what only passes a tensor on left out.

    Raises:
        ModelFileError: if it has not one image of fixed size as its input, or changes what it gives with each call.
    """

    def __init__(self, name: str, concrete: Any) -> None:
        self.name = name
        self._parts: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}
        self._frozen = with_constant_weights(name, concrete)
        inputs = self._frozen.inputs
        check_inputs(name, {tensor.op.name: tensor.shape.as_list() for tensor in inputs})
        self._input: Any = inputs[0]
        self.frame, self.scaling = self._scaled_input()
        self.outputs: list[Any] = [self.behind(tensor) for tensor in self._frozen.outputs]

    @property
    def operations(self) -> Sequence[Any]:
        """All operations, in the order in which they were added."""
        found: Sequence[Any] = self._frozen.graph.get_operations()
        return found

    def shape(self, tensor: Any) -> tuple[int | None, ...] | None:
        """The shape of a tensor for one frame; None where not even its rank is known."""
        found = self._shapes.get(tensor.name, tensor.shape)
        return None if found.rank is None else tuple(found.as_list())

    def row_size(self, tensor: Any) -> int:
        """How many numbers a tensor [B, n] has for each frame."""
        shape = self.shape(tensor)
        assert shape is not None
        assert shape[1] is not None
        return shape[1]

    @cached_property
    def _shapes(self) -> dict[str, Any]:
        """Shapes by the names of tensors for a batch of one: of many, only the rank is known with an open batch."""
        definition = self._frozen.graph.as_graph_def()
        for node in definition.node:
            node.attr.pop("_output_shapes", None)
            if node.name == self._input.op.name:
                node.attr["shape"].shape.dim[0].size = self._input.shape[0] or 1
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
        shapes = {t.name: t.shape for op in graph.get_operations() for t in op.outputs}
        open_ones = [t for t in self.of_frame if not shapes[t.name].is_fully_defined()]
        if open_ones:  # computed from other shapes: told by running it
            one = np.zeros((self._input.shape[0] or 1, *self.frame.shape[1:]), np.float32)
            try:
                found = self.part([self.frame], open_ones)(tf.constant(one))
            except (tf.errors.OpError, TypeError, ValueError):  # inside a loop nothing can be looked at
                found = ()
            shapes |= {t.name: value.shape for t, value in zip(open_ones, found, strict=False)}
        return shapes

    def _scaled_input(self) -> tuple[Any, Scaling]:
        """The tensor that all the model is made from, and how its pixel values follow from those of the input.

        Raises:
            ModelFileError: if the input is no float32 and is not made such.
        """
        tensor, factor, offset = self._input, 1.0, 0.0
        while True:
            readers = [op for op in tensor.consumers() if op.type not in _OF_SHAPES]
            step = self._scaling_step(readers[0], tensor) if len(readers) == 1 else None
            if step is None or (factor * step[0] <= 0):
                break
            factor, offset = factor * step[0], offset * step[0] + step[1]
            tensor = readers[0].outputs[0]
        if tensor.dtype != tf.float32:
            raise ModelFileError(
                f"{self.name}: its input is {tensor.dtype.name}, and more than one node reads it; export the model "
                "with a float32 input, or cast it once"
            )
        return tensor, Scaling(factor, offset, self._input.dtype.is_integer)

    def _scaling_step(self, op: Any, tensor: Any) -> tuple[float, float] | None:
        """Factor and offset of an operation that does the same to every number; None of any other."""
        if op.type == "Cast":
            return 1.0, 0.0
        if op.type in ("Identity", "StopGradient", "EnsureShape") and len(op.outputs) == 1:
            return 1.0, 0.0
        if op.type not in _LINEAR or len(op.inputs) != 2:
            return None
        first = op.inputs[0] is tensor
        values = self._numbers(op.inputs[1 if first else 0])
        if values is None or not values.size or (values != values.flat[0]).any():
            return None
        value = float(values.flat[0])
        if op.type == "Mul":
            return value, 0.0
        if op.type in ("Add", "AddV2"):
            return 1.0, value
        if op.type == "Sub" and first:
            return 1.0, -value
        return (1 / value, 0.0) if op.type == "RealDiv" and first and value else None

    def _numbers(self, tensor: Any) -> Array | None:
        """The numbers of a tensor that is computed from constants alone; None of any other."""
        found = constant(tensor)
        if found is not None or any(op.type == "Placeholder" for op in _in_order([tensor.op])):
            return found
        (value,) = self.part([], [tensor])()
        return np.asarray(value)

    def behind(self, tensor: Any) -> Any:
        """The tensor that operations which change no number and no shape pass on, transpositions that undo each other
        among them."""
        while True:
            source = _passed_on(tensor)
            if source is None or (tensor.op.type not in _KEEPING_SHAPE and not _same_shape(source, tensor)):
                source = _before_transpositions(tensor)
            if source is None:
                return tensor
            tensor = source

    def is_frame(self, tensor: Any) -> bool:
        """Tells whether a tensor is the frame, in another shape or order of axes perhaps."""
        while tensor is not self.frame:
            source = tensor.op.inputs[0] if tensor.op.type == "Transpose" else _passed_on(tensor)
            if source is None:
                return False
            tensor = source
        return True

    @cached_property
    def batch(self) -> int | None:
        """The batch size that it takes; None for any.

        Raises:
            ModelFileError: if it does not run.
        """
        frame = self.frame
        stated, computed = frame.shape[0], [tensor for tensor in self.outputs if tensor is not frame]
        for count in (2, 1) if stated is None else (stated,):
            try:
                self.run([(frame, np.zeros((count, *frame.shape[1:]), np.float32))], *computed)
            except tf.errors.OpError as error:
                reason = first_line(error)
            else:
                return None if count == 2 and stated is None else count
        raise ModelFileError(f"{self.name}: does not run on a black frame: {reason}")

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
        names = tuple(t.name for t in starts), tuple(t.name for t in ends)
        if names not in self._parts:  # each is a copy of the graph, which takes a second where that is large
            self._parts[names] = self._frozen.prune(list(starts), list(ends))
        return self._parts[names]

    def function(self, start: Any, ends: dict[str, Any]) -> TensorFunction:
        """The function from one tensor to named ones."""
        run = self.part([start], list(ends.values()))

        def named(tensor: Any) -> dict[str, Any]:
            return dict(zip(ends, run(tf.convert_to_tensor(tensor)), strict=True))

        return named

    def call(self, frames: Any) -> Any:
        """What the model gives for a tensor of frames as they come to its input, in its structure."""
        return self._frozen(frames)

    def run(self, starts: Sequence[tuple[Any, Array]], *ends: Any) -> npt.NDArray[np.float32]:
        """The numbers of a tensor for those of others, float32; of several, of the first."""
        found, *_ = self.part([tensor for tensor, _ in starts], ends)(*(tf.constant(v) for _, v in starts))
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


def _passed_on(tensor: Any) -> Any:
    """The tensor whose numbers another is, perhaps in another shape; None where an operation changes them."""
    op = tensor.op
    return op.inputs[tensor.value_index if op.type == "IdentityN" else 0] if op.type in _PASSING_ON else None


def _before_transpositions(tensor: Any) -> Any:
    """The tensor that several transpositions, one after the other, leave as it was; None where there is none."""
    order = None
    while tensor.op.type == "Transpose" or tensor.op.type in _KEEPING_SHAPE:
        if tensor.op.type != "Transpose":
            tensor = _passed_on(tensor)
            continue
        axes = constant(tensor.op.inputs[1])
        if axes is None:
            return None
        order = axes if order is None else axes[order]
        tensor = tensor.op.inputs[0]
        if (order == np.arange(len(order))).all():
            return tensor
    return None


def _same_shape(one: Any, other: Any) -> bool:
    return one.shape.rank is not None and other.shape.rank is not None and one.shape.as_list() == other.shape.as_list()


def unshaped(tensor: Any) -> Any:
    """The tensor whose numbers another has, perhaps in some other shape."""
    while (source := _passed_on(tensor)) is not None:
        tensor = source
    return tensor


def constant(tensor: Any) -> Array | None:
    """The numbers of a constant; None of a tensor that is computed."""
    tensor = unshaped(tensor)
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
