"""Bounds of a tensor's integers, element by element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BOUNDS_LIMIT", "Array", "Bounds", "whole_range"]

Array = npt.NDArray[np.int64]

#: Bounds are int64 and must not wrap themselves: none that are added or multiplied may reach this.
BOUNDS_LIMIT = 2**62

_INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest value of every element, both of the tensor's shape."""

    low: Array
    high: Array

    @property
    def peak(self) -> int:
        """The largest magnitude."""
        return max(abs(int(self.low.min(initial=0))), abs(int(self.high.max(initial=0))))

    @property
    def fits_int32(self) -> bool:
        """Whether every value can be held in 32 bits."""
        return bool(self.low.min(initial=0) >= _INT32[0] and self.high.max(initial=0) <= _INT32[1])

    def apply(self, move: Callable[[Array], Any]) -> Bounds:
        """The same bounds, elements moved."""
        return Bounds(move(self.low), move(self.high))


def whole_range(dtype: str, shape: tuple[int, ...]) -> Bounds:
    """All that a dtype can hold; zero for other dtypes than integers, of which nothing is bounded."""
    if not np.issubdtype(dtype, np.integer):
        return Bounds(np.zeros(1, np.int64), np.zeros(1, np.int64))
    info = np.iinfo(dtype)
    low, high = (np.broadcast_to(np.int64(v), shape) for v in (info.min, info.max))
    return Bounds(low, high)
