"""All operators of ONNX that are taken."""

from __future__ import annotations

from collections.abc import Callable

from stn_rectify.converters.reading.onnx.laid_out import Value
from stn_rectify.converters.reading.onnx.operators.call import Call
from stn_rectify.converters.reading.onnx.operators.each_number import EACH_NUMBER
from stn_rectify.converters.reading.onnx.operators.layers import LAYERS
from stn_rectify.converters.reading.onnx.operators.sampling import SAMPLING
from stn_rectify.converters.reading.onnx.operators.shapes import SHAPES

#: What a node is in TensorFlow, by its operator.
OPERATORS: dict[str, Callable[[Call], Value | list[Value]]] = {**EACH_NUMBER, **LAYERS, **SHAPES, **SAMPLING}
