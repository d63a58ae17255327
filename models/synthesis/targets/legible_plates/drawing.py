"""Number plates with a known text: grounds, bands, seals, rims, screws, dirt, and the characters in one or two rows."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, dark, light, vivid
from stn_rectify.models.synthesis.drawing.images import Colour, blended, filled, shaded, smooth_field
from stn_rectify.models.synthesis.targets.kinds import TargetTexture, as_marked
from stn_rectify.models.synthesis.targets.legible_plates.faces import PlateFace, draw_face
from stn_rectify.models.synthesis.targets.legible_plates.texts import GAP, SIGN, draw_text
from stn_rectify.models.synthesis.targets.typeset.typesetting import Box, Canvas
from stn_rectify.runtime.arrays import Image

_TWO_ROWS = 0.17  # of the plates
_HEIGHT_PX, _TWO_ROWS_HEIGHT_PX = 112, 150
_SMALL_PRINT = "DejaVuSans.ttf"
_LEAST_SQUEEZE = 0.3  # of a character: width over height


@dataclass(frozen=True)
class LegiblePlate:
    """An upright plate.

    Attributes:
        texture: of the kind ``"plate"``.
        label: its text as a reader says it, letters and digits alone.
    """

    texture: TargetTexture
    label: str


def draw_legible_plate(rng: np.random.Generator, formats: Sequence[str] = ()) -> LegiblePlate:
    """Draws a plate.

    Args:
        rng: the plate's random numbers.
        formats: see `stn_rectify.models.synthesis.targets.legible_plates.texts.draw_text`.
    """
    text = draw_text(rng, formats, two_rows=bool(rng.random() < _TWO_ROWS))
    rows = text.rows
    if len(rows) == 2:
        aspect, height = float(rng.uniform(1.1, 2.5)), _TWO_ROWS_HEIGHT_PX
    else:
        style, height = rng.random(), _HEIGHT_PX
        aspect = float(rng.uniform(4.1, 5.3) if style < 0.7 else rng.uniform(2.0, 4.1))
    width = round(aspect * height)
    ground, ink = _colours(rng)
    image = shaded(rng, filled(width, height, ground), rng.uniform(2, 14))
    if rng.random() < 0.12:
        image = _patterned(rng, image)
    image, left, right = _bands(rng, image, ink)
    top, bottom = height * rng.uniform(0.06, 0.17), height * rng.uniform(0.84, 0.95)
    if rng.random() < 0.22:
        image, top, bottom = _small_print(rng, image, (left, top, right, bottom), ink)
    face = draw_face(rng)
    split = rng.uniform(0.4, 0.6) if len(rows) == 2 else 1.0
    edges = [top, top + (bottom - top) * split, bottom][: len(rows) + 1]
    colour_of_signs = _sign_colours(rng, ink)
    embossed = rng.random() < 0.3
    for row, start, end in zip(rows, edges, edges[1:], strict=False):
        gap = 0.0 if len(rows) == 1 else (bottom - top) * 0.04
        _write(rng, image, row, (left, start + gap, right - left, end - start - 2 * gap), face, ink,
               colour_of_signs, embossed=embossed)  # fmt: skip
    _finish_edge(rng, image, ink)
    if rng.random() < 0.3:
        image = _dirty(rng, image)
    radius = float(rng.uniform(0.03, 0.12)) if rng.random() < 0.4 else 0.0
    texture = as_marked(TargetTexture("plate", image, aspect, radius, is_flexible=False))
    return LegiblePlate(_in_holder(rng, texture) if rng.random() < 0.35 else texture, text.label)


def _colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Ground and ink."""
    style = rng.random()
    if style < 0.56:
        return light(rng), dark(rng)
    if style < 0.68:
        return (rng.uniform(0, 90), rng.uniform(150, 230), rng.uniform(200, 255)), dark(rng)
    if style < 0.78:
        return dark(rng), light(rng)
    if style < 0.86:  # red, blue or green on white
        return light(rng), tuple(0.75 * np.array(vivid(rng)))
    if style < 0.96:
        return tuple(0.7 * np.array(vivid(rng))), light(rng)
    return vivid(rng), dark(rng)


def _patterned(rng: np.random.Generator, image: Image) -> Image:
    """Pictures and patterns that some countries print behind the characters, faint."""
    height, width = image.shape[:2]
    field = smooth_field(rng, width, height, (int(rng.integers(3, 12)), int(rng.integers(2, 6))), 3)
    return np.asarray(cv2.add(image, field * np.float32(rng.uniform(5, 25)), dtype=cv2.CV_8U), np.uint8)


def _bands(rng: np.random.Generator, image: Image, ink: Colour) -> tuple[Image, float, float]:
    """A country's band at the left, perhaps at the right, too; gives the room between, x of its edges."""
    height, width = image.shape[:2]
    left, right = width * rng.uniform(0.02, 0.06), width * rng.uniform(0.94, 0.98)
    if rng.random() < 0.5:
        across = height * rng.uniform(0.28, 0.45)
        colour = (rng.uniform(110, 220), rng.uniform(30, 110), rng.uniform(0, 50))
        if rng.random() < 0.1:
            colour = vivid(rng)
        cv2.rectangle(image, (0, 0), (int(across), height), colour, -1)
        canvas = Canvas(image)
        centre, reach = (across / 2, height * rng.uniform(0.25, 0.36)), across * rng.uniform(0.25, 0.36)
        if rng.random() < 0.75:
            for angle in np.arange(0, 2 * np.pi, np.pi / 6):
                a, b = centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)
                canvas.draw.ellipse((a - 2, b - 2, a + 2, b + 2), fill=(250, 220, 30))
        letters = "".join(rng.choice(list(string.ascii_uppercase), int(rng.integers(1, 4))))
        canvas.fit((across * 0.1, height * 0.6, across * 0.8, height * 0.32), letters, "DejaVuSans-Bold.ttf",
                   (250, 250, 250), "m")  # fmt: skip
        image, left = canvas.image, across + width * rng.uniform(0.005, 0.025)
        if rng.random() < 0.15:
            right = width - across
            cv2.rectangle(image, (int(right), 0), (width, height), colour, -1)
            right -= 0.01 * width
    elif rng.random() < 0.15:  # a badge
        across = height * rng.uniform(0.3, 0.6)
        _seal(rng, image, (left, height * 0.3, across, height * 0.4), vivid(rng))
        left += across + 0.01 * width
    return image, left, right


def _small_print(
    rng: np.random.Generator, image: Image, room: tuple[float, float, float, float], ink: Colour
) -> tuple[Image, float, float]:
    """A name or a slogan above or below the characters, in small letters; gives what is left, y of its edges."""
    left, top, right, bottom = room
    height = image.shape[0]
    size = height * rng.uniform(0.1, 0.17)
    letters = list(string.ascii_letters + "   .-")
    words = "".join(rng.choice(letters, int(rng.integers(6, 26))))
    is_above = rng.random() < 0.5
    canvas = Canvas(image)
    y = height * 0.02 if is_above else height * 0.98 - size
    canvas.fit((left, y, right - left, size), words, _SMALL_PRINT, ink if rng.random() < 0.7 else vivid(rng), "m")
    return canvas.image, max(top, y + size) if is_above else top, bottom if is_above else min(bottom, y)


def _sign_colours(rng: np.random.Generator, ink: Colour) -> tuple[str, Colour, Colour]:
    """How the signs of a plate are drawn: their kind and two colours."""
    kinds = ("dash", "dash", "dot", "seals", "seals", "shield", "shield", "nothing")
    return str(rng.choice(kinds)), ink, any_colour(rng)


def _write(
    rng: np.random.Generator,
    image: Image,
    row: Sequence[str],
    room: Box,
    face: PlateFace,
    ink: Colour,
    signs: tuple[str, Colour, Colour],
    *,
    embossed: bool,
) -> None:
    """Writes one row: characters of one height, gaps between groups, the whole fitted to the room and placed in it."""
    x, y, width, height = room
    tall = height * rng.uniform(0.78, 1.0)
    wide = tall * rng.uniform(0.36, 0.72)
    space, gap = wide * rng.uniform(0.1, 0.4), wide * rng.uniform(0.3, 1.1)
    pieces: list[tuple[str, float]] = []
    for part in row:
        if part in (GAP, SIGN):
            pieces.append((part, gap if part == GAP else max(gap, 0.5 * wide)))
        else:
            for character in part:
                pieces += [(character, wide * face.width_of(character)), ("", space)]
    if pieces and not pieces[-1][0]:
        pieces.pop()
    natural = sum(length for _, length in pieces)
    squeeze = min(1.0, width / natural)
    if squeeze * wide < _LEAST_SQUEEZE * tall:  # rather lower than thinner
        tall = squeeze * wide / _LEAST_SQUEEZE
    if rng.random() < 0.35:  # as many plates do: the characters fill the room
        squeeze = min(width / natural, 0.9 * tall / wide)
    x += (width - natural * squeeze) * (0.5 if rng.random() < 0.7 else rng.random())
    y += (height - tall) * rng.random()
    for piece, length in pieces:
        across = length * squeeze
        if piece == SIGN:
            _sign(rng, image, (x, y, across, tall), signs)
        elif piece and piece != GAP:
            _stamp(image, face.mask(piece, max(2, round(across)), max(4, round(tall))), x, y, ink, embossed=embossed)
        x += across


def _stamp(image: Image, mask: Image, x: float, y: float, ink: Colour, *, embossed: bool) -> None:
    """Puts a character into the picture; an embossed one has a lit edge."""
    if embossed:
        lit = (255.0, 255.0, 255.0) if sum(ink) < 380 else (20.0, 20.0, 20.0)
        _put(image, (mask * 0.45).astype(np.uint8), round(x) - 1, round(y) - 2, lit)
    _put(image, mask, round(x), round(y), ink)


def _put(image: Image, mask: Image, x: int, y: int, ink: Colour) -> None:
    left, top = max(x, 0), max(y, 0)
    region = image[top : y + mask.shape[0], left : x + mask.shape[1]]
    part = np.ascontiguousarray(mask[top - y :, left - x :][: region.shape[0], : region.shape[1]])
    if region.size:
        region[:] = blended(filled(region.shape[1], region.shape[0], ink), np.ascontiguousarray(region), part)


def _sign(rng: np.random.Generator, image: Image, box: Box, signs: tuple[str, Colour, Colour]) -> None:
    kind, ink, colour = signs
    x, y, width, height = box
    middle = (int(x + width / 2), int(y + height * rng.uniform(0.45, 0.55)))
    if kind == "dash":
        half, thick = max(2, int(width * 0.32)), max(2, int(height * rng.uniform(0.08, 0.14)))
        cv2.rectangle(image, (middle[0] - half, middle[1] - thick // 2), (middle[0] + half, middle[1] + thick // 2),
                      ink, -1)  # fmt: skip
    elif kind == "dot":
        cv2.circle(image, middle, max(2, int(height * 0.07)), ink, -1, cv2.LINE_AA)
    elif kind == "seals":  # one above another; beside them sometimes a dash
        side = min(width * 0.8, height * rng.uniform(0.28, 0.4))
        for place in (0.27, 0.73):
            if rng.random() < 0.85:
                _seal(rng, image, (x + (width - side) / 2, y + height * place - side / 2, side, side), colour)
        if rng.random() < 0.35:
            cv2.line(image, (int(x + width * 0.2), middle[1]), (int(x + width * 0.8), middle[1]), ink,
                     max(2, int(height * 0.09)))  # fmt: skip
    elif kind == "shield":
        side = min(width * 0.95, height * 0.5)
        _seal(rng, image, (x + (width - side) / 2, middle[1] - side * 0.6, side, side * 1.2), colour)


def _seal(rng: np.random.Generator, image: Image, box: Box, colour: Colour) -> None:
    """A sticker or a coat of arms: an ellipse of one colour with something of others in it."""
    x, y, width, height = box
    centre = np.array([x + width / 2, y + height / 2])
    for size in (1.0, rng.uniform(0.5, 0.85), rng.uniform(0.2, 0.5)):
        axes = np.maximum(1, np.array([width, height]) * size / 2).astype(int).tolist()
        at = (centre + rng.normal(0, 0.05, 2) * (width, height)).astype(int).tolist()
        cv2.ellipse(image, at, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
        colour = light(rng) if rng.random() < 0.3 else any_colour(rng)
    for _ in range(int(rng.integers(0, 4))):  # a cross, hills, a beast
        ends = centre + rng.uniform(-0.3, 0.3, (2, 2)) * (width, height)
        start, end = ends.astype(int).tolist()
        cv2.line(image, start, end, any_colour(rng), max(1, int(0.12 * width)), cv2.LINE_AA)


def _finish_edge(rng: np.random.Generator, image: Image, ink: Colour) -> None:
    """The rim and the screws."""
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        inset, thickness = int(rng.integers(0, 6)), int(rng.integers(1, 6))
        rim = ink if rng.random() < 0.7 else light(rng) if rng.random() < 0.5 else dark(rng)
        cv2.rectangle(image, (inset, inset), (width - 1 - inset, height - 1 - inset), rim, thickness)
    if rng.random() < 0.3:
        colour = light(rng) if rng.random() < 0.4 else dark(rng) if rng.random() < 0.7 else any_colour(rng)
        x, y = width * rng.uniform(0.02, 0.3), height * rng.choice([0.08, 0.5, 0.5, 0.92])
        for place in (x, width - x):
            if rng.random() < 0.85:
                centre = (int(place), int(y + rng.normal(0, 2)))
                cv2.circle(image, centre, int(height * rng.uniform(0.02, 0.06)) + 1, colour, -1, cv2.LINE_AA)


def _in_holder(rng: np.random.Generator, texture: TargetTexture) -> TargetTexture:
    """The plate in a frame of plastic, with the name of a dealer on its broad edge, mostly the lower one."""
    height, width = texture.image.shape[:2]
    thin = height * rng.uniform(0.01, 0.09)
    top, bottom, beside = thin, height * rng.uniform(0.1, 0.24), thin
    if rng.random() < 0.1:
        top, bottom = bottom, top
    above_px, below_px, beside_px = round(top), round(bottom), round(beside)
    colour = dark(rng) if rng.random() < 0.8 else any_colour(rng)
    image = filled(width + 2 * beside_px, height + above_px + below_px, colour)
    image[above_px : above_px + height, beside_px : beside_px + width] = texture.image
    if rng.random() < 0.75:
        letters = list(string.ascii_uppercase + string.ascii_lowercase + string.digits + "   .-")
        words = "".join(rng.choice(letters, int(rng.integers(5, 30))))
        y, room = (above_px + height, below_px) if below_px > above_px else (0, above_px)
        canvas = Canvas(image)
        ink = light(rng) if sum(colour) < 380 else dark(rng)
        canvas.fit((beside_px + 0.05 * width, y, 0.9 * width, room), words, _SMALL_PRINT, ink, "m")
        image = canvas.image
    left, above, right, below = texture.margins
    half_width, half_height = width / (1 + left) / 2, height / (1 + above) / 2
    margins = (
        left + beside_px / half_width,
        above + above_px / half_height,
        right + beside_px / half_width,
        below + below_px / half_height,
    )
    return replace(texture, image=image, margins=margins, corner_radius=texture.corner_radius / 2)


def _dirty(rng: np.random.Generator, image: Image) -> Image:
    """Mud and dust in patches, splashes, scratches and worn paint."""
    height, width = image.shape[:2]
    level = rng.uniform(40, 170)
    mud = filled(width, height, (level * 0.75, level * 0.88, level))
    cells = (int(rng.integers(3, 16)), int(rng.integers(2, 7)))
    patches = np.clip((smooth_field(rng, width, height, cells) - rng.uniform(0.2, 1.3)) * 2, 0, 1)
    alpha = (patches * 255 * rng.uniform(0.15, 0.8)).astype(np.uint8)
    image = blended(mud, image, np.ascontiguousarray(alpha.reshape(height, width)))
    for _ in range(int(rng.integers(0, 12))):
        at = (rng.random(2) * (width, height)).astype(int).tolist()
        cv2.circle(image, at, int(rng.integers(1, 5)), tuple(mud[0, 0].tolist()), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        start = rng.random(2) * (width, height)
        end = start + rng.normal(0, 0.25 * height, 2)
        colour = light(rng) if rng.random() < 0.5 else dark(rng)
        cv2.line(image, start.astype(int).tolist(), end.astype(int).tolist(), colour, 1, cv2.LINE_AA)
    return image
