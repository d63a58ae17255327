"""Prints of a few large words: labels, cards, signs, covers, displays."""

from __future__ import annotations

import string

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, dark, light, muted, vivid
from stn_rectify.models.synthesis.drawing.images import filled, shaded
from stn_rectify.models.synthesis.drawing.lettering import bar_code, matrix_code
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.targets.typeset.blocks import any_alignment, any_side, draw_column
from stn_rectify.models.synthesis.targets.typeset.typesetting import Canvas, Prints, Typesetter
from stn_rectify.runtime.arrays import Image


def draw_typeset_label(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A parcel, shelf or product label: a name, lines of text, a code with its digits below."""
    ground = light(rng) if rng.random() < 0.65 else any_colour(rng)
    image = shaded(rng, filled(width, height, ground), 6)
    ink = contrasting(rng, image)
    setter, margin = Typesetter(rng, prints.faces), 0.05 * min(width, height)
    band = rng.uniform(0.16, 0.36)
    if rng.random() < 0.3:
        part = picture_crop(rng, prints.pictures, width, max(8, int(height * band)))
        image[: part.shape[0]] = part
    canvas = Canvas(image)
    title_ink = ink
    if rng.random() < 0.4:
        back = vivid(rng)
        canvas.draw.rectangle((0, 0, width, height * band), fill=(int(back[2]), int(back[1]), int(back[0])))
        title_ink = light(rng) if sum(back) < 380 else dark(rng)
    title = setter.text(int(rng.integers(4, 16)))
    box = (margin, margin * 0.6, width - 2 * margin, height * band - margin)
    canvas.fit(box, title.upper() if rng.random() < 0.3 else title, setter.heavy, title_ink, any_side(rng))
    code = rng.random()
    bottom = height * (rng.uniform(0.55, 0.7) if code < 0.6 else 0.95)
    size = max(6, round(min(height * rng.uniform(0.05, 0.12), width * 0.09)))
    across = (width - 2 * margin) * (1.0 if rng.random() < 0.6 else rng.uniform(0.5, 0.8))
    y, align = height * band + margin, any_alignment(rng)
    draw_column(
        rng, canvas, setter, (margin, y, across, bottom - y), size, size * 1.25, ink, align, prints.pictures, plain=True
    )
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


def draw_typeset_card(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """An identity, member's or business card: a head line, a portrait, names and numbers."""
    ground = light(rng) if rng.random() < 0.6 else any_colour(rng)
    image = shaded(rng, filled(width, height, ground), 18)
    ink, setter = contrasting(rng, image), Typesetter(rng, prints.faces)
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
    canvas.fit((width * 0.06, height * 0.04, width * 0.88, height * 0.14), title, setter.heavy, ink, any_side(rng))
    y, size = height * rng.uniform(0.26, 0.34), height * rng.uniform(0.06, 0.11)
    while y < height * 0.9:
        if rng.random() < 0.3:
            canvas.write(left, y, setter.text(10), setter.face, size * 0.6, ink)
            y += size * 0.75
        text = setter.number() if rng.random() < 0.25 else setter.text(int((right - left) / (size * 0.6)))
        canvas.write(left, y, text, setter.heavy if rng.random() < 0.3 else setter.face, size, ink)
        y += size * rng.uniform(1.2, 1.8)
    return canvas.image


def draw_typeset_sign(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A sign, notice or name plate: a few large words, perhaps an arrow or a disc."""
    image = shaded(rng, filled(width, height, any_colour(rng) if rng.random() < 0.7 else light(rng)), 8)
    ink, setter = contrasting(rng, image), Typesetter(rng, prints.faces)
    canvas, margin = Canvas(image), 0.07 * min(width, height)
    left, align = margin, any_side(rng)
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


def draw_cover(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A book's cover, magazine or poster: a large title above, a picture or a plain ground, lines below."""
    if rng.random() < 0.6:
        image = picture_crop(rng, prints.pictures, width, height)
    else:
        image = shaded(rng, filled(width, height, any_colour(rng)), 30)
    ink, setter, margin = contrasting(rng, image), Typesetter(rng, prints.faces), 0.06 * width
    if rng.random() < 0.3:
        ink = vivid(rng)
    canvas, align = Canvas(image), any_side(rng)
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


def draw_screen(rng: np.random.Generator, width: int, height: int, prints: Prints) -> Image:
    """A display: a bar at its top, text or a list or large digits, buttons at its foot, in a bezel."""
    dark_mode = rng.random() < 0.4
    image = filled(width, height, dark(rng) if dark_mode else light(rng))
    ink = light(rng) if dark_mode else dark(rng)
    canvas, setter, margin = Canvas(image), Typesetter(rng, prints.faces), 0.05 * width
    back = muted(rng) if rng.random() < 0.5 else vivid(rng)
    bar = height * rng.uniform(0.06, 0.14)
    canvas.draw.rectangle((0, 0, width, bar), fill=(int(back[2]), int(back[1]), int(back[0])))
    bar_ink = light(rng) if sum(back) < 380 else dark(rng)
    canvas.fit((margin, bar * 0.1, width * 0.6, bar * 0.8), setter.text(14), setter.heavy, bar_ink)
    if rng.random() < 0.3:
        face = prints.faces.plates[int(rng.integers(len(prints.faces.plates)))]
        canvas.fit((margin, height * 0.3, width - 2 * margin, height * 0.4), setter.number(), face, ink, any_side(rng))
    else:
        size = max(6, round(height * rng.uniform(0.03, 0.06)))
        box = (margin, bar * 1.4, width - 2 * margin, height * 0.92 - bar * 1.4)
        draw_column(rng, canvas, setter, box, size, size * rng.uniform(1.3, 1.9), ink, "l", prints.pictures)
    image = canvas.image
    bezel = 2 * int(min(width, height) * rng.uniform(0.01, 0.06)) + 1
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), dark(rng) if rng.random() < 0.8 else light(rng), bezel)
    return image


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
