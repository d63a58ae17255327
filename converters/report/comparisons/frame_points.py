"""The points where θ reads the frame, in float64: points of the rectified image → points of the frame."""

from __future__ import annotations

import numpy as np

from stn_rectify.models.network.layers import MIN_DENOMINATOR
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.geometry import UNIT_CORNERS, normalised_to_pixels, theta_to_homography
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

_POINTS_PER_SIDE = 24  # of the outline where it is curved


def frame_points(theta: Array, transform: str, input_size: tuple[int, int], points: Array) -> Array:
    """Maps points of the rectified image to the frame.

    Args:
        theta: [..., 6, 8 or 32].
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        input_size: height and width of the frame.
        points: [P, 2], normalised coordinates of the rectified image.

    Returns:
        float64 [..., P, 2], frame pixels, the centre of the first at (0, 0). Finite: points behind the camera are
        held at a small denominator, as the samplers do.
    """
    height, width = input_size
    t = np.asarray(theta, np.float64)
    if transform == "tps":
        normalised = spline_basis(points) @ t.reshape(*t.shape[:-1], -1, 2)
    else:
        h = theta_to_homography(t)
        mapped = points @ np.swapaxes(h[..., :2, :2], -1, -2) + h[..., None, :2, 2]
        denominator = np.maximum(depth(t, transform, points), MIN_DENOMINATOR)
        normalised = mapped / denominator[..., None]
    to_pixels = normalised_to_pixels(width, height)
    return np.asarray(normalised * to_pixels.diagonal()[:2] + to_pixels[:2, 2])


def depth(theta: Array, transform: str, points: Array) -> Array:
    """The perspective denominator [..., P] at ``points``: 1 in the middle, 0 or less behind the camera."""
    t = np.asarray(theta, np.float64)
    if transform != "projective":
        return np.ones((*t.shape[:-1], len(points)))
    return np.asarray(t[..., 6:] @ points.T + 1)


def outline(theta: Array, transform: str, input_size: tuple[int, int]) -> Array:
    """The border of the rectified image in the frame, [..., P, 2] pixels, clockwise from the top left corner.

    Four points, or for a thin-plate spline, whose border is curved, as many as draw it.
    """
    return frame_points(theta, transform, input_size, _border(_POINTS_PER_SIDE if transform == "tps" else 1))


def _border(points_per_side: int) -> Array:
    share = np.arange(points_per_side)[:, None] / points_per_side
    following = np.roll(UNIT_CORNERS, -1, axis=0)
    return np.concatenate([a + share * (b - a) for a, b in zip(UNIT_CORNERS, following, strict=True)])
