"""Prints with readable words: pages, letters, invoices, forms, receipts, labels, cards, signs, covers, plates."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, dark, light, muted, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, blended, filled, shaded
from stn_rectify.models.synthesis.drawing.lettering import bar_code, matrix_code
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.typeset.typesetting import PLATE_FACES, Box, Canvas, Typesetter, font
from stn_rectify.runtime.arrays import Image

_LONG_SIDE = 480
_SHORT_SIDE_MIN = 90
_CHARACTERS = np.array(list(string.ascii_uppercase + 2 * string.digits))

_Draw = Callable[[np.random.Generator, int, int, Sequence[Image]], Image]


def draw_typeset_target(rng: np.random.Generator, pictures: Sequence[Image], kind: str | None = None) -> TargetTexture:
    """Draws one target with words on it.

    Args:
        rng: the texture's random numbers.
        pictures: what may be printed on it, uint8 [h, w, 3] BGR each.
        kind: what it is, see `stn_rectify.models.synthesis.TARGET_KINDS`; any that has words when None.
    """
    recipes = [recipe for recipe in _RECIPES if kind is None or recipe.kind == kind]
    shares = np.array([recipe.share for recipe in recipes])
    recipe = recipes[int(rng.choice(len(recipes), p=shares / shares.sum()))]
    aspect = float(np.exp(rng.uniform(*np.log(recipe.aspects))))
    longer = max(1.0, aspect)
    width = max(_SHORT_SIDE_MIN, round(_LONG_SIDE * aspect / longer))
    height = max(_SHORT_SIDE_MIN, round(_LONG_SIDE / longer))
    image = recipe.draw(rng, width, height, pictures)
    if rng.random() < 0.4:
        image = shaded(rng, image, rng.uniform(2, 12))
    radius = rng.uniform(0.03, 0.1) if rng.random() < recipe.rounded else 0.0
    return TargetTexture(recipe.kind, image, aspect, float(radius), recipe.is_flexible)


def draw_typeset_page(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A page of a book, report or newspaper: heading, paragraphs in columns, pictures, page number."""
    canvas, setter, ink = _sheet(rng, width, height)
    margin = rng.uniform(0.05, 0.13) * min(width, height)
    top, bottom = margin * rng.uniform(0.6, 1.3), height - margin * rng.uniform(0.8, 1.6)
    size = round(rng.uniform(0.008, 0.036) * max(width, height) + 2)
    if rng.random() < 0.25:
        running = size * 0.8
        canvas.write(margin, top * 0.4, setter.text(24), setter.face, running, ink)
        canvas.write(width - margin, top * 0.4, setter.number(), setter.face, running, ink, "ra")
    if rng.random() < 0.75:
        top = _heading(rng, canvas, setter, (margin, top, width - 2 * margin, height * 0.25), size, ink)
    columns = int(rng.choice([1, 1, 1, 2, 2, 3])) if width > 200 else 1
    gap = size * 1.5
    column_width = (width - 2 * margin - gap * (columns - 1)) / columns
    ends = height * rng.uniform(0.3, 0.95) if rng.random() < 0.3 else bottom  # a page that is not full
    align = "j" if rng.random() < 0.5 else "l"
    leading = size * rng.uniform(1.15, 1.7)
    for column in range(columns):
        box = (margin + column * (column_width + gap), top, column_width, min(ends, bottom) - top)
        _column(rng, canvas, setter, box, size, leading, ink, align, pictures)
    if rng.random() < 0.6:
        anchor, x = [("ma", width / 2), ("ra", width - margin), ("la", margin)][int(rng.choice([0, 0, 1, 2]))]
        number = str(int(rng.integers(1, 400)))
        canvas.write(x, (height + bottom) / 2 - size * 0.5, number, setter.face, size * 0.9, ink, anchor)
    return canvas.image


def draw_letter(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A business letter: logo or name, address, date, subject, paragraphs, a signature, small print at the foot."""
    canvas, setter, ink = _sheet(rng, width, height)
    margin, size = rng.uniform(0.07, 0.12) * width, round(rng.uniform(0.016, 0.028) * height + 2)
    leading, right = size * rng.uniform(1.2, 1.5), width - margin
    _logo(rng, canvas, setter, (margin, height * 0.03, width - 2 * margin, height * rng.uniform(0.05, 0.1)))
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
    y = _column(rng, canvas, setter, box, size, leading, ink, "l" if rng.random() < 0.7 else "j", pictures, plain=True)
    canvas.write(margin, y + leading, setter.text(16), setter.face, size, ink)
    _signature(rng, canvas, (margin, y + 2 * leading, width * 0.25, 2 * leading), ink)
    if rng.random() < 0.6:
        line = height - margin
        canvas.draw.line((margin, line - size * 0.4, right, line - size * 0.4), fill=(120, 120, 120))
        for place in range(int(rng.integers(1, 4))):
            canvas.write(margin + place * (right - margin) / 3, line, setter.text(14), setter.face, size * 0.7, ink)
    return canvas.image


def draw_invoice(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """An invoice or delivery note: name, addresses, a table with amounts to the right, the sum below."""
    canvas, setter, ink = _sheet(rng, width, height)
    margin, size = 0.07 * width, round(rng.uniform(0.015, 0.03) * max(width, height) + 2)
    leading, right = size * rng.uniform(1.3, 2.0), width - margin
    y = height * 0.04
    canvas.write(margin, y, setter.text(14), setter.heavy, size * rng.uniform(1.5, 2.6), ink)
    if rng.random() < 0.5:
        _logo(rng, canvas, setter, (width * 0.6, y, width * 0.33, height * 0.08))
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


def draw_typeset_form(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A form: a title, words before or above lines and boxes, boxes to tick; some are filled in."""
    canvas, setter, ink = _sheet(rng, width, height)
    margin, size = 0.06 * width, round(rng.uniform(0.018, 0.035) * max(width, height) + 2)
    right, leading = width - margin, size * rng.uniform(1.8, 3.2)
    y = _heading(rng, canvas, setter, (margin, height * 0.04, right - margin, height * 0.15), size, ink)
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


def draw_typeset_receipt(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A receipt: a name in the middle, items to the left, prices to the right, the sum, thanks."""
    canvas, setter, ink = _sheet(rng, width, height)
    margin, size = 0.06 * width, round(rng.uniform(0.05, 0.085) * width + 2)
    leading, right, y = size * rng.uniform(1.1, 1.5), width * 0.94, height * 0.03
    canvas.write(width / 2, y, setter.text(10), setter.heavy, size * rng.uniform(1.3, 2.0), ink, "ma")
    y += size * 2.4
    for _ in range(int(rng.integers(1, 4))):
        canvas.write(width / 2, y, setter.text(20), setter.face, size * 0.9, ink, "ma")
        y += leading
    y += leading * 0.5
    end = height * rng.uniform(0.55, 0.88)
    while y < end - 2 * leading:
        canvas.write(margin, y, setter.text(int(rng.integers(5, 14))), setter.face, size, ink)
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


def draw_typeset_label(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A parcel, shelf or product label: a name, lines of text, a code with its digits below."""
    ground = light(rng) if rng.random() < 0.65 else any_colour(rng)
    image = shaded(rng, filled(width, height, ground), 6)
    ink = contrasting(rng, image)
    setter, margin = Typesetter(rng), 0.05 * min(width, height)
    band = rng.uniform(0.16, 0.36)
    if rng.random() < 0.3:
        part = picture_crop(rng, pictures, width, max(8, int(height * band)))
        image[: part.shape[0]] = part
    canvas = Canvas(image)
    title_ink = ink
    if rng.random() < 0.4:
        back = vivid(rng)
        canvas.draw.rectangle((0, 0, width, height * band), fill=(int(back[2]), int(back[1]), int(back[0])))
        title_ink = light(rng) if sum(back) < 380 else dark(rng)
    title = setter.text(int(rng.integers(4, 16)))
    box = (margin, margin * 0.6, width - 2 * margin, height * band - margin)
    canvas.fit(box, title.upper() if rng.random() < 0.3 else title, setter.heavy, title_ink, _side(rng))
    code = rng.random()
    bottom = height * (rng.uniform(0.55, 0.7) if code < 0.6 else 0.95)
    size = max(6, round(min(height * rng.uniform(0.05, 0.12), width * 0.09)))
    across = (width - 2 * margin) * (1.0 if rng.random() < 0.6 else rng.uniform(0.5, 0.8))
    y = height * band + margin
    _column(rng, canvas, setter, (margin, y, across, bottom - y), size, size * 1.25, ink, "l", pictures, plain=True)
    digits = "".join(rng.choice(list(string.digits), 12))
    if code < 0.6:
        code_height = height - bottom - margin
        digits_size = max(5.0, code_height * 0.22)
        left, across = width * rng.uniform(0.05, 0.3), width * rng.uniform(0.4, 0.65)
        canvas.write(left + across / 2, height - margin - digits_size, digits, setter.face, digits_size, ink, "ma")
        image = canvas.image
        if code < 0.45:
            bar_code(rng, image, (left, bottom, across, code_height - digits_size * 1.1), ink)
        else:
            matrix_code(rng, image, (left, bottom - code_height * 0.3), code_height, ink)
        return image
    return canvas.image


def draw_typeset_card(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """An identity, member's or business card: a head line, a portrait, names and numbers."""
    ground = light(rng) if rng.random() < 0.6 else any_colour(rng)
    image = shaded(rng, filled(width, height, ground), 18)
    ink, setter = contrasting(rng, image), Typesetter(rng)
    left = width * 0.06
    right = width * 0.94
    if rng.random() < 0.5:
        portrait_width, portrait_height = int(width * rng.uniform(0.2, 0.32)), int(height * rng.uniform(0.4, 0.6))
        x = int(left) if rng.random() < 0.7 else int(right - portrait_width)
        top = int(height * 0.28)
        image[top : top + portrait_height, x : x + portrait_width] = _portrait(rng, portrait_width, portrait_height)
        left, right = (x + portrait_width * 1.15, right) if x < width / 2 else (left, x - width * 0.04)
    canvas = Canvas(image)
    if rng.random() < 0.5:
        back = vivid(rng)
        canvas.draw.rectangle((0, 0, width, height * 0.2), fill=(int(back[2]), int(back[1]), int(back[0])))
    title = setter.text(int(rng.integers(8, 24)))
    canvas.fit((width * 0.06, height * 0.04, width * 0.88, height * 0.14), title, setter.heavy, ink, _side(rng))
    y, size = height * rng.uniform(0.26, 0.34), height * rng.uniform(0.06, 0.11)
    while y < height * 0.9:
        if rng.random() < 0.3:
            canvas.write(left, y, setter.text(10), setter.face, size * 0.6, ink)
            y += size * 0.75
        text = setter.number() if rng.random() < 0.25 else setter.text(int((right - left) / (size * 0.6)))
        canvas.write(left, y, text, setter.heavy if rng.random() < 0.3 else setter.face, size, ink)
        y += size * rng.uniform(1.2, 1.8)
    return canvas.image


def draw_typeset_sign(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A sign, notice or name plate: a few large words, perhaps an arrow or a disc."""
    image = shaded(rng, filled(width, height, any_colour(rng) if rng.random() < 0.7 else light(rng)), 8)
    ink, setter = contrasting(rng, image), Typesetter(rng)
    canvas, margin = Canvas(image), 0.07 * min(width, height)
    left, align = margin, _side(rng)
    if width > 1.5 * height and rng.random() < 0.4:
        x, y, reach = left + height * 0.35, height / 2, height * 0.25
        back = any_colour(rng)
        canvas.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(int(back[2]), int(back[1]), 40))
        left = x + reach * 1.4
    rows = int(rng.integers(1, 5)) if height > 0.4 * width else int(rng.integers(1, 3))
    step = (height - 2 * margin) / rows
    for row in range(rows):
        text = setter.text(int(rng.integers(3, 6 + int(10 * min(2.0, width / height)))))
        text = text.upper() if rng.random() < 0.4 else text
        share = rng.uniform(0.55, 1.0)
        box = (left, margin + row * step, width - left - margin, step * share)
        canvas.fit(box, text, setter.heavy if rng.random() < 0.7 else setter.face, ink, align)
    image = canvas.image
    if rng.random() < 0.4:
        inset = int(rng.integers(1, 8))
        cv2.rectangle(image, (inset, inset), (width - 1 - inset, height - 1 - inset), ink, int(rng.integers(1, 6)))
    return image


def draw_cover(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A book's cover, magazine or poster: a large title above, a picture or a plain ground, lines below."""
    if rng.random() < 0.6:
        image = picture_crop(rng, pictures, width, height)
    else:
        image = shaded(rng, filled(width, height, any_colour(rng)), 30)
    ink, setter, margin = contrasting(rng, image), Typesetter(rng), 0.06 * width
    if rng.random() < 0.3:
        ink = vivid(rng)
    canvas, align = Canvas(image), _side(rng)
    y = height * rng.uniform(0.03, 0.25)
    for _ in range(int(rng.integers(1, 4))):
        step = height * rng.uniform(0.06, 0.15)
        text = setter.text(int(rng.integers(4, 18)))
        text = text.upper() if rng.random() < 0.4 else text
        canvas.fit((margin, y, width - 2 * margin, step), text, setter.heavy, ink, align)
        y += step * 1.05
    if rng.random() < 0.7:
        box = (margin, height * rng.uniform(0.8, 0.92), width - 2 * margin, height * rng.uniform(0.03, 0.06))
        canvas.fit(box, setter.text(20), setter.face, ink, align)
    return canvas.image


def draw_screen(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A display: a bar at its top, text or a list or large digits, buttons at its foot, in a bezel."""
    dark_mode = rng.random() < 0.4
    image = filled(width, height, dark(rng) if dark_mode else light(rng))
    ink = light(rng) if dark_mode else dark(rng)
    canvas, setter, margin = Canvas(image), Typesetter(rng), 0.05 * width
    back = muted(rng) if rng.random() < 0.5 else vivid(rng)
    bar = height * rng.uniform(0.06, 0.14)
    canvas.draw.rectangle((0, 0, width, bar), fill=(int(back[2]), int(back[1]), int(back[0])))
    bar_ink = light(rng) if sum(back) < 380 else dark(rng)
    canvas.fit((margin, bar * 0.1, width * 0.6, bar * 0.8), setter.text(14), setter.heavy, bar_ink)
    if rng.random() < 0.3:
        face = PLATE_FACES[int(rng.integers(len(PLATE_FACES)))]
        canvas.fit((margin, height * 0.3, width - 2 * margin, height * 0.4), setter.number(), face, ink, _side(rng))
    else:
        size = max(6, round(height * rng.uniform(0.03, 0.06)))
        box = (margin, bar * 1.4, width - 2 * margin, height * 0.92 - bar * 1.4)
        _column(rng, canvas, setter, box, size, size * rng.uniform(1.3, 1.9), ink, "l", pictures)
    image = canvas.image
    bezel = 2 * int(min(width, height) * rng.uniform(0.01, 0.06)) + 1
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), dark(rng) if rng.random() < 0.8 else light(rng), bezel)
    return image


def draw_typeset_plate(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
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
        canvas, setter = Canvas(plate), Typesetter(rng)
        edge = height * (0.02 if rng.random() < 0.6 else 0.83)
        canvas.fit((left, edge, right - left, height * 0.15), setter.text(14), setter.face, ink, "m")
        plate = canvas.image
        top, bottom = (height * 0.2, bottom) if edge < height / 2 else (top, height * 0.82)
    step = (bottom - top) / rows
    face = PLATE_FACES[int(rng.integers(len(PLATE_FACES)))]
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


def _sheet(rng: np.random.Generator, width: int, height: int) -> tuple[Canvas, Typesetter, Colour]:
    """Paper, who writes on it, and ink."""
    paper = light(rng) if rng.random() < 0.9 else any_colour(rng)
    image = filled(width, height, paper)
    return Canvas(image), Typesetter(rng), contrasting(rng, image) if rng.random() < 0.9 else muted(rng)


def _side(rng: np.random.Generator) -> str:
    return str(rng.choice(["l", "l", "m", "m", "r"], p=[0.3, 0.25, 0.2, 0.2, 0.05]))


def _heading(rng: np.random.Generator, canvas: Canvas, setter: Typesetter, box: Box, size: int, ink: Colour) -> float:
    """A title of one or two lines, perhaps with a line below; gives y below it."""
    x, y, width, _ = box
    larger = size * rng.uniform(1.4, 3.4)
    align = _side(rng)
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


def _column(
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


def _portrait(rng: np.random.Generator, width: int, height: int) -> Image:
    """A head and shoulders before a plain ground, without features."""
    image = filled(width, height, light(rng) if rng.random() < 0.7 else any_colour(rng))
    skin_tone, clothes = muted(rng), dark(rng) if rng.random() < 0.6 else any_colour(rng)
    cv2.ellipse(image, (width // 2, height), (int(width * 0.42), int(height * 0.34)), 0, 0, 360, clothes, -1)
    cv2.ellipse(
        image, (width // 2, int(height * 0.4)), (int(width * 0.2), int(height * 0.25)), 0, 0, 360, dark(rng), -1
    )
    face = (int(width * 0.17), int(height * 0.2))
    cv2.ellipse(image, (width // 2, int(height * 0.44)), face, 0, 0, 360, skin_tone, -1)
    return image


def _logo(rng: np.random.Generator, canvas: Canvas, setter: Typesetter, box: Box) -> None:
    """A mark and a name, at either side or in the middle."""
    x, y, width, height = box
    align = _side(rng)
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


def _signature(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour) -> None:
    x, y, width, height = box
    steps = np.linspace(0, 1, 24)
    waves = np.sin(steps * rng.uniform(15, 40) + rng.uniform(0, 6)) * rng.uniform(0.15, 0.45) * (1 - 0.6 * steps)
    points = [(x + width * s, y + height * (0.5 + w)) for s, w in zip(steps, waves, strict=True)]
    canvas.draw.line(points, fill=(30, 30, 110), width=max(1, int(height / 14)))


@dataclass(frozen=True)
class _Recipe:
    kind: str
    draw: _Draw
    share: float
    aspects: tuple[float, float]
    rounded: float = 0.0
    is_flexible: bool = False


_RECIPES = (
    _Recipe("page", draw_typeset_page, 0.26, (0.55, 1.6), is_flexible=True),
    _Recipe("page", draw_letter, 0.07, (0.62, 0.85), is_flexible=True),
    _Recipe("page", draw_invoice, 0.07, (0.6, 1.4), is_flexible=True),
    _Recipe("form", draw_typeset_form, 0.07, (0.6, 1.6), is_flexible=True),
    _Recipe("receipt", draw_typeset_receipt, 0.04, (0.25, 0.8), is_flexible=True),
    _Recipe("label", draw_typeset_label, 0.09, (0.5, 3.0), rounded=0.2, is_flexible=True),
    _Recipe("card", draw_typeset_card, 0.06, (1.2, 1.9), rounded=0.5),
    _Recipe("sign", draw_typeset_sign, 0.07, (0.4, 5.0), rounded=0.2),
    _Recipe("poster", draw_cover, 0.06, (0.5, 1.6)),
    _Recipe("display", draw_screen, 0.04, (0.6, 2.4), rounded=0.3),
    _Recipe("plate", draw_typeset_plate, 0.17, (1.2, 5.2), rounded=0.5),
)
