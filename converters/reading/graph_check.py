"""The check that every operation of a graph has an integer form, by its kind, before any long work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, constant, described
from stn_rectify.converters.tflite.quantizer import is_fused
from stn_rectify.converters.tflite.substitutes import has_int8, substitute
from stn_rectify.runtime.errors import ModelFileError

_DIVISIONS = ("RealDiv", "Div")
_AT_PLACES = ("Gather", "GatherV2", "GatherNd")
# In the graph a normalization is arithmetic; this is what tells it from other arithmetic.
_OF_NORMALIZATION = ("Rsqrt", "Sqrt")


def check_operations(graph: FrozenGraph, start: Any, ends: Iterable[Any]) -> None:
    """Refuses an operation between two places of a graph that cannot become integers; the first in their order.

    Args:
        graph: of the model.
        start: the tensor that the part is a function of.
        ends: what it gives.

    Raises:
        ModelFileError: if there is one; the message names it, and what to replace it by.
    """
    reached = graph.ancestors(ends, [start])
    computed = {t.ref() for t in graph.of_frame}
    steps = [t.op for t in graph.of_frame if t.ref() in reached and t is not start]
    refused = next((op for op in steps if not (has_int8(op.type) or _is_taken(op, computed))), None)
    if refused is None:
        return
    normalizes = any(op.type in _OF_NORMALIZATION for op in steps)
    instead = substitute([refused.type], layer="LayerNormalization" if normalizes else "")
    raise ModelFileError(
        f"{graph.name}: {described(refused.outputs[0])} has no INT8 operator; replace "
        f"{'the normalization that it is part of' if normalizes else 'it'} by {instead}"
    )


def _is_taken(op: Any, computed: set[Any]) -> bool:
    """Tells of an operation that has no INT8 operator of its own whether it becomes part of another, as it is used."""
    if op.type in _DIVISIONS:
        return constant(op.inputs[1]) is not None or op.inputs[1].ref() not in computed
    if op.type in _AT_PLACES:
        return op.inputs[1].ref() not in computed
    return is_fused(op, computed)
