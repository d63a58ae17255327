"""Repeating numbers along a row with TILE, which copies single numbers slowly and long runs fast."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod

from stn_rectify.converters.tflite.graph import FlatbufferGraph, Tensor

__all__ = ["repeat_last"]

#: What one more operator costs, in copies of a run.
_STEP_COST = 3


def repeat_last(graph: FlatbufferGraph, column: Tensor, width: int) -> Tensor:
    """[…, 1] → […, width]."""
    if width == 1:
        return column
    *outer, _ = column.shape
    steps = _steps(width)
    for times in steps:
        column = graph.tile(column, (*(1 for _ in outer), times))
    if prod(steps) == width:
        return column
    return graph.slice(column, (0,) * len(column.shape), (*outer, width))


@lru_cache
def _steps(width: int) -> tuple[int, ...]:
    """How often to repeat, TILE by TILE, to fill at least a width: few copies, each as long as may be."""
    candidates = (steps for total in range(width, width + width // 8 + 1) for steps in _products(total))
    return min(candidates, key=lambda steps: sum(steps) + _STEP_COST * (len(steps) + (prod(steps) > width)))


def _products(number: int) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as an ordered product, itself included."""
    yield (number,)
    for factor in range(2, number // 2 + 1):
        if number % factor == 0:
            yield from ((factor, *rest) for rest in _products(number // factor))
