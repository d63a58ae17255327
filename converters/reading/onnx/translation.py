"""An ONNX model as a function of TensorFlow, for a batch of one: its nodes one after the other, constants first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.onnx.laid_out import Operand, Value, shape_of
from stn_rectify.converters.reading.onnx.onnx_file import Block, Node, OnnxFile
from stn_rectify.converters.reading.onnx.operators.by_name import OPERATORS
from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.converters.reading.onnx.patterns import gelu_source
from stn_rectify.converters.tflite.substitutes import substitute
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError, first_line

_OF_CHANCE = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
# The layer of Keras whose substitute stands for an operator's.
_AS_LAYERS = {
    **dict.fromkeys(("GRU", "LSTM", "RNN", "Loop", "Scan"), "LSTM"),
    **dict.fromkeys(
        (
            "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization",
            "MeanVarianceNormalization", "RMSNormalization",
        ),
        "LayerNormalization",
    ),
    "ConvTranspose": "Conv2DTranspose",
}  # fmt: skip
_ALONE = ("Shape", "Size")  # of a shape, which is known


@dataclass(frozen=True)
class Translation:
    """An ONNX model in TensorFlow.

    Attributes:
        concrete: the ``ConcreteFunction``, frame [1, H, W, C] → what the model puts out, in its order.
        values: by the names of its tensors, the name of ONNX's value that it is and how it lies.
    """

    concrete: Any
    values: Mapping[str, tuple[str, Value]]


def translate(file: OnnxFile, shape: tuple[int, int, int]) -> Translation:
    """Makes an ONNX model a function of TensorFlow.

    Args:
        file: the model.
        shape: height, width and channels of its frame.

    Raises:
        ModelFileError: if an operator is not taken; the message names the node, and says what to do.
    """
    values: dict[str, tuple[str, Value]] = {}

    def run(frame: Any) -> list[Any]:
        walk = _Walk(file, Value(frame, file.axes))
        outputs = walk.outputs()
        found: dict[str, tuple[str, Value]] = {}
        for name, value in walk.values.items():  # of several names the last: those inside a branch come before
            if isinstance(value, Value):
                found[value.tensor.name] = name, value
        values.update(found)
        return [value.tensor if value.columns is None else value.logical() for value in outputs]

    spec = tf.TensorSpec((1, *shape), file.dtype, name=_scope(file.input) or "frame")
    return Translation(tf.function(run, autograph=False).get_concrete_function(spec), values)


class _Walk:
    """Goes through the nodes of a model, those that its outputs need."""

    def __init__(self, file: OnnxFile, frame: Value) -> None:
        self._file = file
        self.values: dict[str, Operand] = {file.input: frame}
        self._makers: dict[str, Node] = {}

    def outputs(self) -> list[Value]:
        """What the model puts out."""
        self._run(self._file.block)
        found = [self.values[name] for name in self._file.block.outputs]
        outputs = [value for value in found if isinstance(value, Value)]
        if len(outputs) < len(found):
            name = self._file.block.outputs[len(outputs)]
            raise ModelFileError(f"{self._file.name}: its output {name!r} is a constant: export the model without it")
        return outputs

    def _run(self, block: Block) -> None:
        self.values |= block.constants
        needed = set(block.outputs)
        steps = []
        for node in reversed(block.nodes):
            if needed.intersection(filter(None, node.outputs)):
                steps.append(node)
                needed.update(node.inputs)
                needed.update(_read_inside(node))
        for node in reversed(steps):
            self._step(node)

    def _step(self, node: Node) -> None:
        missing = [name for name in node.inputs if name and name not in self.values]
        if missing:
            raise ModelFileError(
                f"{self._file.name}: {node} reads {missing[0]!r}, which nothing gives: export it again"
            )
        inputs = tuple(self.values[name] if name else None for name in node.inputs)
        if node.operator == "If":
            self._branch(node, inputs)
            return
        self._makers |= dict.fromkeys(node.outputs, node)
        if node.operator == "Mul":
            constants = {name: value for name, value in self.values.items() if isinstance(value, np.ndarray)}
            x = gelu_source(node, self._makers, constants)
            if x is not None:
                node, inputs = replace(node, operator="Gelu", attributes={}), (self.values[x],)
        found = self._result(node, inputs)
        self.values |= {name: value for name, value in zip(node.outputs, found, strict=False) if name}

    def _result(self, node: Node, inputs: tuple[Operand | None, ...]) -> list[Operand]:
        if node.operator in _OF_CHANCE:
            raise ModelFileError(
                f"{self._file.name}: {node} draws random numbers: call model.eval() before the export, or leave it out"
            )
        if node.operator in _ALONE and isinstance(inputs[0], Value):
            return [self._shape(node, inputs[0])]
        constants = [value for value in inputs if not isinstance(value, Value)]
        if len(constants) == len(inputs) and (inputs or node.operator == "Constant"):
            return list(self._file.computed(node, constants))
        if node.operator not in OPERATORS:
            self._refuse(node)
        call = Call(self._file.name, node, inputs, self._file.batch)
        try:
            with tf.name_scope(_scope(node.name) or node.operator):
                value = OPERATORS[node.operator](call)
        except ModelFileError:
            raise
        except Exception as error:  # TensorFlow, of shapes and dtypes that do not fit
            shapes = ", ".join(str(list(shape_of(value))) for value in inputs if value is not None)
            raise ModelFileError(
                f"{self._file.name}: {node} of {shapes} does not fit together ({first_line(error)}); export the model "
                "with a batch of 1, in float32"
            ) from error
        return list(value) if isinstance(value, list) else [value]

    def _shape(self, node: Node, value: Value) -> Array:
        if node.operator == "Size":
            return np.array(np.prod(value.shape), np.int64)
        first, last = node.attributes.get("start", 0), node.attributes.get("end")
        return np.array(value.shape[first:last], np.int64)

    def _branch(self, node: Node, inputs: tuple[Operand | None, ...]) -> None:
        """Runs the branch of an If whose condition is known."""
        (condition,) = inputs
        if isinstance(condition, Value) or condition is None:
            raise ModelFileError(
                f"{self._file.name}: {node} depends on the frame: a graph in integers has no branches; compute both "
                "sides and choose by torch.maximum or minimum"
            )
        block: Block = node.attributes["then_branch" if bool(condition.all()) else "else_branch"]
        self._run(block)
        self.values |= {name: self.values[inner] for name, inner in zip(node.outputs, block.outputs, strict=True)}

    def _refuse(self, node: Node) -> None:
        kind = node.operator.split("::")[-1]
        instead = substitute([kind], layer=_AS_LAYERS.get(kind, kind))
        raise ModelFileError(
            f"{self._file.name}: {node} is an operator of ONNX that is not taken; replace it by {instead}, and export "
            "again"
        )


def _read_inside(node: Node) -> set[str]:
    """Names that the branches of a node read."""
    blocks = [value for value in node.attributes.values() if isinstance(value, Block)]
    names = {name for block in blocks for inner in block.nodes for name in (*inner.inputs, *_read_inside(inner))}
    return names | {name for block in blocks for name in block.outputs}


def _scope(name: str) -> str:
    """A name as TensorFlow takes it."""
    return re.sub(r"[^A-Za-z0-9_./-]", "_", name).strip("/").lstrip("_-/")
