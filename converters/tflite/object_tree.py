"""A TensorFlow Lite flatbuffer as the schema's object tree, and back."""

from __future__ import annotations

from typing import Any

import flatbuffers

from stn_rectify.converters.tflite.schema import schema

__all__ = ["DTYPES", "TYPE_CODES", "operator_name", "read_model", "write_model"]

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
    """The flatbuffer of an object tree."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
