"""A TensorFlow Lite flatbuffer as the object tree of TensorFlow's schema, and back; without TensorFlow.

The schema's generated module lies in TensorFlow's package but needs only flatbuffers. Importing it the usual way would
load TensorFlow, and then tflite-runtime in the same process silently runs TensorFlow's kernels instead of its own (the
symbols of both libraries are shared): a proof made there would be about another interpreter.
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.process.installation import install_command

_PLACES = {
    "tensorflow": "lite/python/schema_py_generated.py",
    "ai_edge_litert": "schema_py_generated.py",
}


def _load() -> Any:
    for package, module_path in _PLACES.items():
        package_spec = importlib.util.find_spec(package)
        if package_spec is None or not package_spec.submodule_search_locations:
            continue
        file = Path(package_spec.submodule_search_locations[0]) / module_path
        spec = importlib.util.spec_from_file_location("stn_rectify_tflite_schema", file)
        if file.is_file() and spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise StnRectifyError(f"TensorFlow is not installed: {install_command('train')}")


#: The schema's generated classes.
schema = _load()

#: Tensor type of the schema → NumPy's name of the dtype.
DTYPES: dict[int, str] = {value: name.lower() for name, value in vars(schema.TensorType).items() if name[0] != "_"}
#: The other way round.
TYPE_CODES: dict[str, int] = {value: name for name, value in DTYPES.items()}

_OPERATORS: dict[int, str] = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}


def operator_name(code: Any) -> str:
    """Name of an operator code, ``ADD`` or ``CUSTOM:Name``."""
    if code.customCode:
        return f"CUSTOM:{code.customCode.decode(errors='replace')}"
    # Codes up to 126 stand in an older field too; the larger of the two is valid.
    return _OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")


def read_model(flatbuffer: bytes) -> Any:
    """The flatbuffer as an object tree (``ModelT``)."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(flatbuffer), 0))


def write_model(model: Any) -> bytes:
    """The flatbuffer of an object tree.

    Equal operators, constants' tensors and quantizations of all subgraphs are written once, and all who have them point
    there: a further level of a network of many sizes takes a few kilobytes.
    """
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(_sharing(model).Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Part:
    """A part of the tree that is written where it is met first."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self._place: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802, as the schema calls it
        if self._place is None:
            self._place = int(self._part.Pack(builder))
        return self._place


def _sharing(model: Any) -> Any:
    """The same tree, equal parts being the same object; the given one stays as it is."""
    parts: dict[Any, _Part] = {}

    def shared(part: Any) -> _Part:
        return parts.setdefault(_content(part), _Part(part))

    def tensor(t: Any) -> Any:
        if t.quantization is None:
            return t
        with_shared = copy.copy(t)
        with_shared.quantization = shared(t.quantization)
        constant = model.buffers[t.buffer].data is not None
        return parts.setdefault(_content(t), _Part(with_shared)) if constant else with_shared

    result = copy.copy(model)
    result.subgraphs = []
    for graph in model.subgraphs:
        result.subgraphs.append(copy.copy(graph))
        result.subgraphs[-1].tensors = [tensor(t) for t in graph.tensors]
        result.subgraphs[-1].operators = [shared(op) for op in graph.operators]
    return result


def _content(part: Any) -> Any:
    """What tells a part of the tree from others: its type, and all that it has."""
    if hasattr(part, "__dict__"):
        return type(part), tuple((name, _content(value)) for name, value in sorted(vars(part).items()))
    if isinstance(part, list | tuple):
        return tuple(_content(item) for item in part)
    if isinstance(part, np.ndarray):
        return part.shape, part.tobytes()
    return part
