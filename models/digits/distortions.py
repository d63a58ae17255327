"""The distortions of the Spatial Transformer paper (Jaderberg et al. 2015, arXiv 1506.02025, section 4.1).

An upright image is drawn onto a larger canvas of zeros, in a pose that is known. Lengths are those of the paper for
images of 28×28 and grow with the image.

    R    turned by U(-90°, 90°), at the centre
    RTS  turned by U(-45°, 45°), scaled by U(0.7, 1.2), anywhere on the canvas
    P    scaled by U(0.75, 1) at the centre, then each corner of the canvas moved by N(0, 5 px) in x and in y
    E    bent by a thin-plate spline whose 4×4 control points are moved by N(0, 1.5 px) in x and in y
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import is_valid_quadrilateral, transform_points
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

_PAPER_SIDE = 28  # pixels of the image that the paper's lengths are for
_TURN_R, _TURN_RTS = np.pi / 2, np.pi / 4
_SCALE_RTS, _SCALE_P = (0.7, 1.2), (0.75, 1.0)
_CORNER_SPREAD_PX, _CONTROL_SPREAD_PX = 5.0, 1.5
_FIXED_POINT_STEPS = 12


@dataclass(frozen=True)
class DistortedImages:
    """Images on the canvas, and the corners of each.

    Attributes:
        images: uint8 [N, H, W, C].
        corners: float64 [N, 4, 2]: where the outer corners of each upright image came to lie, canvas pixels, TL TR BR
            BL; (0, 0) is the centre of the first pixel.
    """

    images: Image = field(repr=False)
    corners: FloatArray = field(repr=False)


def distort(
    images: Image, kinds: npt.NDArray[np.str_], canvas: tuple[int, int], rng: np.random.Generator
) -> DistortedImages:
    """Draws each image once.

    Args:
        images: uint8 [N, h, w, C], upright.
        kinds: [N], of `stn_rectify.models.digits.DISTORTIONS`.
        canvas: height and width of the images that are drawn.
        rng: decides all poses; the same state, the same result.
    """
    size = (images.shape[2], images.shape[1])
    drawn = np.zeros((len(images), *canvas, images.shape[3]), np.uint8)
    corners = np.empty((len(images), 4, 2))
    offsets = rng.normal(0, _CONTROL_SPREAD_PX * max(size) / _PAPER_SIDE, (len(images), 16, 2))
    is_bent = kinds == "E"
    corners[is_bent] = _bent_corners(size, canvas, offsets[is_bent])
    for number, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        if is_bent[number]:
            picture = _bend(image, canvas, offsets[number])
        else:
            corners[number] = _CORNERS_OF[str(kind)](size, canvas, rng)
            matrix = cv2.getPerspectiveTransform(_outer_corners(*size), corners[number].astype(np.float32))
            picture = cv2.warpPerspective(image, matrix, canvas[::-1])
        drawn[number] = picture.reshape(drawn.shape[1:])
    return DistortedImages(drawn, corners)


def _outer_corners(width: float, height: float) -> npt.NDArray[np.float32]:
    """TL TR BR BL of an image, pixels."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)


def _centred(size: tuple[int, int], scale: float) -> FloatArray:
    """Corners of the scaled image around (0, 0)."""
    return np.asarray(_outer_corners(*size) + 0.5 - np.divide(size, 2), np.float64) * scale


def _turned(corners: FloatArray, angle: float) -> FloatArray:
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.asarray(corners @ np.array([[cosine, sine], [-sine, cosine]]))


def _middle(canvas: tuple[int, int]) -> FloatArray:
    return np.array([canvas[1], canvas[0]]) / 2 - 0.5


def _rotated(size: tuple[int, int], canvas: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    return _turned(_centred(size, 1.0), rng.uniform(-_TURN_R, _TURN_R)) + _middle(canvas)


def _moved(size: tuple[int, int], canvas: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """The scaled image lies anywhere on the canvas as a whole, before it is turned about its centre."""
    scale = rng.uniform(*_SCALE_RTS)
    room = np.maximum(np.array([canvas[1], canvas[0]]) - scale * np.array(size), 0) / 2
    turned = _turned(_centred(size, scale), rng.uniform(-_TURN_RTS, _TURN_RTS))
    return np.asarray(turned + _middle(canvas) + rng.uniform(-room, room))


def _projected(size: tuple[int, int], canvas: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Drawn again where the canvas's corners make no convex quadrilateral: no projection gives those."""
    spread = _CORNER_SPREAD_PX * max(size) / _PAPER_SIDE
    box = _centred(size, rng.uniform(*_SCALE_P)) + _middle(canvas)
    still = _outer_corners(canvas[1], canvas[0])
    while not is_valid_quadrilateral(moved := still + rng.normal(0, spread, (4, 2))):
        pass
    return np.asarray(transform_points(cv2.getPerspectiveTransform(still, moved.astype(np.float32)), box))


_CORNERS_OF = {"R": _rotated, "RTS": _moved, "P": _projected}


def _bend(image: Image, canvas: tuple[int, int], offsets: FloatArray) -> Any:
    """The canvas is read through the spline: each control point there shows the pixel ``offsets`` away from its own."""
    height, width = image.shape[:2]
    plain, basis = _canvas_lattice((width, height), canvas)
    x, y = (plain + basis @ offsets.astype(np.float32)).T.reshape(2, *canvas)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR)


def _bent_corners(size: tuple[int, int], canvas: tuple[int, int], offsets: FloatArray) -> FloatArray:
    """Finds the corners [N, 4, 2] on the canvas, for offsets [N, 16, 2]: corners + offset(corners) = outer corners."""
    outer = np.broadcast_to(np.asarray(_outer_corners(*size), np.float64), (len(offsets), 4, 2))
    corners = outer
    for _ in range(_FIXED_POINT_STEPS):
        basis = spline_basis((2 * (corners + 0.5) / np.array(size) - 1).reshape(-1, 2)).reshape(-1, 4, 16)
        corners = outer - basis @ offsets
    return np.asarray(corners + _middle(canvas) - np.divide(size, 2) + 0.5)


@lru_cache(maxsize=4)
def _canvas_lattice(
    size: tuple[int, int], canvas: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Gives the pixel [H·W, 2] of the image that each canvas pixel shows if nothing is moved, and how much each control
    point moves that [H·W, 16]. The 4×4 lattice spans the upright image."""
    first = _middle(canvas) - np.divide(size, 2) + 0.5  # canvas pixel that shows the image's first one
    plain = np.stack(np.meshgrid(np.arange(canvas[1]) - first[0], np.arange(canvas[0]) - first[1]), axis=-1)
    plain = plain.reshape(-1, 2)
    basis = spline_basis(2 * (plain + 0.5) / np.array(size) - 1)
    return plain.astype(np.float32), basis.astype(np.float32)
