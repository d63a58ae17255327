"""Documents with readable words: pages, letters, invoices, forms, receipts."""

from __future__ import annotations

import numpy as np

from stn_rectify.models.synthesis.drawing.images import Colour
from stn_rectify.models.synthesis.drawing.lettering import bar_code
from stn_rectify.models.synthesis.targets.typeset.blocks import (
    any_alignment,
    blank_sheet,
    draw_column,
    draw_heading,
    draw_logo,
)
from stn_rectify.models.synthesis.targets.typeset.typesetting import Box, Canvas, Prints
from stn_rectify.runtime.arrays import Image


def draw_typeset_page(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A page of a book, report or newspaper: heading, paragraphs in columns, pictures, page number."""
    canvas, setter, ink = blank_sheet(rng, prints.faces, width, height)
    margin = rng.uniform(0.05, 0.13) * min(width, height)
    top, bottom = margin * rng.uniform(0.6, 1.3), height - margin * rng.uniform(0.8, 1.6)
    size = round(rng.uniform(0.008, 0.036) * max(width, height) + 2)
    if rng.random() < 0.25:
        running = size * 0.8
        canvas.write(margin, top * 0.4, setter.text(24), setter.face, running, ink)
        canvas.write(width - margin, top * 0.4, setter.number(), setter.face, running, ink, "ra")
    if rng.random() < 0.75:
        top = draw_heading(rng, canvas, setter, (margin, top, width - 2 * margin, height * 0.25), size, ink)
    columns = int(rng.choice([1, 1, 1, 2, 2, 3])) if width > 200 else 1
    gap = size * 1.5
    column_width = (width - 2 * margin - gap * (columns - 1)) / columns
    ends = height * rng.uniform(0.3, 0.95) if rng.random() < 0.3 else bottom  # a page that is not full
    align = any_alignment(rng)
    leading = size * rng.uniform(1.15, 1.7)
    for column in range(columns):
        box = (margin + column * (column_width + gap), top, column_width, min(ends, bottom) - top)
        draw_column(rng, canvas, setter, box, size, leading, ink, align, prints.pictures)
    if rng.random() < 0.6:
        anchor, x = [("ma", width / 2), ("ra", width - margin), ("la", margin)][int(rng.choice([0, 0, 1, 2]))]
        number = str(int(rng.integers(1, 400)))
        canvas.write(x, (height + bottom) / 2 - size * 0.5, number, setter.face, size * 0.9, ink, anchor)
    return canvas.image


def draw_letter(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A business letter: logo or name, address, date, subject, paragraphs, a signature, small print at the foot."""
    canvas, setter, ink = blank_sheet(rng, prints.faces, width, height)
    margin, size = rng.uniform(0.07, 0.12) * width, round(rng.uniform(0.016, 0.028) * height + 2)
    leading, right = size * rng.uniform(1.2, 1.5), width - margin
    draw_logo(rng, canvas, setter, (margin, height * 0.03, width - 2 * margin, height * rng.uniform(0.05, 0.1)))
    y = height * rng.uniform(0.13, 0.2)
    for _ in range(int(rng.integers(2, 5))):
        canvas.write(margin, y, setter.text(int(rng.integers(8, 22))), setter.face, size, ink)
        y += leading
    canvas.write(right, y, setter.number(), setter.face, size, ink, "ra")
    y += 2 * leading
    canvas.write(margin, y, setter.text(int(rng.integers(12, 32))), setter.heavy, size, ink)
    y += 2 * leading
    foot = height * rng.uniform(0.6, 0.85)
    box = (margin, y, right - margin, foot - y)
    y = draw_column(
        rng, canvas, setter, box, size, leading, ink, "l" if rng.random() < 0.7 else "j", prints.pictures, plain=True
    )
    canvas.write(margin, y + leading, setter.text(16), setter.face, size, ink)
    _signature(rng, canvas, (margin, y + 2 * leading, width * 0.25, 2 * leading), ink)
    if rng.random() < 0.6:
        line = height - margin
        canvas.draw.line((margin, line - size * 0.4, right, line - size * 0.4), fill=(120, 120, 120))
        for place in range(int(rng.integers(1, 4))):
            canvas.write(margin + place * (right - margin) / 3, line, setter.text(14), setter.face, size * 0.7, ink)
    return canvas.image


def draw_invoice(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """An invoice or delivery note: name, addresses, a table with amounts to the right, the sum below."""
    canvas, setter, ink = blank_sheet(rng, prints.faces, width, height)
    margin, size = 0.07 * width, round(rng.uniform(0.015, 0.03) * max(width, height) + 2)
    leading, right = size * rng.uniform(1.3, 2.0), width - margin
    y = height * 0.04
    canvas.write(margin, y, setter.text(14), setter.heavy, size * rng.uniform(1.5, 2.6), ink)
    if rng.random() < 0.5:
        draw_logo(rng, canvas, setter, (width * 0.6, y, width * 0.33, height * 0.08))
    y = height * rng.uniform(0.14, 0.24)
    for _ in range(int(rng.integers(1, 4))):
        canvas.write(margin, y, setter.text(18), setter.face, size, ink)
        canvas.write(width * 0.6, y, setter.text(9), setter.face, size, ink)
        canvas.write(right, y, setter.number(), setter.face, size, ink, "ra")
        y += leading
    y += leading
    rows = int(min(rng.integers(2, 16), (height * 0.86 - y) / leading))
    grey = (215, 215, 215) if rng.random() < 0.5 else (60, 60, 90)
    canvas.draw.rectangle((margin * 0.8, y - size * 0.3, right + margin * 0.2, y + size * 1.2), fill=grey)
    heading = (250.0,) * 3 if grey[0] < 128 else ink
    columns = [0.0, 0.55, 0.75]
    ruled = rng.random() < 0.6
    for row in range(rows + 1):
        face, colour = (setter.heavy, heading) if row == 0 else (setter.face, ink)
        canvas.write(margin, y, setter.text(int(rng.integers(6, 20))), face, size, colour)
        for place in columns[1:]:
            text = setter.text(7) if row == 0 else setter.number()
            canvas.write(margin + place * (right - margin), y, text, face, size, colour, "ra")
        canvas.write(right, y, setter.text(6) if row == 0 else setter.number(), face, size, colour, "ra")
        y += leading
        if ruled:
            canvas.draw.line((margin, y - size * 0.25, right, y - size * 0.25), fill=(150, 150, 150))
    canvas.write(width * 0.55, y, setter.text(8), setter.heavy, size * 1.1, ink)
    canvas.write(right, y, setter.number(), setter.heavy, size * 1.1, ink, "ra")
    if rng.random() < 0.5:
        box = (margin, y + 2 * leading, right - margin, height * 0.96 - y - 2 * leading)
        canvas.paragraph(setter, box, max(4, round(size * 0.8)), size, ink)
    return canvas.image


def draw_typeset_form(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A form: a title, words before or above lines and boxes, boxes to tick; some are filled in."""
    canvas, setter, ink = blank_sheet(rng, prints.faces, width, height)
    margin, size = 0.06 * width, round(rng.uniform(0.018, 0.035) * max(width, height) + 2)
    right, leading = width - margin, size * rng.uniform(1.8, 3.2)
    y = draw_heading(rng, canvas, setter, (margin, height * 0.04, right - margin, height * 0.15), size, ink)
    above, boxed = rng.random() < 0.5, rng.random() < 0.5
    pen = (120.0, 40.0, 20.0) if rng.random() < 0.6 else ink
    line_colour = (110, 110, 110)
    while y + leading * 1.3 < height * 0.97:
        style = rng.random()
        columns = int(rng.integers(1, 3))
        step = (right - margin) / columns
        for column in range(columns):
            x, end = margin + column * step, margin + (column + 1) * step - size
            label = setter.text(int(rng.integers(5, 16)))
            if style < 0.25:
                canvas.draw.rectangle((x, y, x + size, y + size), outline=line_colour)
                if rng.random() < 0.4:
                    canvas.draw.line((x, y, x + size, y + size), fill=(30, 30, 90), width=2)
                    canvas.draw.line((x, y + size, x + size, y), fill=(30, 30, 90), width=2)
                canvas.write(x + size * 1.5, y, label, setter.face, size, ink)
                continue
            if above:
                canvas.write(x, y, label, setter.face, size * 0.75, ink)
                field = (x, y + size * 0.9, end, y + size * 2.1)
            else:
                used = canvas.write(x, y, label, setter.face, size, ink)
                field = (min(end - size, x + used + size * 0.4), y, end, y + size * 1.15)
            if boxed:
                canvas.draw.rectangle(field, outline=line_colour)
            else:
                canvas.draw.line((field[0], field[3], field[2], field[3]), fill=line_colour)
            if rng.random() < 0.4:
                room = max(1, int((field[2] - field[0]) / (size * 0.6)))
                canvas.write(field[0] + 2, field[1], setter.text(room)[:room], setter.face, size, pen)
        y += leading if not (above and style >= 0.25) else max(leading, size * 2.6)
    return canvas.image


def draw_typeset_receipt(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A receipt, mostly in capitals: a name in the middle, items to the left or beside the prices, the sum, thanks."""
    canvas, setter, ink = blank_sheet(rng, prints.faces, width, height, capitals=0.6)
    margin, size = 0.06 * width, round(rng.uniform(0.05, 0.085) * width + 2)
    leading, right, y = size * rng.uniform(1.1, 1.5), width * 0.94, height * 0.03
    canvas.write(width / 2, y, setter.text(10), setter.heavy, size * rng.uniform(1.3, 2.0), ink, "ma")
    y += size * 2.4
    for _ in range(int(rng.integers(1, 4))):
        canvas.write(width / 2, y, setter.text(20), setter.face, size * 0.9, ink, "ma")
        y += leading
    y += leading * 0.5
    end = height * rng.uniform(0.55, 0.88)
    item, anchor = (margin, "la") if rng.random() < 0.6 else (right - 4.5 * size, "ra")
    while y < end - 2 * leading:
        canvas.write(item, y, setter.text(int(rng.integers(5, 16))), setter.face, size, ink, anchor)
        canvas.write(right, y, setter.number(), setter.face, size, ink, "ra")
        y += leading
    canvas.draw.line((margin, y + 1, right, y + 1), fill=(60, 60, 60))
    canvas.write(margin, y + 3, setter.text(6), setter.heavy, size * 1.3, ink)
    canvas.write(right, y + 3, setter.number(), setter.heavy, size * 1.3, ink, "ra")
    y += leading * 2
    if rng.random() < 0.5:
        canvas.write(width / 2, y, setter.text(18), setter.face, size, ink, "ma")
        y += leading
    image = canvas.image
    if rng.random() < 0.5 and y < height * 0.9:
        bar_code(rng, image, (width * 0.15, y + 2, width * 0.7, height * 0.96 - y), ink)
    return image


def _signature(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour) -> None:
    x, y, width, height = box
    steps = np.linspace(0, 1, 24)
    waves = np.sin(steps * rng.uniform(15, 40) + rng.uniform(0, 6)) * rng.uniform(0.15, 0.45) * (1 - 0.6 * steps)
    points = [(x + width * s, y + height * (0.5 + w)) for s, w in zip(steps, waves, strict=True)]
    canvas.draw.line(points, fill=(30, 30, 110), width=max(1, int(height / 14)))
