"""The kinds of targets with readable words: how often there is one, its shapes, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.models.synthesis.drawing.images import shaded
from stn_rectify.models.synthesis.targets.kinds import TargetTexture, texture_size
from stn_rectify.models.synthesis.targets.typeset.documents import (
    draw_invoice,
    draw_letter,
    draw_typeset_form,
    draw_typeset_page,
    draw_typeset_receipt,
)
from stn_rectify.models.synthesis.targets.typeset.faces import BUNDLED_FACES, Faces
from stn_rectify.models.synthesis.targets.typeset.labels_and_signs import (
    draw_cover,
    draw_screen,
    draw_typeset_card,
    draw_typeset_label,
    draw_typeset_sign,
)
from stn_rectify.models.synthesis.targets.typeset.plates import draw_typeset_plate
from stn_rectify.models.synthesis.targets.typeset.typesetting import Prints
from stn_rectify.runtime.arrays import Image

#: Longer side of a picture, pixels.
LONG_SIDE = 480
_SHORT_SIDE_MIN = 90


@dataclass(frozen=True)
class _Recipe:
    kind: str
    draw: Callable[[np.random.Generator, int, int, Prints], Image]
    share: float
    aspects: tuple[float, float]
    rounded: float = 0.0
    is_flexible: bool = False


_RECIPES = (
    _Recipe("page", draw_typeset_page, 0.24, (0.55, 1.6), is_flexible=True),
    _Recipe("page", draw_letter, 0.07, (0.62, 0.85), is_flexible=True),
    _Recipe("page", draw_invoice, 0.07, (0.6, 1.4), is_flexible=True),
    _Recipe("form", draw_typeset_form, 0.07, (0.6, 1.6), is_flexible=True),
    _Recipe("receipt", draw_typeset_receipt, 0.08, (0.25, 0.8), is_flexible=True),
    _Recipe("label", draw_typeset_label, 0.09, (0.5, 3.0), rounded=0.2, is_flexible=True),
    _Recipe("card", draw_typeset_card, 0.06, (1.2, 1.9), rounded=0.5),
    _Recipe("sign", draw_typeset_sign, 0.07, (0.4, 5.0), rounded=0.2),
    _Recipe("poster", draw_cover, 0.06, (0.5, 1.6)),
    _Recipe("display", draw_screen, 0.04, (0.6, 2.4), rounded=0.3),
    _Recipe("plate", draw_typeset_plate, 0.15, (1.2, 5.2), rounded=0.5),
)


def draw_typeset_target(
    rng: np.random.Generator,
    pictures: Sequence[Image],
    kind: str | None = None,
    *,
    long_side: int = LONG_SIDE,
    faces: Faces = BUNDLED_FACES,
) -> TargetTexture:
    """Draws one target with words on it.

    Args:
        rng: the texture's random numbers.
        pictures: what may be printed on it, uint8 [h, w, 3] BGR each.
        kind: what it is, see `stn_rectify.models.synthesis.TARGET_KINDS`; any that has words when None.
        long_side: of its picture, pixels.
        faces: of its words.
    """
    recipes = [recipe for recipe in _RECIPES if kind is None or recipe.kind == kind]
    shares = np.array([recipe.share for recipe in recipes])
    recipe = recipes[int(rng.choice(len(recipes), p=shares / shares.sum()))]
    aspect = float(np.exp(rng.uniform(*np.log(recipe.aspects))))
    width, height = texture_size(aspect, long_side, _SHORT_SIDE_MIN)
    image = recipe.draw(rng, width, height, Prints(pictures, faces))
    if rng.random() < 0.4:
        image = shaded(rng, image, rng.uniform(2, 12))
    radius = rng.uniform(0.03, 0.1) if rng.random() < recipe.rounded else 0.0
    return TargetTexture(recipe.kind, image, aspect, float(radius), recipe.is_flexible)
