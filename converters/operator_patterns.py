"""Sequences of operators whose operands come from one value, which interval arithmetic alone would forget.

Each function answers only when every operator, constant and dtype of the sequence is as it must be; anything else is no
match, and the plain bounds of each operator hold.
"""

from __future__ import annotations

from stn_rectify.converters.written_graph import WrittenGraph

__all__ = ["Blend", "blended", "divisor_of_multiple", "is_low_byte", "source_of_byte_shift"]

_MOVES = ("TILE", "SPLIT", "RESHAPE")

#: a, b, the weight of b, and the tensor that both weights add up to.
Blend = tuple[int, int, int, int]


def is_low_byte(graph: WrittenGraph, tensor: int, of: int) -> bool:
    """Whether ``tensor`` is the low byte of ``of``: cast to uint8 and back to int32."""
    wide = graph.made_by(tensor, "CAST")
    narrow = graph.made_by(int(wide.inputs[0]), "CAST") if wide else None
    return narrow is not None and graph.dtype(int(wide.inputs[0])) == "uint8" and int(narrow.inputs[0]) == of


def divisor_of_multiple(graph: WrittenGraph, tensor: int, number: int) -> int | None:
    """d if ``tensor`` is (number / d) · d."""
    product = graph.made_by(tensor, "MUL")
    quotient = graph.made_by(int(product.inputs[0]), "DIV") if product else None
    if quotient and int(quotient.inputs[0]) == number and int(quotient.inputs[1]) == int(product.inputs[1]):
        return int(product.inputs[1])
    return None


def blended(graph: WrittenGraph, first: int, second: int) -> Blend | None:
    """(a, b, v, total) if the two tensors are a·w and b·v, where w is (total - v), moved about as v is."""
    left, right = graph.made_by(first, "MUL"), graph.made_by(second, "MUL")
    if not (left and right):
        return None
    (a, w), (b, v) = graph.operands(left), graph.operands(right)
    (w_base, w_path), (v_base, v_path) = _unmoved(graph, w), _unmoved(graph, v)
    complement = graph.made_by(w_base, "SUB")
    if not complement or int(complement.inputs[1]) != v_base or w_path != v_path:
        return None
    return a, b, v_base, int(complement.inputs[0])


def _unmoved(graph: WrittenGraph, tensor: int) -> tuple[int, list[tuple[str, int, tuple[int, ...]]]]:
    """The tensor that TILE, SPLIT and RESHAPE made this one of, and how."""
    path = []
    while (op := graph.producer(tensor)) is not None and graph.name(op) in _MOVES:
        path.append((graph.name(op), list(op.outputs).index(tensor), graph.shape(tensor)))
        tensor = int(op.inputs[1 if graph.name(op) == "SPLIT" else 0])
    return tensor, path


def source_of_byte_shift(graph: WrittenGraph, tensor: int) -> int | None:
    """Z if ``tensor``, int32 [N], is Z's bytes from the second on, then zero: Z >> 8 for multiples of 256."""
    shape = graph.shape(tensor)
    end = graph.made_by(tensor, "BITCAST")
    reshaped = end and graph.made_by(int(end.inputs[0]), "RESHAPE")
    moved = reshaped and graph.made_by(int(reshaped.inputs[0]), "SLICE")
    flat = moved and graph.made_by(int(moved.inputs[0]), "RESHAPE")
    joined = flat and graph.made_by(int(flat.inputs[0]), "CONCATENATION")
    raw = joined and graph.made_by(int(joined.inputs[0]), "BITCAST")
    if not raw or len(shape) != 1 or len(joined.inputs) != 2 or joined.builtinOptions.axis != 0:
        return None
    begin, tail = graph.constant(int(moved.inputs[1])), graph.constant(int(joined.inputs[1]))
    source, bytes_ = int(raw.inputs[0]), int(joined.inputs[0])
    as_they_must_be = (
        begin is not None
        and begin.tolist() == [1]
        and tail is not None
        and not tail.any()
        and graph.dtype(bytes_) == "int8"
        and graph.shape(bytes_) == (shape[0], 4)
        and graph.dtype(source) == graph.dtype(tensor) == "int32"
        and graph.shape(source) == shape
    )
    return source if as_they_must_be else None
