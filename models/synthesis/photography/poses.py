"""The pose of the target in the frame: random homographies of a rectangle seen by a pinhole camera."""

from __future__ import annotations

import math

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points
from stn_rectify.runtime.geometry import is_valid_quadrilateral

#: In-plane rotation of a target, either way.
MAX_ROTATION_DEG = 40.0
#: The least part of a target's area that lies in the frame.
MIN_VISIBLE = 0.75

_LEAST_FRAME_PX = 64  # of a frame that its target nearly fills
_ATTEMPTS = 200
_MAX_TILT_DEG = 52.0
#: No edge of a target is shorter than this fraction of the frame's height.
_MIN_EDGE = 0.055


def draw_pose(
    rng: np.random.Generator,
    aspect: float,
    frame_size: tuple[int, int],
    *,
    extent: tuple[float, float] = (0.3, 0.95),
    cut_off: float = 0.15,
    least_edge: float = _MIN_EDGE,
) -> Points:
    """Corners of a target in an acceptable pose.

    Args:
        rng: the sample's random numbers.
        aspect: width over height of the target.
        frame_size: width and height of the frame, pixels.
        extent: range of the target's larger extent, as a fraction of the frame's side.
        cut_off: share of targets that may reach over the frame's edge, by a quarter of their area at most.
        least_edge: no edge is shorter than this fraction of the frame's height.

    Returns:
        float64 [4, 2], pixels, TL, TR, BR, BL: convex, turned by 40° at most, three quarters visible or more.
    """
    size = np.array(frame_size, np.float64)
    for _ in range(_ATTEMPTS):
        corners = _project(rng, aspect, MAX_ROTATION_DEG)
        reach = np.ptp(corners, axis=0)
        corners *= rng.uniform(*extent) / (reach / size).max()
        reach = np.ptp(corners, axis=0)
        overhang = 0.25 * reach if rng.random() < cut_off else np.zeros(2)
        room = np.maximum(size - reach + 2 * overhang, 0)
        corners += rng.random(2) * room - overhang - 0.5 - corners.min(axis=0)
        if _is_acceptable(corners, frame_size, least_edge):
            return corners
    return _upright(aspect, size, extent[1])


def draw_filling_pose(
    rng: np.random.Generator,
    aspect: float,
    sides_px: tuple[float, float],
    *,
    extent: tuple[float, float],
    cut_off: float = 0.0,
) -> tuple[int, Points]:
    """A square frame that its target nearly fills.

    Args:
        rng: the sample's random numbers.
        aspect: width over height of the target.
        sides_px: range of the target's larger extent, pixels.
        extent: range of the same, as a fraction of the frame's side.
        cut_off: see `draw_pose`.

    Returns:
        The frame's side, 64 pixels or more, and the target's corners as `draw_pose` gives them.
    """
    longer, share = math.exp(rng.uniform(*np.log(sides_px))), rng.uniform(*extent)
    side = max(_LEAST_FRAME_PX, round(longer / share))
    share = min(share, longer / side)
    return side, draw_pose(rng, aspect, (side, side), extent=(share, share + 0.01), cut_off=cut_off, least_edge=0.04)


def rotation_deg(corners: Points) -> float:
    """In-plane rotation: direction of the mean of top and bottom edge, degrees, clockwise on the screen."""
    x, y = corners[1] - corners[0] + corners[2] - corners[3]
    return float(np.degrees(np.arctan2(y, x)))


def visible_area(corners: Points, frame_size: tuple[int, int]) -> float:
    """Area of the part of a convex quadrilateral that lies in the frame, square pixels."""
    right, bottom = frame_size[0] - 0.5, frame_size[1] - 0.5
    frame = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]], np.float32)
    area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), frame)
    return float(area)


def _project(rng: np.random.Generator, aspect: float, max_rotation_deg: float) -> Points:
    """A rectangle turned in space and seen in perspective, in arbitrary units around the origin."""
    if rng.random() < 0.5:
        turn = rng.uniform(-max_rotation_deg, max_rotation_deg)
    else:
        turn = rng.normal(0, 0.2 * max_rotation_deg)
    tilt = _MAX_TILT_DEG if rng.random() < 0.75 else 12.0
    around_x, around_y, around_z = np.radians([*rng.uniform(-tilt, tilt, 2), turn])
    width, height = np.sqrt(aspect), 1 / np.sqrt(aspect)
    rectangle = np.array([[-width, -height, 0], [width, -height, 0], [width, height, 0], [-width, height, 0]]) / 2
    vectors = [[around_x, 0.0, 0.0], [0.0, around_y, 0.0], [0.0, 0.0, around_z]]
    turn_x, turn_y, turn_z = (np.asarray(cv2.Rodrigues(np.array(vector))[0]) for vector in vectors)
    in_space = rectangle @ (turn_z @ turn_y @ turn_x).T
    distance = rng.uniform(1.5, 6.0) * max(width, height)
    return np.asarray(in_space[:, :2] / (1 + in_space[:, 2:] / distance), np.float64)


def _is_acceptable(corners: Points, frame_size: tuple[int, int], least_edge: float) -> bool:
    if not is_valid_quadrilateral(corners) or abs(rotation_deg(corners)) > MAX_ROTATION_DEG:
        return False
    edges = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    if edges.min() < least_edge * frame_size[1]:
        return False
    down_x, down_y = corners[3] - corners[0] + corners[2] - corners[1]
    leans = abs(down_x) > np.tan(np.radians(60)) * down_y
    whole = cv2.contourArea(corners.astype(np.float32))
    return not leans and visible_area(corners, frame_size) >= MIN_VISIBLE * whole


def _upright(aspect: float, size: Points, extent: float) -> Points:
    """A frontal view in the middle: for the rare case that no random pose was acceptable."""
    width = min(0.8, extent) * min(size[0], size[1] * aspect)
    half = np.array([width, width / aspect]) / 2
    return np.asarray((size - 1) / 2 + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half, np.float64)
