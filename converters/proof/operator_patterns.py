"""Sequences of operators whose operands come from one value, which interval arithmetic alone would forget.

Each function answers only when every operator, constant and dtype of the sequence is as it must be; anything else is no
match, and the plain bounds of each operator hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from stn_rectify.converters.tflite.written_graph import WrittenGraph

_MOVES = ("TILE", "SPLIT", "RESHAPE")

#: a, b, the weight of b, and the tensor that both weights add up to.
Blend = tuple[int, int, int, int]


def divisor_of_multiple(graph: WrittenGraph, tensor: int, number: int) -> int | None:
    """d if ``tensor`` is (number / d) · d."""
    product = graph.made_by(tensor, "MUL")
    quotient = graph.made_by(int(product.inputs[0]), "DIV") if product else None
    if quotient and int(quotient.inputs[0]) == number and int(quotient.inputs[1]) == int(product.inputs[1]):
        return int(product.inputs[1])
    return None


def blended(graph: WrittenGraph, x: int, y: int) -> Blend | None:
    """(a, b, v, total) if the two tensors are a·w and b·v, where w is (total - v), moved about as v is."""
    left, right = graph.made_by(x, "MUL"), graph.made_by(y, "MUL")
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


@dataclass(frozen=True)
class BytesOf:
    """Numbers that hold the bytes of others from a certain one on, and above these bytes of the next number.

    Attributes:
        source: int32, of any shape.
        first: the place in the source, read in order, of the first number.
        byte: the byte of it that became the lowest: 0 to 3.
    """

    source: int
    first: int
    byte: int


def bytes_of(graph: WrittenGraph, tensor: int) -> BytesOf | None:
    """Gives the tensor that ``tensor``, int32, is cut out of, the bytes of int32 with others behind them; or None."""
    moved = _read_as(graph, tensor, "int8")
    joined = graph.made_by(moved.flat, "CONCATENATION") if moved else None
    if moved is None or joined is None or len(joined.inputs) != 2 or joined.builtinOptions.axis != 0:
        return None
    raw = graph.made_by(_unreshaped(graph, int(joined.inputs[0])), "BITCAST")
    source = int(raw.inputs[0]) if raw else -1
    if source < 0 or graph.dtype(source) != "int32":
        return None
    cut = BytesOf(source, *divmod(moved.begin, 4))
    return cut if cut.first + prod(graph.shape(tensor)) <= prod(graph.shape(source)) else None


def source_of_lane_shift(graph: WrittenGraph, tensor: int) -> int | None:
    """b if ``tensor``, int32 [N], is b[1:] · 2^16 for b of int8 [1 + N]: 16 bits moved into the place of the next."""
    moved = _read_as(graph, tensor, "int16")
    raw = graph.made_by(moved.flat, "BITCAST") if moved else None
    wide = graph.made_by(int(raw.inputs[0]), "CAST") if raw else None
    narrow = graph.made_by(int(wide.inputs[0]), "CAST") if wide else None
    if not (moved and raw and wide and narrow):
        return None
    source = int(narrow.inputs[0])
    matches = (
        moved.begin == 1
        and graph.dtype(int(raw.inputs[0])) == "int32"
        and graph.dtype(int(wide.inputs[0])) == "uint16"
        and graph.dtype(source) == "int8"
        and graph.shape(source) == (1 + prod(graph.shape(tensor)),)
    )
    return source if matches else None


@dataclass(frozen=True)
class _Moved:
    flat: int  # the tensor that was read from another place on
    begin: int


def _read_as(graph: WrittenGraph, tensor: int, dtype: str) -> _Moved | None:
    """Of int32: the flat tensor of narrower numbers that its bytes are a SLICE of, and where it begins."""
    end = graph.made_by(tensor, "BITCAST")
    moved = graph.made_by(_unreshaped(graph, int(end.inputs[0])), "SLICE") if end else None
    if not moved or graph.dtype(tensor) != "int32":
        return None
    flat, begin = int(moved.inputs[0]), graph.constant(int(moved.inputs[1]))
    if begin is None or len(begin) != 1 or graph.dtype(flat) != dtype:
        return None
    return _Moved(_unreshaped(graph, flat), int(begin[0]))


def _unreshaped(graph: WrittenGraph, tensor: int) -> int:
    while (op := graph.made_by(tensor, "RESHAPE")) is not None:
        tensor = int(op.inputs[0])
    return tensor
