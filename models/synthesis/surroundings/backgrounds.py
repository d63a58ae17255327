"""The background behind everything: photographs, coloured surfaces, plain gradients, or two of these."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, dark, light, muted
from stn_rectify.models.synthesis.drawing.images import blended, filled, shaded
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.material.bank import Bank
from stn_rectify.runtime.arrays import Image


def draw_background(rng: np.random.Generator, bank: Bank, frame_size: tuple[int, int]) -> Image:
    """One background, uint8 [H, W, 3]; a fifth have an edge, as where a table ends."""
    background = _draw_plain(rng, bank, frame_size)
    if rng.random() < 0.2:
        return _divided(rng, background, _draw_plain(rng, bank, frame_size))
    return background


def _draw_plain(rng: np.random.Generator, bank: Bank, frame_size: tuple[int, int]) -> Image:
    kind = rng.random()
    if bank.photographs and kind < 0.45:
        return _faded(rng, picture_crop(rng, bank.photographs, *frame_size))
    if kind < (0.5 if bank.photographs else 0.2):
        return _faded(rng, picture_crop(rng, bank.pictures, *frame_size))
    if kind < 0.78:
        return _coloured_surface(rng, bank, frame_size)
    colour = any_colour(rng) if rng.random() < 0.6 else (dark(rng) if rng.random() < 0.5 else light(rng))
    return shaded(rng, filled(*frame_size, colour), rng.uniform(0, 25))


def _faded(rng: np.random.Generator, picture: Image) -> Image:
    """Half of the pictures lose contrast."""
    if rng.random() < 0.5:
        return picture
    contrast = rng.uniform(0.25, 1.0)
    return np.asarray(cv2.convertScaleAbs(picture, alpha=contrast, beta=rng.uniform(0, 255 * (1 - contrast))), np.uint8)


def _coloured_surface(rng: np.random.Generator, bank: Bank, frame_size: tuple[int, int]) -> Image:
    """A surface turned and scaled at random, with its greys mapped between two colours."""
    surface = bank.surfaces[int(rng.integers(len(bank.surfaces)))]
    height, width = surface.shape
    # From frame to surface; mirrored at the edge where the frame reaches further than the surface.
    scale = rng.uniform(0.4, 1.2) * width / (1.5 * frame_size[0])
    turn = cv2.getRotationMatrix2D((frame_size[0] / 2, frame_size[1] / 2), rng.uniform(0, 360), scale)
    shift = np.array([width, height]) * rng.uniform(0.3, 0.7, 2) - np.array(frame_size) / 2
    turn = np.column_stack([turn[:, :2], turn[:, 2] + shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = cv2.warpAffine(surface, turn, frame_size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    start = np.array(any_colour(rng) if rng.random() < 0.6 else muted(rng))
    end = np.array(muted(rng))
    span = (end - start) * rng.uniform(0.1, 0.9)
    table = np.clip(start + np.linspace(0, 1, 256)[:, None] * span, 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, table[:, None, :]), np.uint8)


def _divided(rng: np.random.Generator, one: Image, other: Image) -> Image:
    """One background on each side of a straight edge across the frame."""
    height, width = one.shape[:2]
    angle = rng.normal(0, 0.3) + (np.pi / 2 if rng.random() < 0.3 else 0)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    middle = rng.uniform(0.1, 0.9, 2) * (width, height)
    far = 2.0 * max(width, height)
    side = np.array([middle - far * along, middle + far * along, middle + far * (along + across)])
    half_plane = np.concatenate([side, [middle + far * (across - along)]])
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [half_plane.astype(np.int32)], (255,), cv2.LINE_AA)
    return blended(one, other, mask)
