"""Types of arrays that docstrings give the shapes of."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

#: Of any dtype.
Array: TypeAlias = npt.NDArray[Any]
#: float64: coordinates, poses, probabilities.
FloatArray: TypeAlias = npt.NDArray[np.float64]
#: int64: levels, bounds.
IntArray: TypeAlias = npt.NDArray[np.int64]
#: uint8 [H, W, 3] BGR, or [H, W] grey.
Image: TypeAlias = npt.NDArray[np.uint8]
