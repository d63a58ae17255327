"""Number plates whose characters are those of TrueType faces."""

from __future__ import annotations

import string

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from stn_rectify.models.synthesis.drawing.colours import dark, light, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, blended, filled, shaded
from stn_rectify.models.synthesis.targets.typeset.faces import font
from stn_rectify.models.synthesis.targets.typeset.typesetting import Box, Canvas, Prints, Typesetter
from stn_rectify.runtime.arrays import Image

_CHARACTERS = np.array(list(string.ascii_uppercase + 2 * string.digits))


def draw_typeset_plate(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A number plate whose characters are those of a TrueType face, each stretched to its cell."""
    style = rng.random()
    if style < 0.5:
        ground, ink = light(rng), dark(rng)
    elif style < 0.65:
        ground, ink = (rng.uniform(0, 90), rng.uniform(150, 230), rng.uniform(200, 255)), dark(rng)
    elif style < 0.85:
        ground, ink = dark(rng), light(rng)
    else:
        ground, ink = vivid(rng), light(rng)
    plate = shaded(rng, filled(width, height, ground), 10)
    left, right = 0.04 * width, 0.96 * width
    if rng.random() < 0.45:
        left = width * rng.uniform(0.07, 0.13)
        cv2.rectangle(plate, (0, 0), (int(left * 0.9), height), (rng.uniform(100, 200), rng.uniform(30, 90), 10), -1)
        plate = _band(rng, plate, (0.0, 0.0, left * 0.9, float(height)))
        left += width * 0.015
        if rng.random() < 0.2:
            right = width - left
            cv2.rectangle(plate, (int(right), 0), (width, height), (150, 60, 10), -1)
    rows = 2 if width / height < 2.0 else 1
    top, bottom = height * rng.uniform(0.08, 0.2), height * rng.uniform(0.82, 0.93)
    if rows == 1 and rng.random() < 0.25:  # a name above or below, in small letters
        canvas, setter = Canvas(plate), Typesetter(rng, prints.faces)
        edge = height * (0.02 if rng.random() < 0.6 else 0.83)
        canvas.fit((left, edge, right - left, height * 0.15), setter.text(14), setter.face, ink, "m")
        plate = canvas.image
        top, bottom = (height * 0.2, bottom) if edge < height / 2 else (top, height * 0.82)
    step = (bottom - top) / rows
    face = prints.faces.plates[int(rng.integers(len(prints.faces.plates)))]
    for row in range(rows):
        _characters(rng, plate, (left, top + row * step, right - left, step * (1 if rows == 1 else 0.9)), face, ink)
    if rng.random() < 0.7:
        inset = int(rng.integers(0, 5))
        rim = ink if rng.random() < 0.7 else light(rng)
        cv2.rectangle(plate, (inset, inset), (width - 1 - inset, height - 1 - inset), rim, int(rng.integers(1, 6)))
    return plate


def _characters(rng: np.random.Generator, image: Image, box: Box, face: str, ink: Colour) -> None:
    """Letters, then digits, or anything, each stretched to its cell, in one to three groups."""
    x, y, width, height = box
    count = int(rng.integers(4, 9)) if width > 2.6 * height else int(rng.integers(2, 6))
    characters = list(rng.choice(_CHARACTERS, count))
    if rng.random() < 0.4:  # letters, then digits
        split = int(rng.integers(1, count))
        letters, digits = list(string.ascii_uppercase), list(string.digits)
        characters = [*rng.choice(letters, split), *rng.choice(digits, count - split)]
    gaps = set(rng.choice(np.arange(1, count), min(count - 1, int(rng.integers(0, 3))), replace=False).tolist())
    pitch = width / (count + 0.5 * len(gaps))
    fill = rng.uniform(0.7, 0.95)
    for place, character in enumerate(characters):
        x += pitch * 0.5 * (place in gaps)
        across = pitch * fill * (0.45 if character in "I1" else 1.0)
        _stretched(image, str(character), (x + (pitch - across) / 2, y, across, height), face, ink)
        x += pitch
        if place + 1 in gaps and rng.random() < 0.3:
            centre = (int(x + pitch * 0.25), int(y + height / 2))
            cv2.circle(image, centre, max(1, int(height * 0.06)), ink, -1, cv2.LINE_AA)


def _stretched(image: Image, character: str, cell: Box, face: str, ink: Colour) -> None:
    x, y, width, height = (max(1, round(value)) for value in cell)
    drawn = PillowImage.new("L", (140, 140))
    ImageDraw.Draw(drawn).text((20, 10), character, 255, font(face, 96))
    bounds = drawn.getbbox()
    region = image[y : y + height, x : x + width]
    if bounds is None or region.size == 0:
        return
    alpha = np.asarray(drawn.crop(bounds), np.uint8)
    alpha = np.asarray(cv2.resize(alpha, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_AREA), np.uint8)
    region[:] = blended(filled(region.shape[1], region.shape[0], ink), np.ascontiguousarray(region), alpha)


def _band(rng: np.random.Generator, image: Image, box: Box) -> Image:
    """The picture with a ring of stars and, below it, a country's letters in the band beside a plate's characters."""
    x, y, width, height = box
    canvas = Canvas(image)
    centre, reach = (x + width / 2, y + height * 0.3), width * 0.3
    for angle in np.arange(0, 2 * np.pi, np.pi / 6):
        a, b = centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)
        canvas.draw.ellipse((a - 1.5, b - 1.5, a + 1.5, b + 1.5), fill=(250, 220, 30))
    letters = "".join(rng.choice(list(string.ascii_uppercase), int(rng.integers(1, 4))))
    below = (x + width * 0.15, y + height * 0.6, width * 0.7, height * 0.3)
    canvas.fit(below, letters, "DejaVuSans-Bold.ttf", (250, 250, 250), "m")
    return canvas.image
