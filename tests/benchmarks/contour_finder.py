"""What OpenCV finds without any network: the largest convex quadrilateral among the contours of a frame.

The recipe of document scanners: `Canny`, `findContours`, `approxPolyDP` of each contour's hull. Edges that do not close
are thickened; where that gives no quadrilateral either, the contours of Otsu's threshold are tried. Of some thirty
variants (other thresholds, adaptive ones, each colour by itself, contours that must fill their quadrilateral, all edge
pictures at once) this one did best on documents, and no other much better on plates.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from stn_rectify.runtime.geometry import is_valid_quadrilateral

_LEAST_SHARE, _MOST_SHARE = 0.01, 0.98  # of the frame's area
_TOLERANCES = (0.02, 0.03, 0.05)  # of the hull's length


def find_quadrilateral(frame: np.ndarray) -> np.ndarray | None:
    """Float64 [4, 2], frame pixels, clockwise from the corner nearest to the frame's top left; None without any."""
    height, width = frame.shape[:2]
    for picture in _edge_pictures(frame):
        contours, _ = cv2.findContours(picture, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        hulls = sorted((cv2.convexHull(contour) for contour in contours), key=cv2.contourArea, reverse=True)
        for hull in hulls:
            share = cv2.contourArea(hull) / (width * height)
            if share < _LEAST_SHARE:
                break
            corners = _corners(hull) if share < _MOST_SHARE else None
            if corners is not None:
                return corners
    return None


def _edge_pictures(frame: np.ndarray) -> Iterator[np.ndarray]:
    smooth = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (5, 5), 0)
    edges = cv2.Canny(smooth, 50, 150)
    yield edges
    yield cv2.dilate(edges, np.ones((3, 3), np.uint8))
    bright = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    yield bright
    yield cv2.bitwise_not(bright)


def _corners(hull: np.ndarray) -> np.ndarray | None:
    length = cv2.arcLength(hull, True)
    for tolerance in _TOLERANCES:
        corners = cv2.approxPolyDP(hull, tolerance * length, True)[:, 0].astype(np.float64)
        if len(corners) == 4:
            return _from_top_left(corners)
    return None


def _from_top_left(corners: np.ndarray) -> np.ndarray | None:
    """Clockwise on the screen; a contour does not say which side of the target is up."""
    if cv2.contourArea(corners.astype(np.float32), oriented=True) < 0:
        corners = corners[::-1]
    corners = np.roll(corners, -int(np.argmin(corners.sum(axis=1))), axis=0)
    return corners if is_valid_quadrilateral(corners) else None
