"""Shares of area that two regions of a frame have in common: the true target, and the region that a model shows."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.geometry import is_valid_quadrilateral


def intersection_over_union(corners: Array, truth: Array) -> float:
    """Area that two convex quadrilaterals share, over the area of both together: 0 (apart) to 1 (the same).

    Args:
        corners: [4, 2]. Anything but a convex quadrilateral TL TR BR BL overlaps nothing.
        truth: [4, 2], a convex quadrilateral TL TR BR BL. Both are taken whole, also where they leave the frame.
    """
    if not is_valid_quadrilateral(corners, min_area_px=1e-9):
        return 0.0
    both = abs(_signed_area(_clipped(corners, truth)))
    return float(np.clip(both / (_signed_area(corners) + _signed_area(truth) - both), 0, 1))


def box_overlap(corners: Array, truth: Array) -> float:
    """Intersection over union of the upright boxes around two sets of points, [P, 2] and [Q, 2], frame pixels."""
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    true_low, true_high = np.min(truth, axis=0), np.max(truth, axis=0)
    both = float(np.prod(np.maximum(np.minimum(high, true_high) - np.maximum(low, true_low), 0)))
    either = float(np.prod(high - low) + np.prod(true_high - true_low)) - both
    return both / either if either > 0 else 0.0


def kept_share(target: Array, shown: Array) -> float:
    """Area of ``target`` inside ``shown`` over the area of ``target``.

    Args:
        target: [4, 2], a convex quadrilateral, in either sense of rotation.
        shown: [P, 2], a polygon, not necessarily convex.
    """
    whole = _signed_area(target)
    clip = target if whole > 0 else target[::-1]
    return float(np.clip(abs(_signed_area(_clipped(shown, clip))) / abs(whole), 0, 1))


def filled_share(target: Array, points: Array) -> float:
    """Share of ``points`` [P, 2] that lie in the convex quadrilateral ``target`` [4, 2]."""
    clip = target if _signed_area(target) > 0 else target[::-1]
    inside = [_side(points, a, b) >= 0 for a, b in zip(clip, np.roll(clip, -1, axis=0), strict=True)]
    return float(np.all(inside, axis=0).mean())


def _clipped(polygon: Array, clip: Array) -> Array:
    """The part of a polygon that lies in a convex one of positive signed area, by Sutherland and Hodgman 1974.

    Not OpenCV's ``intersectConvexConvex``: the border of a thin-plate spline is not convex. Parts that fall asunder
    stay joined by lines of no area.
    """
    for a, b in zip(clip, np.roll(clip, -1, axis=0), strict=True):
        if not len(polygon):
            break
        side = _side(polygon, a, b)
        vertices = []
        for point, next_point, distance, next_distance in zip(
            polygon, np.roll(polygon, -1, axis=0), side, np.roll(side, -1), strict=True
        ):
            if distance >= 0:
                vertices.append(point)
            if (distance < 0) != (next_distance < 0):
                vertices.append(point + (next_point - point) * distance / (distance - next_distance))
        polygon = np.array(vertices)
    return polygon


def _side(points: Array, a: Array, b: Array) -> Array:
    """Above 0 on the inner side of the edge a → b."""
    along = b - a
    return np.asarray(along[0] * (points[:, 1] - a[1]) - along[1] * (points[:, 0] - a[0]))


def _signed_area(polygon: Array) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = np.asarray(polygon, np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
