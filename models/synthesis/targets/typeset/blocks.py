"""Blocks of print that several targets share: paper and ink, headings, columns, pictures, a logo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, light, muted, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, filled
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.targets.typeset.faces import Faces
from stn_rectify.models.synthesis.targets.typeset.typesetting import Box, Canvas, Typesetter
from stn_rectify.runtime.arrays import Image


def blank_sheet(
    rng: np.random.Generator, faces: Faces, width: int, height: int, capitals: float = 0.15
) -> tuple[Canvas, Typesetter, Colour]:
    """Paper, who writes on it, in one of the faces and in capitals alone with this probability, and ink."""
    paper = light(rng) if rng.random() < 0.9 else any_colour(rng)
    image = filled(width, height, paper)
    setter = Typesetter(rng, faces, capitals)
    return Canvas(image), setter, contrasting(rng, image) if rng.random() < 0.9 else muted(rng)


def any_alignment(rng: np.random.Generator) -> str:
    """Of a paragraph, as of `Canvas.paragraph`: mostly justified or ragged right, seldom centred or ragged left."""
    return str(rng.choice(["l", "j", "m", "r"], p=[0.4, 0.4, 0.1, 0.1]))


def any_side(rng: np.random.Generator) -> str:
    return str(rng.choice(["l", "l", "m", "m", "r"], p=[0.3, 0.25, 0.2, 0.2, 0.05]))


def draw_heading(
    rng: np.random.Generator, canvas: Canvas, setter: Typesetter, box: Box, size: int, ink: Colour
) -> float:
    """A title of one or two lines, perhaps with a line below; gives y below it."""
    x, y, width, _ = box
    larger = size * rng.uniform(1.4, 3.4)
    align = any_side(rng)
    colour = ink if rng.random() < 0.8 else vivid(rng)
    for _ in range(1 if rng.random() < 0.7 else 2):
        room = max(4, int(width / (larger * 0.6)))
        text = setter.text(int(rng.integers(4, room + 4)))
        canvas.fit((x, y, width, larger * 1.3), text, setter.heavy, colour, align)
        y += larger * 1.35
    if rng.random() < 0.3:
        canvas.fit((x, y, width * 0.7, size * 1.3), setter.text(20), setter.face, ink, "l" if align == "l" else "m")
        y += size * 1.6
    return y + size * rng.uniform(0.3, 1.5)


def draw_column(
    rng: np.random.Generator,
    canvas: Canvas,
    setter: Typesetter,
    box: Box,
    size: int,
    leading: float,
    ink: Colour,
    align: str,
    pictures: Sequence[Image],
    plain: bool = False,
) -> float:
    """Paragraphs, and unless it is ``plain`` lists, headings, code and pictures among them; gives y below them."""
    x, y, width, height = box
    end = y + height
    gap, indent = (leading * 0.6, 0.0) if rng.random() < 0.5 else (0.0, size * 1.5)
    while y + leading < end:
        style = rng.random() if not plain else 1.0
        lines = int(rng.integers(2, 11))
        room = min(end - y, lines * leading)
        if style < 0.1:
            canvas.write(x, y, setter.text(int(width / (size * 0.7))), setter.heavy, size * 1.15, ink)
            y += leading * 1.4
        elif style < 0.2:
            for _ in range(lines // 2):
                if y + leading > end:
                    break
                canvas.draw.ellipse((x, y + size * 0.4, x + size * 0.35, y + size * 0.75), fill=(40, 40, 40))
                y = canvas.paragraph(setter, (x + size, y, width - size, 2 * leading), size, leading, ink)
        elif style < 0.28 and end - y > 6 * leading:
            _picture(rng, canvas, (x, y, width, min(end - y, rng.uniform(4, 12) * leading)), pictures)
            y += leading * 0.3 + min(end - y, 8 * leading)
            canvas.write(x, y, setter.text(int(width / size)), setter.face, size * 0.8, ink)
            y += leading * 1.3
        else:
            y = canvas.paragraph(setter, (x, y, width, room), size, leading, ink, align, indent)
            y += gap
    return y


def _picture(rng: np.random.Generator, canvas: Canvas, box: Box, pictures: Sequence[Image]) -> None:
    x, y, width, height = (max(4, int(value)) for value in box)
    part = picture_crop(rng, pictures, width, height)
    canvas.paste(part, x, y)


def draw_logo(rng: np.random.Generator, canvas: Canvas, setter: Typesetter, box: Box) -> None:
    """A mark and a name, at either side or in the middle."""
    x, y, width, height = box
    align = any_side(rng)
    colour = vivid(rng)
    across = width * rng.uniform(0.25, 0.5)
    start = {"l": x, "m": x + (width - across) / 2, "r": x + width - across}[align]
    mark = (start, y, start + height, y + height)
    fill = (int(colour[2]), int(colour[1]), int(colour[0]))
    if rng.random() < 0.5:
        canvas.draw.ellipse(mark, fill=fill)
    else:
        canvas.draw.rectangle(mark, fill=fill)
    box = (start + height * 1.2, y, max(8.0, across - height * 1.2), height)
    canvas.fit(box, setter.text(9), setter.heavy, colour)
