"""Other things in the frame: smaller or cut-off rectangles, cables, discs, words; and what covers an edge."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, dark, scaled, skin
from stn_rectify.models.synthesis.drawing.images import Points
from stn_rectify.models.synthesis.drawing.lettering import text_line
from stn_rectify.models.synthesis.material.bank import Bank
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture
from stn_rectify.models.synthesis.photography.poses import draw_pose, visible_area
from stn_rectify.runtime.arrays import Image


def draw_clutter(
    rng: np.random.Generator, frame: Image, bank: Bank, count: int, max_area: float, max_cut_area: float
) -> Image:
    """Adds ``count`` objects.

    Args:
        rng: the sample's random numbers.
        frame: uint8 [H, W, 3], may be changed.
        bank: the material with the rectangles' textures.
        count: number of objects.
        max_area: no rectangle shows more than this, square pixels.
        max_cut_area: no rectangle shows more than this where the frame's edge hides most of it, square pixels.

    Returns:
        The frame with the objects.
    """
    for _ in range(count):
        kind = rng.random()
        if kind < 0.6:
            frame = _add_rectangle(rng, frame, bank, max_area, max_cut_area)
        elif kind < 0.78:
            _add_strip(rng, frame)
        elif kind < 0.92:
            _add_disc(rng, frame)
        else:
            height, width = frame.shape[:2]
            box = (rng.uniform(0, 0.7) * width, rng.uniform(0, 0.9) * height, width * 0.5, height * 0.12)
            text_line(rng, frame, box, any_colour(rng))
    return frame


def draw_occluder(
    rng: np.random.Generator, frame: Image, corners: Points, at: tuple[float, float] = (0.12, 0.88)
) -> None:
    """A finger, clip or cable over one edge of the target, in place; ``at``: where along the edge, 0 and 1 its ends."""
    edge = int(rng.integers(4))
    start, end = corners[edge], corners[(edge + 1) % 4]
    point = start + (end - start) * rng.uniform(*at)
    outwards = point - corners.mean(axis=0)
    outwards /= np.linalg.norm(outwards) + 1e-6
    reach = np.sqrt(cv2.contourArea(corners.astype(np.float32)))
    width = int(max(3, reach * rng.uniform(0.06, 0.2)))
    tip = point - outwards * reach * rng.uniform(0.02, 0.15)
    root = point + outwards * reach * rng.uniform(0.2, 1.5) + rng.normal(0, 0.15 * reach, 2)
    colour = skin(rng) if rng.random() < 0.6 else any_colour(rng)
    tip_px, root_px = np.round(tip).astype(int).tolist(), np.round(root).astype(int).tolist()
    cv2.line(frame, tip_px, root_px, scaled(colour, 0.75), width + 2, cv2.LINE_AA)
    cv2.line(frame, tip_px, root_px, colour, width, cv2.LINE_AA)


def _add_rectangle(rng: np.random.Generator, frame: Image, bank: Bank, max_area: float, max_cut_area: float) -> Image:
    """A further card, page or plate; one that would show too much is pushed out or left out."""
    texture = bank.rivals[int(rng.integers(len(bank.rivals)))]
    size = (frame.shape[1], frame.shape[0])
    image, aspect = texture.image, texture.aspect
    if rng.random() < 0.4:
        image, aspect = np.ascontiguousarray(np.rot90(image)), 1 / aspect
    corners = draw_pose(rng, aspect, size, extent=(0.08, 0.5), cut_off=0.3)
    if visible_area(corners, size) > max_area or rng.random() < 0.3:
        corners = corners + _push(rng, corners, size)
        max_area = max_cut_area
    if visible_area(corners, size) > max_area:
        return frame
    if rng.random() < 0.4:
        offset = rng.normal(0, 0.012 * size[1], 2)
        frame = cast_shadow(frame, corners, offset, 0.01 * size[1], rng.uniform(0.1, 0.5))
    paste_texture(frame, image, corners, radius=texture.corner_radius)
    return frame


def _push(rng: np.random.Generator, corners: Points, size: tuple[int, int]) -> Points:
    """The way [2] that takes all but 15–45 % of an object's extent over one edge of the frame."""
    axis = int(rng.integers(2))
    low, high = corners[:, axis].min(), corners[:, axis].max()
    shown = rng.uniform(0.15, 0.45) * (high - low)
    offset = np.zeros(2)
    offset[axis] = size[axis] - shown - low if rng.random() < 0.5 else shown - high
    return offset


def _add_strip(rng: np.random.Generator, frame: Image) -> None:
    """A cable, pen, edge or crack: a line across part of the frame, perhaps with a lit side."""
    height, width = frame.shape[:2]
    ends = np.round(rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)).astype(int)
    colour, thickness = any_colour(rng), int(max(1, height * rng.uniform(0.003, 0.06)))
    start, end = ends.tolist()
    cv2.line(frame, start, end, colour, thickness, cv2.LINE_AA)
    if thickness > 3:
        cv2.line(frame, start, end, scaled(colour, 1.3), thickness // 3, cv2.LINE_AA)


def _add_disc(rng: np.random.Generator, frame: Image) -> None:
    """A cup, coin, lamp or wheel, perhaps with a rim."""
    height, width = frame.shape[:2]
    centre = np.round(rng.random(2) * (width, height)).astype(int).tolist()
    axes = np.round(rng.uniform(0.02, 0.3, 2) * height).astype(int).tolist()
    angle = rng.uniform(0, 180)
    cv2.ellipse(frame, centre, axes, angle, 0, 360, any_colour(rng), -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        cv2.ellipse(frame, centre, axes, angle, 0, 360, dark(rng), int(rng.integers(1, 8)), cv2.LINE_AA)
