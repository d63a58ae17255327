"""The thin-plate spline through 4×4 control points, transform ``"tps"``.

θ has 32 numbers: for each point of the regular 4×4 lattice over the *output* (normalised coordinates, [-1, 1], rows
from top to bottom, in a row from left to right) its x and y in normalised *input* coordinates. The map between the
points is the surface of least bending through them (Bookstein 1989; Jaderberg et al. 2015, section 3.2), with the
kernel r² log r. It is linear in θ: mapped points = basis · control points.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.geometry import CONTROL_POINTS, normalised_to_pixels, transform_points

#: `spline_map` evaluates the spline on this many nodes along each side, and one more beyond each end. Three divides
#: the number of cells, so that control points, where the curvature has no bound, are nodes.
_MAP_NODES = 31


def spline_basis(points: npt.ArrayLike) -> FloatArray:
    """Gives how much each control point moves each output point.

    Args:
        points: [N, 2], normalised output coordinates.

    Returns:
        float64 [N, 16]: every row adds up to 1, and `CONTROL_POINTS` themselves are mapped to every point's own place.
    """
    p = np.asarray(points, np.float64)
    count = len(CONTROL_POINTS)
    affine = np.column_stack([np.ones(count), CONTROL_POINTS])
    system = np.block([[_kernel(CONTROL_POINTS), affine], [affine.T, np.zeros((3, 3))]])
    solution = np.linalg.inv(system)[:, :count]
    return np.asarray(np.column_stack([_kernel(p), np.ones(len(p)), p]) @ solution)


def _kernel(points: FloatArray) -> FloatArray:
    """r² log r between points [N, 2] and the control points: [N, 16]."""
    squared = ((points[:, None] - CONTROL_POINTS) ** 2).sum(axis=-1)
    return np.asarray(squared * np.log(np.where(squared > 0, squared, 1.0)) / 2)


def spline_map(
    theta: npt.ArrayLike, frame_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Gives where in the frame each rectified pixel is read, as ``cv2.remap`` takes it.

    The spline is evaluated on a lattice and interpolated by cubics (Keys 1981): 0.01 % of the frame's width from the
    spline itself where it differs most, with control points scattered by 3.6 % of the frame.

    Args:
        theta: [32].
        frame_size: width and height of the frame, pixels.
        output_size: width and height of the rectified image, pixels.

    Returns:
        x and y, float32 [height, width], frame pixels.
    """
    nodes = _node_basis() @ np.asarray(theta, np.float64).reshape(-1, 2)
    nodes = transform_points(normalised_to_pixels(*frame_size), nodes).astype(np.float32)
    lattice = nodes.reshape(_MAP_NODES + 2, _MAP_NODES + 2, 2)
    across, down = _node_weights(output_size[0]), _node_weights(output_size[1])
    x, y = (down @ (lattice[..., axis] @ across.T) for axis in (0, 1))
    return x, y


@lru_cache(maxsize=1)
def _node_basis() -> FloatArray:
    step = 2 / (_MAP_NODES - 1)
    line = np.linspace(-1 - step, 1 + step, _MAP_NODES + 2)
    return spline_basis(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2))


def _node_weights(size: int) -> npt.NDArray[np.float32]:
    """[size, nodes]: the share of each node in each of ``size`` pixels along a side."""
    place = (np.arange(size) + 0.5) / size * (_MAP_NODES - 1)
    cell = np.minimum(place.astype(int), _MAP_NODES - 2)
    t = place - cell
    weights = np.zeros((size, _MAP_NODES + 2), np.float32)
    cubic = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
    for tap, weight in enumerate(cubic):
        weights[np.arange(size), cell + tap] = weight / 2
    return weights
