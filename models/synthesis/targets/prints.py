"""Printed paper: pages, forms with a grid, receipts, cards, labels and bank notes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, dark, light, scaled, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, filled, shaded
from stn_rectify.models.synthesis.drawing.lettering import (
    bar_code,
    matrix_code,
    paragraph,
    text_block,
    text_line,
    word_bars,
)
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.runtime.arrays import Image


def draw_page(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A page of text in one or two columns, perhaps with a heading, ruled lines or a picture."""
    image, ink = filled(width, height, light(rng)), dark(rng)
    margin = rng.uniform(0.04, 0.14) * min(width, height)
    top = margin
    if rng.random() < 0.6:
        heading = (margin, top, width * rng.uniform(0.3, 0.8), height * rng.uniform(0.03, 0.09))
        text_line(rng, image, heading, ink if rng.random() < 0.7 else vivid(rng))
        top += height * 0.13
    line_height = rng.uniform(0.025, 0.06) * height
    if rng.random() < 0.15:
        _rule_lines(rng, image, top, line_height)
    columns = 1 if rng.random() < 0.7 else 2
    readable = rng.random() < 0.4
    column_width = (width - 2 * margin) / columns
    bottom = height - margin * rng.uniform(1, 5)
    for column in range(columns):
        box = (margin + column * column_width, top, column_width * (0.96 if columns > 1 else 1), bottom - top)
        paragraph(rng, image, box, ink, line_height, readable)
    if rng.random() < 0.3:
        _insert_picture(rng, image, pictures)
    if rng.random() < 0.2:
        _print_frame(rng, image, ink)
    return image


def draw_form(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A table or calendar, open at its sides, set in from the paper's edge; a closed one is a target of its own."""
    image, ink = filled(width, height, light(rng)), dark(rng)
    left, right = width * rng.uniform(0.02, 0.16), width * (1 - rng.uniform(0.02, 0.16))
    top, bottom = height * rng.uniform(0.03, 0.28), height * (1 - rng.uniform(0.02, 0.2))
    columns, rows = int(rng.integers(2, 12)), int(rng.integers(2, 14))
    for column in range(1, columns):
        x = int(left + (right - left) * column / columns)
        cv2.line(image, (x, int(top)), (x, int(bottom)), ink, 2 if column % 3 == 0 else 1)
    for row in range(rows + 1):
        y = int(top + (bottom - top) * row / rows)
        cv2.line(image, (int(left), y), (int(right), y), ink, 2 if row % 3 == 0 else 1)
    cell_width, cell_height = (right - left) / columns, (bottom - top) / rows
    fill = rng.uniform(0.2, 0.9)
    for cell in np.flatnonzero(rng.random(columns * rows) < fill):
        x, y = left + (cell % columns) * cell_width, top + (cell // columns) * cell_height
        text_line(
            rng,
            image,
            (x + cell_width * 0.2, y + cell_height * 0.25, cell_width * 0.6, cell_height * 0.5),
            ink,
        )
    if rng.random() < 0.5:
        text_line(rng, image, (left, top * 0.3, width * 0.5, top * 0.4), ink)
    return image


def draw_grid(rng: np.random.Generator, width: int, height: int, margins: tuple[float, float, float, float]) -> Image:
    """A puzzle or chart in a closed frame, and the scrap of paper it is printed on, with text around it.

    Args:
        rng: the texture's random numbers.
        width: width of the frame, pixels, outer edge to outer edge.
        height: height of the frame, the same way.
        margins: paper beyond the frame's left, top, right and bottom edge, in half sides of the frame.

    Returns:
        uint8 [H, W, 3], frame and paper.
    """
    left, right = (round(margins[side] * width / 2) for side in (0, 2))
    top, bottom = (round(margins[side] * height / 2) for side in (1, 3))
    ground, ink = light(rng), dark(rng)
    image = filled(width + left + right, height + top + bottom, ground)
    text_block(rng, image, ink, int(rng.integers(0, 30)))
    for _ in range(int(rng.integers(0, 5))):  # what stood beside it
        x, y = rng.uniform(-0.1, 0.9) * image.shape[1], rng.uniform(-0.1, 0.9) * image.shape[0]
        end = (int(x + rng.uniform(0.05, 0.4) * image.shape[1]), int(y + rng.uniform(0.03, 0.15) * image.shape[0]))
        cv2.rectangle(image, (int(x), int(y)), end, ink, int(rng.choice([-1, 1, 2])))
    if rng.random() < 0.4 and top > 12:
        bar = (left, max(0, top - int(rng.integers(8, 24)))), (left + int(width * rng.uniform(0.2, 1)), top - 2)
        cv2.rectangle(image, *bar, ink, -1)
    frame = image[top : top + height, left : left + width]
    frame[:] = light(rng) if rng.random() < 0.2 else ground
    columns, rows = int(rng.integers(3, 13)), int(rng.integers(3, 13))
    group, thin, thick = int(rng.integers(2, 5)), int(rng.integers(1, 3)), int(rng.integers(1, 5))
    if rng.random() < 0.5:
        columns, rows, group = 9, 9, 3
    border = thick if rng.random() < 0.5 else int(rng.integers(1, 7))
    paper = np.array(cv2.mean(frame)[:3])
    strength = rng.uniform(0.3, 1) if rng.random() < 0.6 else 1.0
    blue, green, red = (paper + strength * (np.array(ink) - paper)).tolist()
    rule = (blue, green, red)  # a fine line is a faint one in a camera's frame
    for column in range(1, columns):
        x = round(width * column / columns)
        cv2.line(frame, (x, 0), (x, height), rule, thick if column % group == 0 else thin)
    for row in range(1, rows):
        y = round(height * row / rows)
        cv2.line(frame, (0, y), (width, y), rule, thick if row % group == 0 else thin)
    for cell in np.flatnonzero(rng.random(columns * rows) < rng.uniform(0.1, 0.6)):
        x, y = (cell % columns + 0.3) * width / columns, (cell // columns + 0.2) * height / rows
        text_line(rng, frame, (x, y, 0.5 * width / columns, 0.6 * height / rows), ink, 1)
    cv2.rectangle(frame, (0, 0), (width - 1, height - 1), rule, 2 * border - 1)
    return image


def draw_receipt(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A narrow strip with a shop's name, items with prices and perhaps a bar code."""
    image, ink = filled(width, height, light(rng)), dark(rng)
    margin = rng.uniform(0.04, 0.12) * width
    text_line(rng, image, (width * rng.uniform(0.05, 0.3), height * 0.03, width * 0.6, width * 0.17), ink)
    y, line_height = width * 0.35, width * rng.uniform(0.06, 0.12)
    while y < height - 2 * line_height:
        if rng.random() < 0.1:
            cv2.line(image, (int(margin), int(y)), (int(width - margin), int(y)), ink)
        else:
            word_bars(rng, image, (margin, y, width * rng.uniform(0.2, 0.55), line_height * 0.5), ink)
            word_bars(rng, image, (width * 0.75, y, width * 0.18, line_height * 0.5), ink)
        y += line_height
    if rng.random() < 0.4:
        bar_code(rng, image, (width * 0.1, height - width * 0.35, width * 0.8, width * 0.22), ink)
    return image


def draw_card(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """An identity, bank or business card: coloured ground, portrait, band, chip, lines of text."""
    image = shaded(rng, filled(width, height, any_colour(rng) if rng.random() < 0.6 else light(rng)), 25)
    ink = contrasting(rng, image)
    if rng.random() < 0.4:
        top = int(height * rng.uniform(0, 0.6))
        cv2.rectangle(image, (0, top), (width, top + int(height * rng.uniform(0.1, 0.3))), any_colour(rng), -1)
    if rng.random() < 0.5:
        _insert_picture(rng, image, pictures)
    text_block(rng, image, ink, int(rng.integers(1, 7)))
    if rng.random() < 0.3:
        chip = (int(width * 0.1), int(height * 0.35)), (int(width * 0.22), int(height * 0.52))
        cv2.rectangle(image, *chip, (60, 170, 210), -1)
    return image


def draw_label(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A parcel, shelf or product label with a bar code or matrix code."""
    paper = light(rng) if rng.random() < 0.7 else any_colour(rng)
    image = filled(width, height, paper)
    ink = contrasting(rng, image)
    if rng.random() < 0.4:
        cv2.rectangle(image, (0, 0), (width, int(height * rng.uniform(0.1, 0.3))), any_colour(rng), -1)
    text_block(rng, image, ink, int(rng.integers(1, 6)))
    if rng.random() < 0.55:
        x, y = width * rng.uniform(0.04, 0.2), height * rng.uniform(0.1, 0.5)
        bar_code(rng, image, (x, y, width * rng.uniform(0.4, 0.75), height * rng.uniform(0.2, 0.4)), ink)
    else:
        side = min(width, height) * rng.uniform(0.35, 0.7)
        corner = (rng.uniform(0.05, 0.9) * (width - side), rng.uniform(0.05, 0.9) * (height - side))
        matrix_code(rng, image, corner, side, ink)
    if rng.random() < 0.3:
        _print_frame(rng, image, ink)
    return image


def draw_note(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A bank note, ticket or stamp: fine mottled ground, ellipses, a portrait and a printed frame."""
    ground = scaled(any_colour(rng), 0.5)
    paper: Colour = (ground[0] + 90, ground[1] + 90, ground[2] + 90)
    image = shaded(rng, filled(width, height, paper), 20)
    ink = scaled(paper, 0.4)
    for _ in range(int(rng.integers(3, 9))):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(0.04, 0.25) * width), int(rng.uniform(0.1, 0.5) * height))
        tone = scaled(paper, rng.uniform(0.5, 1.2))
        cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, tone, int(rng.choice([1, 2, -1])), cv2.LINE_AA)
    if rng.random() < 0.6:
        _insert_picture(rng, image, pictures)
    if rng.random() < 0.7:
        _print_frame(rng, image, ink)
    text_block(rng, image, ink, int(rng.integers(2, 6)))
    return image


def _insert_picture(rng: np.random.Generator, image: Image, pictures: Sequence[Image]) -> None:
    height, width = image.shape[:2]
    part_width, part_height = int(width * rng.uniform(0.2, 0.6)), int(height * rng.uniform(0.15, 0.5))
    x, y = int(rng.integers(width - part_width)), int(rng.integers(height - part_height))
    part = picture_crop(rng, pictures, max(4, part_width), max(4, part_height))
    image[y : y + part.shape[0], x : x + part.shape[1]] = part


def _print_frame(rng: np.random.Generator, image: Image, ink: Colour) -> None:
    """A printed border close to the edge: it must not be taken for the edge of the paper, as that of a grid is."""
    height, width = image.shape[:2]
    inset = int(min(width, height) * rng.uniform(0.02, 0.05))
    corner = (width - 1 - inset, height - 1 - inset)
    cv2.rectangle(image, (inset, inset), corner, ink, int(rng.integers(1, 6)))


def _rule_lines(rng: np.random.Generator, image: Image, top: float, spacing: float) -> None:
    colour = any_colour(rng)
    for y in np.arange(top, image.shape[0], spacing):
        cv2.line(image, (0, int(y)), (image.shape[1], int(y)), colour)
