"""Whether the value range that a model is given is the one that it was trained with: told by how it responds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.report.comparisons.frame_points import frame_points
from stn_rectify.converters.report.comparisons.stn_comparison import annotated_frames, median_spread
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.geometry import UNIT_CORNERS

#: What pixel values 0 and 255 are to most models.
_USUAL = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
_FRAMES = 32
_WILD, _PLAUSIBLE = 1.0, 0.4  # of the diagonal
_TIMES = 10
_NEARER = 0.5  # of the distance from the true corners: a range near the right one, as -1 to 1 is to 0 to 1, is above


def range_nearer_truth(
    parts: StnParts, frames: FrameSet, given: tuple[float, float]
) -> tuple[tuple[float, float], float, float] | None:
    """Finds a usual value range with which the corners are far nearer to the true ones than with the given one.

    They must also be nearer than one pose for all frames would be. Poses need not look wrong for that: with values of
    another size than a network was trained with they may vary as the targets do, and be elsewhere.

    Args:
        parts: the float model.
        frames: as the parts take them, with corners where they are known.
        given: what pixel values 0 and 255 are to the model.

    Returns:
        The range, the mean distance of the corners from the true ones with it and that with the given one, pixels; None
        if there is no such range, or the true corners of fewer than two frames are known.
    """
    known = annotated_frames(frames)[:_FRAMES]
    if frames.corners is None or len(known) < 2 or parts.scaling.of_bytes:
        return None
    truth = frames.corners[known]

    def error(shown: npt.NDArray[np.float32]) -> float:
        return float(np.linalg.norm(_corners(parts, shown) - truth, axis=-1).mean())

    now = error(frames.frames[known])
    found = [(error(shown), other) for other, shown in _in_other_ranges(parts, frames.frames[known], given)]
    least, other = min(found)
    of_one_pose = float(np.linalg.norm(truth - truth.mean(axis=0), axis=-1).mean())
    return (other, least, now) if least < min(_NEARER * now, of_one_pose) else None


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
    spread = median_spread(_corners(parts, frames)[:_FRAMES])  # of all: the comparison has just run them
    frames = frames[:_FRAMES]
    if least_px <= spread <= _WILD * diagonal or parts.scaling.of_bytes:
        return None
    for other, shown in _in_other_ranges(parts, frames, given):
        found = _spread(parts, shown)
        plausible = 2 * least_px <= found <= _PLAUSIBLE * diagonal
        if plausible and (found > _TIMES * spread or found < spread / _TIMES):
            return other, found, spread
    return None


def _in_other_ranges(
    parts: StnParts, frames: npt.NDArray[np.float32], given: tuple[float, float]
) -> Iterator[tuple[tuple[float, float], npt.NDArray[np.float32]]]:
    """The usual ranges but the given one, and the frames as the parts would take them then."""
    low, high = parts.scaling.value_range(given)
    shares = (frames - np.float32(low)) / np.float32(high - low)
    for other in _USUAL:
        if other != given:
            low, high = parts.scaling.value_range(other)
            yield other, shares * np.float32(high - low) + np.float32(low)


def _spread(parts: StnParts, frames: npt.NDArray[np.float32]) -> float:
    return median_spread(_corners(parts, frames))


def _corners(parts: StnParts, frames: npt.NDArray[np.float32]) -> FloatArray:
    """The corners that the float model gives, float64 [N, 4, 2], pixels at its size."""
    theta = np.asarray(parts.run(frames)["theta"], np.float64)
    return frame_points(theta, parts.transform, parts.input_size, UNIT_CORNERS)
