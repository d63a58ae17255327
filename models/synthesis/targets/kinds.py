"""The upright textures of targets: which kinds there are, their shapes, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.colours import any_colour, contrasting, dark, light
from stn_rectify.models.synthesis.drawing.images import filled, shaded
from stn_rectify.models.synthesis.drawing.lettering import text_block, text_line
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.targets import prints
from stn_rectify.models.synthesis.targets.plates import draw_plate
from stn_rectify.runtime.arrays import Image

_LONG_SIDE = 288
_SHORT_SIDE_MIN = 56

#: Draws a texture uint8 [height, width, 3] BGR. Arguments: random numbers, width, height, and pictures that may be
#: printed on it, uint8 [h, w, 3] each.
DrawTexture = Callable[[np.random.Generator, int, int, Sequence[Image]], Image]


@dataclass(frozen=True)
class TargetTexture:
    """The upright picture of one target.

    Attributes:
        kind: one of `TARGET_KINDS`.
        image: uint8 [h, w, 3] BGR.
        aspect: width over height of the real object, 0.2–5; the picture itself is 56 pixels wide or more.
        corner_radius: radius of rounded corners, as a fraction of the shorter side; 0 for square ones.
        is_flexible: whether it is of paper and may bow.
        margins: the parts of the picture beyond the target's left, top, right and bottom edge, in half sides of the
            target; zeros where the picture's outer edge is the target's.
    """

    kind: str
    image: Image
    aspect: float
    corner_radius: float
    is_flexible: bool
    margins: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Recipe:
    draw: DrawTexture
    share: float
    aspects: tuple[float, float]
    rounded: float = 0.0
    is_flexible: bool = False


def _draw_sign(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A sign: large words, a disc or arrow, often a border."""
    image = filled(width, height, any_colour(rng))
    ink = contrasting(rng, image)
    for _ in range(int(rng.integers(1, 4))):
        x, y = width * rng.uniform(0.05, 0.3), height * rng.uniform(0.05, 0.7)
        size = height * rng.uniform(0.1, 0.3)
        text_line(rng, image, (x, y, width * rng.uniform(0.4, 0.65), size), ink, int(rng.integers(2, 6)))
    if rng.random() < 0.4:
        centre = (int(width * rng.uniform(0.2, 0.8)), int(height * rng.uniform(0.2, 0.8)))
        radius = int(min(width, height) * rng.uniform(0.1, 0.35))
        cv2.circle(image, centre, radius, any_colour(rng), int(rng.choice([-1, 4])), cv2.LINE_AA)
    if rng.random() < 0.5:
        inset, thickness = int(rng.integers(0, 8)), int(rng.integers(1, 8))
        cv2.rectangle(image, (inset, inset), (width - 1 - inset, height - 1 - inset), ink, thickness)
    return image


def _draw_display(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A screen that shows a picture, windows or digits, with its bezel."""
    image = picture_crop(rng, pictures, width, height)
    if rng.random() < 0.6:
        image = shaded(rng, filled(width, height, any_colour(rng)), 25)
    for _ in range(int(rng.integers(0, 5))):
        x, y = int(width * rng.uniform(0, 0.7)), int(height * rng.uniform(0, 0.8))
        corner = (x + int(width * rng.uniform(0.1, 0.5)), y + int(height * rng.uniform(0.05, 0.4)))
        cv2.rectangle(image, (x, y), corner, any_colour(rng), -1)
    text_block(rng, image, contrasting(rng, image), int(rng.integers(0, 6)))
    bezel = 2 * int(min(width, height) * rng.uniform(0.02, 0.1)) + 1
    colour = dark(rng) if rng.random() < 0.8 else light(rng)
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), colour, bezel)
    return image


def _draw_poster(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """A photograph, book cover or poster, with or without a border and a title."""
    image = picture_crop(rng, pictures, width, height)
    if rng.random() < 0.5:
        border = 2 * int(min(width, height) * rng.uniform(0.02, 0.12)) + 1
        colour = light(rng) if rng.random() < 0.7 else dark(rng)
        cv2.rectangle(image, (0, 0), (width - 1, height - 1), colour, border)
    if rng.random() < 0.4:
        box = (width * 0.1, height * rng.uniform(0.05, 0.8), width * 0.8, height * rng.uniform(0.06, 0.16))
        text_line(rng, image, box, any_colour(rng), 3)
    return image


def _draw_sheet(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Image]) -> Image:
    """An empty or nearly empty sheet, board or note, with a mark near its upper edge."""
    image = shaded(rng, filled(width, height, light(rng) if rng.random() < 0.6 else any_colour(rng)), 10)
    ink = contrasting(rng, image)
    text_line(rng, image, (width * 0.1, height * 0.08, width * rng.uniform(0.3, 0.8), height * 0.1), ink)
    return image


#: A printed frame on a larger scrap of paper; the frame is the target, not the paper.
_GRID_KIND, _GRID_SHARE = "grid", 0.22

#: Of a plate the part within its rim is the target, as people mark plates: so wide is the rim, in half heights.
_PLATE_RIM = 0.07

_RECIPES = {
    "page": _Recipe(prints.draw_page, 0.17, (0.55, 1.6), is_flexible=True),
    "form": _Recipe(prints.draw_form, 0.07, (0.6, 1.6), is_flexible=True),
    "receipt": _Recipe(prints.draw_receipt, 0.07, (0.2, 0.7), is_flexible=True),
    "card": _Recipe(prints.draw_card, 0.09, (1.2, 1.9), rounded=0.5),
    "label": _Recipe(prints.draw_label, 0.11, (0.4, 3.5), rounded=0.2, is_flexible=True),
    "note": _Recipe(prints.draw_note, 0.04, (1.6, 2.8), is_flexible=True),
    "plate": _Recipe(draw_plate, 0.22, (2.2, 5.0), rounded=0.5),
    "sign": _Recipe(_draw_sign, 0.09, (0.25, 4.0), rounded=0.2),
    "display": _Recipe(_draw_display, 0.05, (1.0, 2.4), rounded=0.3),
    "poster": _Recipe(_draw_poster, 0.06, (0.4, 2.0), is_flexible=True),
    "sheet": _Recipe(_draw_sheet, 0.03, (0.2, 5.0), is_flexible=True),
}

#: All kinds a target can be of; a frame without one has the kind "empty".
TARGET_KINDS = (*_RECIPES, _GRID_KIND)


def draw_target(rng: np.random.Generator, pictures: Sequence[Image]) -> TargetTexture:
    """Draws one target of a random kind; ``pictures`` are what may be printed on it."""
    if rng.random() < _GRID_SHARE:
        return _draw_grid_target(rng)
    shares = np.array([recipe.share for recipe in _RECIPES.values()])
    kind = TARGET_KINDS[int(rng.choice(len(shares), p=shares / shares.sum()))]
    recipe = _RECIPES[kind]
    aspect = float(np.exp(rng.uniform(*np.log(recipe.aspects))))
    if kind == "card" and rng.random() < 0.25:
        aspect = 1 / aspect
    if kind == "plate" and rng.random() < 0.12:
        aspect = rng.uniform(1.2, 1.9)
    width, height = texture_size(aspect, _LONG_SIDE, _SHORT_SIDE_MIN)
    image = recipe.draw(rng, width, height, pictures)
    if rng.random() < 0.5:
        image = shaded(rng, image, rng.uniform(2, 12))
    radius = rng.uniform(0.03, 0.14) if rng.random() < recipe.rounded else 0.0
    return as_marked(TargetTexture(kind, image, aspect, float(radius), recipe.is_flexible))


def texture_size(aspect: float, long_side: int, least_side: int) -> tuple[int, int]:
    """The size of a texture.

    Args:
        aspect: width over height of the target.
        long_side: of the texture, pixels.
        least_side: the shorter side is as long at least, pixels.

    Returns:
        Width and height, pixels.
    """
    longer = max(1.0, aspect)
    return max(least_side, round(long_side * aspect / longer)), max(least_side, round(long_side / longer))


def as_marked(texture: TargetTexture) -> TargetTexture:
    """The texture with the part as its target that people mark: of a plate what lies within the rim."""
    if texture.kind != "plate":
        return texture
    return replace(texture, margins=(_PLATE_RIM / texture.aspect, _PLATE_RIM) * 2)


def _draw_grid_target(rng: np.random.Generator) -> TargetTexture:
    aspect = 1.0 if rng.random() < 0.5 else float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
    width, height = (round(0.75 * _LONG_SIDE * side / max(1.0, aspect)) for side in (aspect, 1.0))
    left, top, right, bottom = (rng.uniform(0.02, 0.2 if rng.random() < 0.7 else 0.6) for _ in range(4))
    margins = (left, top, right, bottom)
    image = prints.draw_grid(rng, width, height, margins)
    if rng.random() < 0.5:
        image = shaded(rng, image, rng.uniform(2, 12))
    return TargetTexture(_GRID_KIND, image, aspect, 0.0, is_flexible=True, margins=margins)
