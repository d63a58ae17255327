"""The check that every operation of a graph has an integer form, by its kind, before any long work."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stn_rectify.converters.reading.foreign.frozen_graph import FrozenGraph, described
from stn_rectify.converters.tflite.quantizer import is_fused
from stn_rectify.converters.tflite.substitutes import has_int8, substitute
from stn_rectify.runtime.errors import ModelFileError

# They have one where their second input is made of constants: divisions by them, reads at them.
_BY_CONSTANTS = ("RealDiv", "Div", "Gather", "GatherV2", "GatherNd")
# In the graph a normalization is arithmetic; this is what tells it from other arithmetic.
_OF_NORMALIZATION = ("Rsqrt", "Sqrt")


def check_operations(graph: FrozenGraph, starts: Collection[Any], ends: Collection[Any]) -> None:
    """Refuses an operation between two places of a graph that cannot become integers; the first in their order.

    Args:
        graph: of the model.
        starts: the tensors that the part is a function of.
        ends: what it gives.

    Raises:
        ModelFileError: if there is one; the message names it, and what to replace it by.
    """
    refused = first_without_int8(graph, starts, ends)
    if refused is None:
        return
    normalizes = any(op.type in _OF_NORMALIZATION for op in _steps(graph, starts, ends))
    instead = substitute([refused.type], layer="LayerNormalization" if normalizes else "")
    raise ModelFileError(
        f"{graph.name}: {described(refused.outputs[0])} has no INT8 operator; replace "
        f"{'the normalization that it is part of' if normalizes else 'it'} by {instead}"
    )


def first_without_int8(graph: FrozenGraph, starts: Collection[Any], ends: Collection[Any]) -> Any:
    """The first operation between two places of a graph that cannot become integers; None if all can."""
    computed = {t.ref() for t in graph.of_frame}
    steps = _steps(graph, starts, ends)
    return next((op for op in steps if not (has_int8(op.type) or _is_taken(op, computed))), None)


def _steps(graph: FrozenGraph, starts: Collection[Any], ends: Collection[Any]) -> list[Any]:
    """The operations from ``starts`` to ``ends``, in the order they run."""
    reached = graph.ancestors(ends, starts) - {start.ref() for start in starts}
    return [t.op for t in graph.of_frame if t.ref() in reached]


def _is_taken(op: Any, computed: set[Any]) -> bool:
    """Tells of an operation that has no INT8 operator of its own whether it becomes part of another, as it is used."""
    if op.type in _BY_CONSTANTS:
        return op.inputs[1].ref() not in computed
    return is_fused(op, computed)
