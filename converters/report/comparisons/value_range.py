"""Whether the value range that a model is given is the one that it was trained with: told by how it responds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.report.comparisons.frame_points import frame_points
from stn_rectify.converters.report.comparisons.stn_comparison import median_spread
from stn_rectify.runtime.geometry import UNIT_CORNERS

#: What pixel values 0 and 255 are to most models.
_USUAL = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
_FRAMES = 32
_WILD, _PLAUSIBLE = 1.0, 0.4  # of the diagonal
_TIMES = 10


def better_value_range(
    parts: StnParts, frames: npt.NDArray[np.float32], given: tuple[float, float], least_px: float
) -> tuple[tuple[float, float], float, float] | None:
    """Finds a usual value range with which the poses vary plausibly, where those with the given one do not.

    Poses that hardly vary, or fly about by more than the frame, are those of a network that sees values of another size
    than it was trained with.

    Args:
        parts: the float model.
        frames: float32 [N, H, W, C] as the parts take them.
        given: what pixel values 0 and 255 are to the model.
        least_px: median distance of the corners from their median below which they hardly vary, pixels.

    Returns:
        The range, the spread of the corners with it and that with the given one, pixels; None if there is no better.
    """
    diagonal = float(np.hypot(*parts.input_size))
    frames = frames[:_FRAMES]
    spread = _spread(parts, frames)
    if least_px <= spread <= _WILD * diagonal or parts.scaling.of_bytes:
        return None
    low, high = parts.scaling.value_range(given)
    shares = (frames - np.float32(low)) / np.float32(high - low)
    for other in _USUAL:
        if other == given:
            continue
        low, high = parts.scaling.value_range(other)
        found = _spread(parts, shares * np.float32(high - low) + np.float32(low))
        plausible = 2 * least_px <= found <= _PLAUSIBLE * diagonal
        if plausible and (found > _TIMES * spread or found < spread / _TIMES):
            return other, found, spread
    return None


def _spread(parts: StnParts, frames: npt.NDArray[np.float32]) -> float:
    theta = np.asarray(parts.run(frames)["theta"], np.float64)
    return median_spread(frame_points(theta, parts.transform, parts.input_size, UNIT_CORNERS))
