"""The coordinate contract, and the plain functions that follow it.

The contract, which every model file repeats in its metadata:

- Normalised coordinates: x right, y down, [-1, 1] from the outer edge of the first pixel to the outer edge of the
  last one (half-pixel centres, ``align_corners=False``).
- θ maps output (rectified) coordinates to input (frame) coordinates: ``x_in ~ H(θ) · x_out``, H 3×3 with
  ``H[2, 2] = 1``. Affine: the first six numbers of H, row-major. Projective: the first eight. A thin-plate spline
  ("tps") has no H: its θ is where 16 control points lie in the input, see
  `stn_rectify.runtime.rectifying.pixels.splines`.
- Corners are frame pixels, in the order top-left, top-right, bottom-right, bottom-left of the upright target. As in
  OpenCV the *centre* of the first pixel is (0, 0), so the whole frame reaches from (-0.5, -0.5) to (W-0.5, H-0.5).

All functions compute in float64.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError

__all__ = [
    "CONTROL_POINTS",
    "CORNER_POINTS",
    "THETA_SIZE",
    "UNIT_CORNERS",
    "corner_error",
    "corners_to_homography",
    "homography_to_corners",
    "homography_to_theta",
    "identity_theta",
    "is_valid_quadrilateral",
    "map_unit_corners",
    "normalised_to_pixels",
    "pixel_homography",
    "pixel_matrix_map",
    "pixels_to_normalised",
    "theta_to_corners",
    "theta_to_homography",
    "transform_points",
    "true_aspect",
    "upright_size",
]


#: Numbers in θ for each transform.
THETA_SIZE = {"affine": 6, "projective": 8, "tps": 32}

#: The corners of the rectified image in normalised coordinates, [4, 2]: TL, TR, BR, BL.
UNIT_CORNERS: FloatArray = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
UNIT_CORNERS.setflags(write=False)
_UNIT_CORNERS = UNIT_CORNERS.tolist()

#: The control points of "tps" in the rectified image, normalised, [16, 2]: a 4×4 lattice row by row, from its top left.
CONTROL_POINTS: FloatArray = np.stack(np.meshgrid(*[np.arange(-3, 4, 2) / 3] * 2), axis=-1).reshape(16, 2)
CONTROL_POINTS.setflags(write=False)

#: Which of them are the corners: TL, TR, BR, BL.
CORNER_POINTS = (0, 3, 15, 12)
_NEXT = [1, 2, 3, 0]  # corner after corner
_STEEPEST = 4.0  # the aspect of a target at most differs by this factor from that in which it is seen
# How a target is tilted shows in how its sides converge: of one whose shorter side is a smaller share of the focal
# length than the first, that is less than its corners are off by; above the second, more.
_TELLS_NOTHING, _TELLS_ALL = 0.08, 0.16
_NO_AREA = 1e-12  # of a triangle, beside the largest of the same four corners: what rounding leaves of zero


def identity_theta(transform: str) -> FloatArray:
    """θ of the transform that leaves the image as it is: [6], [8] or [32]."""
    if transform == "tps":
        return CONTROL_POINTS.flatten()
    return np.eye(3).ravel()[: THETA_SIZE[transform]]


def theta_to_homography(theta: npt.ArrayLike) -> FloatArray:
    """Completes θ to the 3×3 matrix that maps output to input coordinates, both normalised.

    Args:
        theta: [..., 6] (affine) or [..., 8] (projective).

    Returns:
        [..., 3, 3] with ``H[2, 2] = 1``.

    Raises:
        DataError: if θ has neither six nor eight numbers.
    """
    t = np.asarray(theta, np.float64)
    size = t.shape[-1] if t.ndim else 0
    if size not in (6, 8):
        raise DataError(f"theta has {size} numbers: expected 6 (affine) or 8 (projective)")
    flat = np.zeros((*t.shape[:-1], 9))
    flat[..., :size], flat[..., 8] = t, 1.0
    return flat.reshape(*t.shape[:-1], 3, 3)


def homography_to_theta(homography: npt.ArrayLike, transform: str = "projective") -> FloatArray:
    """The inverse of `theta_to_homography`: [..., 3, 3] → [..., 6] or [..., 8], scaled to ``H[2, 2] = 1``."""
    h = np.asarray(homography, np.float64)
    flat = (h / h[..., 2:3, 2:3]).reshape(*h.shape[:-2], 9)
    return flat[..., : THETA_SIZE[transform]]


def transform_points(homography: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Maps points [..., N, 2] with homographies [..., 3, 3]; returns [..., N, 2].

    A point on the vanishing line maps to infinity; no warning is given.
    """
    h = np.asarray(homography, np.float64)
    p = np.asarray(points, np.float64)
    mapped = p @ np.swapaxes(h[..., :2], -1, -2) + h[..., None, :, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mapped[..., :2] / mapped[..., 2:])


@lru_cache(maxsize=64)
def normalised_to_pixels(width: int, height: int) -> FloatArray:
    """The 3×3 matrix from normalised coordinates to pixels of a ``width`` × ``height`` image; not to be written to."""
    return _constant([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])


@lru_cache(maxsize=64)
def pixels_to_normalised(width: int, height: int) -> FloatArray:
    """The inverse of `normalised_to_pixels`.

    Written out: NumPy's LAPACK starts threads even for 3×3, and on a busy machine that took 20 ms instead of 3 µs.
    """
    return _constant([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])


def pixel_centres(width: int, height: int) -> FloatArray:
    """The centres of an image's pixels in normalised coordinates, row by row: [height · width, 2]."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width * 2 - 1, (np.arange(height) + 0.5) / height * 2 - 1)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _constant(rows: list[list[float]]) -> FloatArray:
    matrix = np.array(rows)
    matrix.setflags(write=False)
    return matrix


def pixel_homography(theta: npt.ArrayLike, frame_size: tuple[int, int], output_size: tuple[int, int]) -> FloatArray:
    """The 3×3 matrix from rectified pixels to frame pixels: what ``cv2.warpPerspective`` takes with WARP_INVERSE_MAP.

    Args:
        theta: [6] or [8].
        frame_size: width and height of the frame, pixels.
        output_size: width and height of the rectified image, pixels.

    Returns:
        [3, 3], *not* scaled to ``[2, 2] = 1``.
    """
    to_frame = normalised_to_pixels(*frame_size)
    return np.asarray(to_frame @ theta_to_homography(theta) @ pixels_to_normalised(*output_size))


def pixel_matrix_map(
    theta_size: int, input_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """θ → pixel matrix as one affine map: ``M.ravel() = K @ θ + k``, exact wherever its entries are.

    ``M = Ti · H(θ) · To`` maps output pixels (j, i, 1) to homogeneous input pixels; every entry of M is linear in θ.

    Args:
        theta_size: 6 or 8.
        input_size: height and width of the image that is sampled.
        output_size: height and width of the rectified image.

    Returns:
        K float64 [9, theta_size] and k float64 [9].
    """
    to_input = normalised_to_pixels(input_size[1], input_size[0])
    from_output = pixels_to_normalised(output_size[1], output_size[0])

    def pixel_matrix(entries: FloatArray) -> FloatArray:
        return np.asarray((to_input @ entries.reshape(3, 3) @ from_output).ravel())

    units = np.eye(9)
    return np.stack([pixel_matrix(units[k]) for k in range(theta_size)], axis=1), pixel_matrix(units[8])


def homography_to_corners(homography: npt.ArrayLike, width: int, height: int) -> FloatArray:
    """Corners [..., 4, 2] in pixels of a ``width`` × ``height`` frame, from normalised homographies [..., 3, 3]."""
    to_pixels = normalised_to_pixels(width, height) @ np.asarray(homography, np.float64)
    if to_pixels.ndim == 2:
        return map_unit_corners(to_pixels)
    return transform_points(to_pixels, UNIT_CORNERS)


def map_unit_corners(matrix: FloatArray) -> FloatArray:
    """``transform_points(matrix, UNIT_CORNERS)`` of one matrix, the same bits in a third of the time."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    points = []
    for x, y in _UNIT_CORNERS:
        w = x * g + y * h + i
        if w == 0:
            return transform_points(matrix, UNIT_CORNERS)
        points.append(((x * a + y * b + c) / w, (x * d + y * e + f) / w))
    return np.array(points)


def theta_to_corners(theta: npt.ArrayLike, width: int, height: int) -> FloatArray:
    """Gives the target's corners for θ of any transform: [..., 6, 8 or 32] → [..., 4, 2], frame pixels."""
    t = np.asarray(theta, np.float64)
    if t.shape[-1:] == (THETA_SIZE["tps"],):  # a spline goes through its control points
        corners = t.reshape(*t.shape[:-1], -1, 2)[..., list(CORNER_POINTS), :]
        return transform_points(normalised_to_pixels(width, height), corners)
    return homography_to_corners(theta_to_homography(t), width, height)


def corners_to_homography(corners: npt.ArrayLike, width: int, height: int) -> FloatArray:
    """The normalised homography [3, 3] that puts the upright target's corners at ``corners`` [4, 2], frame pixels.

    In closed form (Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3): nothing to solve,
    see `pixels_to_normalised`.

    Raises:
        DataError: if three of the corners lie on one line, or nearly so.
    """
    c = np.asarray(corners, np.float64)
    if c.shape != (4, 2) or not np.isfinite(c).all():
        raise DataError(f"corners must be four finite points, shape (4, 2), not {c.shape}")
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = transform_points(pixels_to_normalised(width, height), c).tolist()
    # Twice the areas of the triangles that lack one corner each.
    without_0 = (x1 - x2) * (y3 - y2) - (x3 - x2) * (y1 - y2)
    without_1 = (x2 - x3) * (y0 - y3) - (x0 - x3) * (y2 - y3)
    without_2 = (x3 - x0) * (y1 - y0) - (x1 - x0) * (y3 - y0)
    without_3 = (x0 - x1) * (y2 - y1) - (x2 - x1) * (y0 - y1)
    areas = [abs(area) for area in (without_0, without_1, without_2, without_3)]
    if min(areas) <= _NO_AREA * max(areas):
        raise DataError(f"three of the corners {c.tolist()} lie on one line, or nearly so")
    # From the square between 0 and 1; g and h are its perspective.
    x, y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    g = (x * (y3 - y2) - (x3 - x2) * y) / without_0
    h = ((x1 - x2) * y - x * (y1 - y2)) / without_0
    from_unit = np.array(
        [[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, 1]]
    )
    homography = from_unit @ np.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])
    if homography[2, 2] == 0:
        raise DataError(f"the corners {c.tolist()} put the target's middle at infinity")
    return np.asarray(homography / homography[2, 2])


def corner_error(corners: npt.ArrayLike, truth: npt.ArrayLike) -> FloatArray:
    """Mean distance of the four corners, as a fraction of the true target's mean diagonal: [..., 4, 2] → [...]."""
    a, b = np.asarray(corners, np.float64), np.asarray(truth, np.float64)
    return np.asarray(np.linalg.norm(a - b, axis=-1).mean(axis=-1) / mean_diagonal(b))


def mean_diagonal(corners: FloatArray) -> FloatArray:
    """The mean length of a target's two diagonals, the measure of its size: [..., 4, 2] → [...]."""
    return np.asarray(np.linalg.norm(corners[..., :2, :] - corners[..., 2:, :], axis=-1).mean(axis=-1))


def is_valid_quadrilateral(corners: npt.ArrayLike, min_area_px: float = 16.0) -> bool:
    """Tells if corners [4, 2] are finite, convex, turn clockwise on the screen and enclose ``min_area_px`` or more."""
    c = np.asarray(corners, np.float64)
    if c.shape != (4, 2):
        return False
    # Four points, several times a frame: NumPy, or a loop over them, takes longer than this.
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = c.tolist()
    area = (x0 * y1 - x1 * y0 + x1 * y2 - x2 * y1 + x2 * y3 - x3 * y2 + x3 * y0 - x0 * y3) / 2
    return (
        math.isfinite(area)  # as no area is that has an infinite corner, or one that is no number
        and area >= min_area_px
        and (x1 - x0) * (y2 - y1) > (y1 - y0) * (x2 - x1)
        and (x2 - x1) * (y3 - y2) > (y2 - y1) * (x3 - x2)
        and (x3 - x2) * (y0 - y3) > (y3 - y2) * (x0 - x3)
        and (x0 - x3) * (y1 - y0) > (y0 - y3) * (x1 - x0)
    )


def upright_size(
    corners: npt.ArrayLike,
    max_side: int = 4096,
    frame_size: tuple[int, int] | None = None,
    *,
    scale: float = 1.0,
) -> tuple[int, int]:
    """Width and height in pixels that keep the target's resolution: at least the longer of each pair of opposite sides.

    Args:
        corners: [4, 2], pixels.
        max_side: neither side is made longer; both shrink together.
        frame_size: width and height of the frame, pixels. The side that is seen foreshortened is then drawn out, so
            that the aspect is about that of the target itself; see `true_aspect`. None to leave it.
        scale: of both sides, such as for what is shown around the target.

    Returns:
        ``(width, height)``, each at least 1.
    """
    c = np.asarray(corners, np.float64)
    top, right, bottom, left = np.linalg.norm(c[_NEXT] - c, axis=1)
    size = np.array([max(top, bottom), max(right, left)])
    aspect = true_aspect(c, frame_size) if frame_size is not None else None
    if aspect is not None:
        size = np.maximum(size, [aspect * size[1], size[0] / aspect])
    size *= scale
    size *= min(1.0, max_side / size.max()) if size.max() > 0 else 1.0
    width, height = np.maximum(1, np.round(size)).astype(int)
    return int(width), int(height)


def true_aspect(corners: npt.ArrayLike, frame_size: tuple[int, int]) -> float | None:
    """Width over height of a flat rectangle that a camera sees in perspective.

    As by Zhang and He, "Whiteboard scanning and image enhancement" (2007), for a camera that looks through the middle
    of the frame and whose focal length is the frame's longer side (an angle of view of 53° along it). One from 0.8 to
    1.25 of that gives an error of some percent at a tilt of 45°; so do corners that are off by half a percent, from
    which the focal length could be told no better. The smaller the target, the less its corners tell of its tilt: from
    a shorter side of 0.16 to one of 0.08 focal lengths the result goes over to the aspect in which it is seen.

    Args:
        corners: [4, 2], pixels.
        frame_size: width and height of the frame, pixels.

    Returns:
        None where the corners are no perspective view of a rectangle, or so steep that they tell nothing.
    """
    focal = float(max(frame_size))
    middle_x, middle_y = (frame_size[0] - 1) / 2, (frame_size[1] - 1) / 2
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        ((x - middle_x) / focal, (y - middle_y) / focal) for x, y in np.asarray(corners, np.float64).tolist()
    )
    # Depths of the top right and the bottom left corner, that of the top left one being 1: the sides are parallel.
    across = (x1 - x2) * (y3 - y2) - (y1 - y2) * (x3 - x2)
    if across == 0:
        return None
    right = ((x0 - x2) * (y3 - y2) - (y0 - y2) * (x3 - x2)) / across
    below = ((x1 - x2) * (y0 - y2) - (y1 - y2) * (x0 - x2)) / across
    if right <= 0 or below <= 0:
        return None
    width = math.hypot(right * x1 - x0, right * y1 - y0, right - 1)
    height = math.hypot(below * x3 - x0, below * y3 - y0, below - 1)
    seen_width = (math.hypot(x1 - x0, y1 - y0) + math.hypot(x2 - x3, y2 - y3)) / 2
    seen_height = (math.hypot(x3 - x0, y3 - y0) + math.hypot(x2 - x1, y2 - y1)) / 2
    if not min(width, height, seen_width, seen_height):
        return None
    seen, aspect = seen_width / seen_height, width / height
    if not seen / _STEEPEST <= aspect <= seen * _STEEPEST:
        return None
    tells = (min(seen_width, seen_height) - _TELLS_NOTHING) / (_TELLS_ALL - _TELLS_NOTHING)
    return float(seen * (aspect / seen) ** min(max(tells, 0.0), 1.0))
