"""ONNX files, read: nodes, constants, the one image that goes in; and nodes of constants alone, computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import DataError, ModelFileError, StnRectifyError, first_line
from stn_rectify.runtime.process.installation import install_command

_DTYPES = ("float32", "uint8", "int8", "int16", "uint16", "int32", "int64")
_FEW_CHANNELS = 4


@dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes:
        operator: its kind; with the domain before it where that is not ONNX's own.
        name: its own, or that of its first output.
        inputs: names of the values that it reads; "" for one that is left out.
        outputs: names of those that it gives.
        attributes: by name: numbers, text, arrays, lists of them; a branch as a `Block`.
        proto: the node as it is in the file.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False)
    proto: Any = field(repr=False)

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.operator})"


@dataclass(frozen=True)
class Block:
    """Nodes in the order they run, and what they give: a graph, or a branch of one."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX model of one image.

    Attributes:
        name: of the file, without its suffix.
        block: its graph.
        input: name of its input.
        shape: of that, None where a size is open.
        dtype: of that.
        is_channels_last: whether it is [batch, height, width, channels]; else [batch, channels, height, width].
        model: all of it, weights included, as the package onnx has it.
    """

    name: str
    block: Block
    input: str
    shape: tuple[int | None, int | None, int | None, int | None]
    dtype: str
    is_channels_last: bool
    model: Any = field(repr=False)

    @property
    def axes(self) -> tuple[int, int, int, int]:
        """Which axes of its input are batch, height, width and channels."""
        return (0, 1, 2, 3) if self.is_channels_last else (0, 2, 3, 1)

    @property
    def batch(self) -> int | None:
        """The batch size that it was exported for; None for any."""
        return self.shape[0]

    def computed(self, node: Node, inputs: Sequence[Array | None]) -> list[Array]:
        """What a node makes of constants, by the reference evaluator of onnx.

        Raises:
            ModelFileError: if that does not know the node, or it does not run.
        """
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        given = {name: value for name, value in zip(node.inputs, inputs, strict=True) if value is not None}
        sides = ([name for name in names if name] for names in (given, node.outputs))
        ends = ([helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names] for names in sides)
        first, last = ends
        graph = helper.make_graph([node.proto], "constants", first, last)
        alone = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        try:
            found = ReferenceEvaluator(alone).run(None, given)
        except Exception as error:  # whatever its operators raise
            raise ModelFileError(f"{self.name}: {node} cannot be computed: {first_line(error)}") from error
        return [np.asarray(value) for value in found]


def external_files(file: Path) -> tuple[Path, ...]:
    """The files beside an ONNX file that hold its weights, those that are there.

    Without the package onnx, or of a file that cannot be read, none: the conversion then says what is wrong.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.external_data_helper import ExternalDataInfo, uses_external_data
    except ImportError:
        return ()
    try:
        model = onnx.load(str(file), load_external_data=False)
    except (OSError, DecodeError):
        return ()
    places = {ExternalDataInfo(t).location for t in model.graph.initializer if uses_external_data(t)}
    found = (file.parent / place for place in sorted(places) if Path(place).name == place)
    return tuple(beside for beside in found if beside.is_file())


def read_onnx_file(file: Path) -> OnnxFile:
    """Reads an ONNX file, and the file of its weights if that lies beside it.

    Args:
        file: the file.

    Raises:
        DataError: if it is missing or no ONNX model.
        ModelFileError: if it does not take one image.
        StnRectifyError: if the packages for ONNX files are not installed.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    try:
        import onnx
        import onnxruntime  # noqa: F401  # asked for before any long work
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise StnRectifyError(
            f"{file}: ONNX files need the packages onnx and onnxruntime ({first_line(error)}): "
            f"{install_command('onnx')}"
        ) from error
    try:
        model = onnx.load(str(file), load_external_data=False)
        if not model.graph.node or not model.graph.output:
            raise ValueError("no graph is in it")
    except (OSError, ValueError, DecodeError) as error:
        raise DataError(
            f"{file} is not an ONNX model, or was cut short ({first_line(error)}): export it again, or copy it again"
        ) from error
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
        block = _block(model.graph)
    except Exception as error:  # of files, and of what is in them
        raise DataError(
            f"{file}: its weights cannot be read ({first_line(error)}); torch.onnx.export puts them into a file of "
            f"their own beside it, {file.name}.data: copy that, too, or export with external_data=False"
        ) from error
    return _of_one_image(file.stem, block, model)


def _of_one_image(name: str, block: Block, model: Any) -> OnnxFile:
    """The model, if one image is all that it takes."""
    from onnx import helper

    inputs = [value for value in model.graph.input if value.name not in block.constants]
    shapes = {value.name: _sizes(value.type.tensor_type.shape) for value in inputs}
    described = ", ".join(f"{key!r} {_written(shape)}" for key, shape in shapes.items())
    needed = "one image [batch, channels, height, width] is needed"
    if len(inputs) != 1:
        raise ModelFileError(
            f"{name}: has {len(inputs)} inputs, {described or 'none'}, but {needed}: export a module whose forward() "
            "takes the frame alone, the others constants in it"
        )
    ((key, shape),) = shapes.items()
    if len(shape) != 4:
        raise ModelFileError(
            f"{name}: its input is {described}, but {needed}: export a module that makes the one of it"
        )
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type)).name
    except (KeyError, TypeError, ValueError):
        dtype = "an unknown dtype"
    if dtype not in _DTYPES:
        raise ModelFileError(
            f"{name}: its input {key!r} is {dtype}: export the model with a float32 input (model.float())"
        )
    few = shape[3] is not None and shape[3] <= _FEW_CHANNELS
    is_last = few and (shape[1] is None or shape[1] > _FEW_CHANNELS)
    return OnnxFile(name, block, key, (shape[0], shape[1], shape[2], shape[3]), dtype, is_last, model)


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in shape.dim)


def _written(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if n is None else str(n) for n in shape)}]"


def _block(graph: Any) -> Block:
    from onnx import numpy_helper

    constants = {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    return Block(tuple(_node(proto) for proto in graph.node), constants, tuple(value.name for value in graph.output))


def _node(proto: Any) -> Node:
    own = proto.domain in ("", "ai.onnx")
    attributes = {attribute.name: _attribute(attribute) for attribute in proto.attribute}
    name = proto.name or next(filter(None, proto.output), proto.op_type)
    operator = proto.op_type if own else f"{proto.domain}::{proto.op_type}"
    return Node(operator, name, tuple(proto.input), tuple(proto.output), attributes, proto)


def _attribute(attribute: Any) -> Any:
    from onnx import AttributeProto, helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.STRING:
        return value.decode(errors="replace")
    if attribute.type == AttributeProto.TENSOR:
        return np.asarray(numpy_helper.to_array(value))
    return _block(value) if attribute.type == AttributeProto.GRAPH else value
