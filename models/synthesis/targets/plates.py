"""Number plates of any colours: one or two rows of heavy characters, a thin rim, bolts, a side band."""

from __future__ import annotations

import string
from collections.abc import Sequence

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, dark, light, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, blended, filled, shaded
from stn_rectify.models.synthesis.drawing.lettering import glyph, text_line
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.runtime.arrays import Image

_CHARACTERS = np.array(list(string.ascii_uppercase + string.digits))
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def draw_plate(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """One plate, uint8 [height, width, 3]."""
    ground, ink = _colours(rng)
    image = shaded(rng, filled(width, height, ground), 12)
    if rng.random() < 0.1:
        scenery = picture_crop(rng, pictures, width, height)
        image = np.asarray(cv2.addWeighted(image, 0.6, scenery, 0.4, 0), np.uint8)
    left = 0.0
    if rng.random() < 0.3:
        left = rng.uniform(0.06, 0.11)
        cv2.rectangle(image, (0, 0), (int(width * left), height), vivid(rng), -1)
    if rng.random() < 0.35:
        edge = 0.03 if rng.random() < 0.6 else 0.86
        text_line(rng, image, (width * rng.uniform(0.2, 0.4), height * edge, width * 0.4, height * 0.1), ink)
    rows = 2 if width / height < 1.9 else 1
    for row in range(rows):
        top, bottom = (0.13 + 0.78 * row / rows, 0.13 + 0.78 * (row + 1) / rows - 0.04)
        box = (width * (left + 0.05), height * top, width * (0.91 - left), height * (bottom - top))
        _write_characters(rng, image, box, ink)
    _finish_edge(rng, image, ink)
    return image


def _colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Ground and ink; the pairs most countries use first, then anything."""
    style = rng.random()
    if style < 0.34:
        return light(rng), dark(rng)
    if style < 0.46:
        return (rng.uniform(0, 90), rng.uniform(150, 230), rng.uniform(200, 255)), dark(rng)
    if style < 0.58:
        return dark(rng), light(rng)
    if style < 0.78:
        return (rng.uniform(110, 230), rng.uniform(30, 130), rng.uniform(0, 60)), light(rng)
    if style < 0.90:
        return vivid(rng), light(rng) if rng.random() < 0.5 else dark(rng)
    return light(rng), any_colour(rng)


def _write_characters(
    rng: np.random.Generator, image: Image, box: tuple[float, float, float, float], ink: Colour
) -> None:
    """Fills ``box`` with 3–8 characters, some of them glyphs of an unknown script, perhaps in two groups."""
    x, y, width, height = box
    count = int(rng.integers(4, 9)) if width > 3 * height else int(rng.integers(3, 6))
    gap_after = int(rng.integers(1, count)) if rng.random() < 0.6 else count
    pitch = width / (count + (0.5 if gap_after < count else 0.0))
    font, thickness = _FONTS[int(rng.integers(len(_FONTS)))], max(2, round(height * rng.uniform(0.09, 0.17)))
    fill = rng.uniform(0.65, 0.85)
    has_glyph = rng.random() < 0.3
    for place in range(count):
        if place == gap_after:
            x += pitch * 0.5
        cell = (x + pitch * (1 - fill) / 2, y, pitch * fill, height * 0.96)
        if place == 0 and has_glyph:
            glyph(rng, image, cell, ink, max(1, thickness // 2))
        else:
            _write_character(image, str(rng.choice(_CHARACTERS)), cell, font, thickness, ink)
        x += pitch


def _write_character(
    image: Image,
    character: str,
    cell: tuple[float, float, float, float],
    font: int,
    thickness: int,
    ink: Colour,
) -> None:
    """Draws one character stretched to its cell, as embossed plate letters are."""
    x, y, width, height = (int(value) for value in cell)
    (text_width, text_height), _ = cv2.getTextSize(character, font, 1, 1)
    scale = height / max(1, text_height)
    drawn = np.zeros((height + 2 * thickness, int(text_width * scale) + 2 * thickness), np.uint8)
    cv2.putText(drawn, character, (thickness, height + thickness), font, scale, (255,), thickness, cv2.LINE_AA)
    region = image[y : y + height, x : x + width]
    if region.size == 0:
        return
    stretched = cv2.resize(drawn, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_AREA)
    solid = filled(region.shape[1], region.shape[0], ink)
    region[:] = blended(solid, np.ascontiguousarray(region), np.asarray(stretched, np.uint8))


def _finish_edge(rng: np.random.Generator, image: Image, ink: Colour) -> None:
    """The rim, light or dark or in the ink's colour, and the bolts."""
    height, width = image.shape[:2]
    if rng.random() < 0.65:
        rim = ink if rng.random() < 0.7 else light(rng)
        inset = int(rng.integers(0, 4))
        corner = (width - 1 - inset, height - 1 - inset)
        cv2.rectangle(image, (inset, inset), corner, rim, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        row = height * (0.1 if rng.random() < 0.6 else 0.9)
        offset = rng.uniform(0.1, 0.3)
        bolt = dark(rng) if rng.random() < 0.5 else light(rng)
        for x in (width * offset, width * (1 - offset)):
            cv2.circle(image, (int(x), int(row)), int(height * 0.04) + 1, bolt, -1, cv2.LINE_AA)
