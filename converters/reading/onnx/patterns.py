"""Several nodes that are one INT8 operator if TensorFlow is told so: GELU, written before it had a name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stn_rectify.converters.reading.onnx.onnx_file import Node
from stn_rectify.runtime.arrays import Array

_NEAR = 1e-3


def gelu_source(node: Node, makers: Mapping[str, Node], constants: Mapping[str, Array]) -> str | None:
    """The name of x if a node is the last of ½ · x · (1 + erf(x / √2)), its factors in any order; else None.

    Args:
        node: a node.
        makers: of each value the node that gives it.
        constants: by name.
    """
    factors = _factors(node, makers)
    known = [float(constants[name].ravel()[0]) for name in factors if name in constants and constants[name].size == 1]
    computed = [name for name in factors if name not in constants]
    if len(factors) != 3 or len(known) != 1 or abs(known[0] - 0.5) > _NEAR:
        return None
    for x, other in (computed, computed[::-1]):
        if _is_one_and_erf(other, x, makers, constants):
            return x
    return None


def _factors(node: Node, makers: Mapping[str, Node]) -> list[str]:
    """What a product of products is made of; of two levels."""
    if node.operator != "Mul":
        return []
    found = list(node.inputs)
    for name in node.inputs:
        maker = makers.get(name)
        if maker is not None and maker.operator == "Mul":
            found.remove(name)
            found += maker.inputs
            break
    return found


def _is_one_and_erf(name: str, x: str, makers: Mapping[str, Node], constants: Mapping[str, Array]) -> bool:
    """Tells whether a value is 1 + erf(x / √2)."""
    added = makers.get(name)
    if added is None or added.operator != "Add":
        return False
    erfs = [makers[key] for key in added.inputs if key in makers and makers[key].operator == "Erf"]
    ones = [key for key in added.inputs if key in constants and (constants[key] == 1).all()]
    scaled = makers.get(erfs[0].inputs[0]) if erfs and ones else None
    if scaled is None or scaled.operator not in ("Div", "Mul") or x not in scaled.inputs:
        return False
    factor = next((constants[key] for key in scaled.inputs if key in constants), np.zeros(1))
    wanted = np.sqrt(2) if scaled.operator == "Div" else np.sqrt(0.5)
    return factor.size == 1 and bool(abs(float(factor.ravel()[0]) - wanted) < _NEAR)
