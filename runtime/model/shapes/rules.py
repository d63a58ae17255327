"""The rules of all operators."""

from __future__ import annotations

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.shapes import elementwise, layers, parts, sides
from stn_rectify.runtime.model.shapes.node import MAX_RANK, Node, Shape

#: From inputs and options to the output's shape, or to a list of the outputs' shapes.
_RULES = {**elementwise.RULES, **layers.RULES, **parts.RULES, **sides.RULES}


def output_shapes(node: Node) -> tuple[Shape, ...]:
    """The shapes of an operator's outputs.

    Raises:
        DataError: if its inputs or options make no sense, or the shapes depend on what the graph computes.
    """
    rule = _RULES.get(node.name)
    if rule is None:
        raise DataError("nothing is known of this operator")
    try:
        result = rule(node)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"its inputs do not fit each other ({error})") from None
    shapes = tuple(result) if isinstance(result, list) else (result,)
    if len(shapes) != len(node.operator.outputs):
        raise DataError(f"it has {len(node.operator.outputs)} outputs, but makes {len(shapes)}")
    for shape in shapes:
        if len(shape) > MAX_RANK or any(not 1 <= side < 2**31 for side in shape):
            raise DataError(f"its output would be {list(shape)}")
    return shapes
