"""Bilinear sampling in float64 at the file's own θ: what its sampler is measured against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.report.comparisons.frame_points import depth, frame_points
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.geometry import pixel_centres

_LEAST_DEPTH = 1 / 8  # docs/reference/integer-sampler.md: the range of θ
_PLACE_ERROR = 0.01  # pixels, likewise


def sample(frame: Array, points: Array, padding: str, outside: float) -> Array:
    """Reads a frame between its pixels.

    Args:
        frame: [H, W, C].
        points: [P, 2], frame pixels.
        padding: ``"zeros"``, ``"border"`` or ``"cut"``.
        outside: the value that stands for zero.

    Returns:
        float64 [P, C].
    """
    margin = 1 if padding == "zeros" else 0
    inside = ((points >= 0) & (points < np.array(frame.shape[1::-1]) - 1)).all(axis=1)
    last = np.array(frame.shape[1::-1]) - 1 + 2 * margin
    x, y = np.clip(points + margin, 0, last).T
    padded = np.pad(frame.astype(np.float64), [(margin, margin + 1)] * 2 + [(0, 0)], constant_values=outside)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    read = upper * (1 - fy) + lower * fy
    return np.asarray(np.where(inside[:, None], read, outside) if padding == "cut" else read)


def near_the_cut(points: Array, size: tuple[int, int]) -> Array:
    """Tells which places lie where a cut frame ends, within what fixed point can tell, bool [P].

    Args:
        points: [P, 2], frame pixels.
        size: height and width of the frame.
    """
    ends = np.array([[0, 0], [size[1] - 1, size[0] - 1]])
    return np.asarray((np.abs(points - ends[:, None]) < _PLACE_ERROR).any(axis=(0, 2)))


def level_errors(
    frames: npt.NDArray[np.int8], theta: Array, rectified: npt.NDArray[np.int8], transform: str, padding: str, zero: int
) -> Array:
    """Measures how far a file's rectified images are from float64 sampling at its θ.

    Args:
        frames: int8 [N, H, W, C].
        theta: [N, 6, 8 or 32], as the file gave it.
        rectified: int8 [N, h, w, C].
        transform: of θ.
        padding: ``"zeros"``, ``"border"`` or ``"cut"``.
        zero: zero point of the frames.

    Returns:
        float64 [N, 2]: mean and largest difference of each image, levels of 255. Pixels whose pose is beyond what the
        integers hold count as 0, and so do those that fall on the line where a cut frame ends. A spline is sampled
        where its fitted functions put it, not where the spline itself does: the fit's error is one of pixels, not of
        levels (docs/reference/integer-sampler.md).
    """
    input_size = (frames.shape[1], frames.shape[2])
    output_size = (rectified.shape[1], rectified.shape[2])
    plan = SamplerPlan(transform, padding, input_size, output_size, frames.shape[3], zero)
    centres = pixel_centres(output_size[1], output_size[0])
    errors = []
    for frame, pose, image in zip(frames, theta, rectified, strict=True):
        if transform == "tps":
            points, held = plan.spline.points(pose, input_size), np.ones(len(centres), bool)
        else:
            points = frame_points(pose, transform, input_size, centres)
            held = depth(pose, transform, centres) > _LEAST_DEPTH
        held &= plan.holds(pose)
        if padding == "cut":
            held &= ~near_the_cut(points, input_size)
        expected = sample(frame, points, padding, zero).reshape(image.shape)
        held = held.reshape(*output_size, 1)
        error = np.abs(expected - image) * held
        errors.append((error.mean(), error.max()))
    return np.array(errors)
