"""The way of an upright texture into the frame, to a fraction of a pixel: warp, outline and shadow."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points, blended, resized
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.geometry import transform_points

_UNIT_SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)


def plane_points(corners: Points, points: Points) -> Points:
    """Maps points of the target's plane, its corners at ±1, to frame pixels: [N, 2] → [N, 2]."""
    to_frame = cv2.getPerspectiveTransform(_UNIT_SQUARE, corners.astype(np.float32))
    return transform_points(to_frame, points)


def outline_mask(width: int, height: int, radius: float = 0.0, bows: tuple[float, ...] = ()) -> tuple[Image, int]:
    """The shape of a target on its own texture.

    Args:
        width: width of the texture, pixels.
        height: height of the texture, pixels.
        radius: radius of rounded corners, as a fraction of the shorter side.
        bows: how far each edge (top, right, bottom, left) bulges outwards, as a fraction of its length; the
            corners stay where they are. Empty for straight edges.

    Returns:
        The mask, uint8 [height + 2·pad, width + 2·pad], 255 inside, and the padding in pixels.
    """
    if radius <= 0 and not bows:
        return np.full((height, width), 255, np.uint8), 0
    pad = 2 + int(np.ceil(max([0.0, *bows]) * max(width, height)))
    outline = _rounded(width, height, radius) if radius > 0 else _bowed(width, height, bows)
    fine = np.zeros((2 * (height + 2 * pad), 2 * (width + 2 * pad)), np.uint8)
    # The texture's outer edge (-0.5) lies at 2·pad - 0.5 here; fillPoly takes 1/16 pixels with shift 4.
    on_fine = (outline + 0.5 + pad) * 2 - 0.5
    cv2.fillPoly(fine, [np.round(on_fine * 16).astype(np.int32)], (255,), cv2.LINE_8, 4)
    return resized(fine, width + 2 * pad, height + 2 * pad), pad


def paste_texture(
    frame: Image, texture: Image, corners: Points, *, radius: float = 0.0, bows: tuple[float, ...] = ()
) -> None:
    """Warps a texture into the frame, in place: its outer edges (-0.5 … w-0.5) come to lie on ``corners``.

    Args:
        frame: uint8 [H, W, 3], changed.
        texture: uint8 [h, w, 3].
        corners: float64 [4, 2], frame pixels, TL, TR, BR, BL; may lie outside the frame.
        radius: see `outline_mask`.
        bows: see `outline_mask`.
    """
    texture = _shrunk_to(texture, corners)
    height, width = texture.shape[:2]
    mask, pad = outline_mask(width, height, radius, bows)
    slack = 3 + int(np.ceil(max([0.0, *bows]) * np.ptp(corners, axis=0).max()))
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - slack, 0).tolist()
    right, bottom = (np.ceil(corners.max(axis=0)).astype(int) + slack).tolist()
    right, bottom = min(right, frame.shape[1]), min(bottom, frame.shape[0])
    if right <= left or bottom <= top:
        return
    edges = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    to_region = (corners - (left, top)).astype(np.float32)
    warp = cv2.getPerspectiveTransform(edges.astype(np.float32), to_region)
    warp_mask = cv2.getPerspectiveTransform((edges + pad).astype(np.float32), to_region)
    size = (right - left, bottom - top)
    colour = cv2.warpPerspective(texture, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # A zero border makes the mask fall through one half exactly at the texture's outer edge.
    alpha = cv2.warpPerspective(mask, warp_mask, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    region = frame[top:bottom, left:right]
    region[:] = blended(np.asarray(colour, np.uint8), np.ascontiguousarray(region), np.asarray(alpha, np.uint8))


def cast_shadow(frame: Image, corners: Points, offset: Points, softness: float, strength: float) -> Image:
    """The frame with the soft shadow of a quadrilateral on it.

    Args:
        frame: uint8 [H, W, 3].
        corners: corners [4, 2] of the object that casts the shadow, pixels.
        offset: the way [2] from the object to its shadow, pixels.
        softness: standard deviation of the shadow's edge, pixels.
        strength: 0 none, 1 black.
    """
    height, width = frame.shape[:2]
    coarse = np.full((height // 4, width // 4), 255, np.uint8)
    shadow = ((corners + offset + 0.5) / 4 - 0.5) * 16
    cv2.fillPoly(coarse, [np.round(shadow).astype(np.int32)], (255 * (1 - strength),), cv2.LINE_AA, 4)
    coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), max(0.3, softness / 4)), np.uint8)
    gain = cv2.cvtColor(resized(coarse, width, height), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.multiply(frame, gain, scale=1 / 255), np.uint8)


def _shrunk_to(texture: Image, corners: Points) -> Image:
    """The texture averaged down to about the size at which it is seen, so that the warp does not alias."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    height, width = texture.shape[:2]
    target_width = min(width, max(8, round(max(top, bottom))))
    target_height = min(height, max(8, round(max(left, right))))
    if target_width > 0.8 * width and target_height > 0.8 * height:
        return texture
    return resized(texture, target_width, target_height)


def _rounded(width: int, height: int, radius: float) -> Points:
    """Outline of a rectangle with rounded corners, texture pixels."""
    reach = radius * min(width, height)
    quarter = np.linspace(0, np.pi / 2, 7)
    centres = np.array(
        [[width - reach, height - reach], [reach, height - reach], [reach, reach], [width - reach, reach]]
    )
    arcs = [
        centre + reach * np.stack([np.cos(quarter + turn), np.sin(quarter + turn)], axis=1)
        for centre, turn in zip(centres, np.arange(4) * np.pi / 2, strict=True)
    ]
    return np.asarray(np.concatenate(arcs) - 0.5, np.float64)


def _bowed(width: int, height: int, bows: tuple[float, ...]) -> Points:
    """Outline of a rectangle whose edges bulge in half a sine wave, texture pixels."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5
    along = np.linspace(0, 1, 13)[:-1, None]
    sides = []
    for start, end, bow in zip(corners, np.roll(corners, -1, axis=0), bows, strict=True):
        edge = end - start
        outwards = np.array([edge[1], -edge[0]])
        sides.append(start + along * edge + bow * np.sin(np.pi * along) * outwards)
    return np.concatenate(sides)
