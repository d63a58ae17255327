"""Plates with a known text, as a camera sees them: to learn reading from what a rectifier takes out of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points
from stn_rectify.models.synthesis.material.bank import Bank, Material
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture
from stn_rectify.models.synthesis.photography.photometry import take_photograph
from stn_rectify.models.synthesis.photography.poses import draw_filling_pose
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.surroundings.clutter import draw_occluder
from stn_rectify.models.synthesis.surroundings.mountings import draw_holder, draw_vehicle
from stn_rectify.models.synthesis.synthesiser import target_outline, varied
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.legible_plates.drawing import draw_legible_plate
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.rectifying.pixels.crops import target_crop

#: Range of a plate's width in the frame, pixels: of one row, and of two.
_WIDTH_PX = {1: (64.0, 340.0), 2: (44.0, 200.0)}
_TWO_ROWS_ASPECT = 1.9  # a wider plate has one row, nearly always
_LEAST_CONTRAST = 7.0  # standard deviation of the plate's grey levels: below it nobody reads it
_ATTEMPTS = 4


@dataclass(frozen=True)
class LegibleTarget:
    """One training sample.

    Attributes:
        crop: uint8 [h, w] grey: the plate, upright, and the margin that was asked for.
        label: its text, capital letters and digits.
    """

    crop: Image
    label: str


class LegibleSynthesiser:
    """Draws rectified plates. Sample ``index`` depends on the arguments, the index and the background files alone.

    The material is drawn on first use, in some seconds; pickling leaves it out, and the copy draws it again.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        size: tuple[int, int] = (224, 56),
        margin: float = 0.15,
        formats: Sequence[str] = (),
        backgrounds: Path | None = None,
    ) -> None:
        """Prepares a synthesiser; draws nothing yet.

        Args:
            seed: 0 or more.
            size: width and height of the crops, pixels.
            margin: what they show beyond each edge of the plate, as a share of the plate's side.
            formats: of the texts, see `stn_rectify.models.synthesis.targets.legible_plates.texts.check_format`; those
                of many countries when empty.
            backgrounds: a folder of JPEG and PNG photographs for use behind the plates, or None.

        Raises:
            DataError: if the seed is negative, or there is no such folder or no picture in it.
        """
        self._size, self._margin, self._formats = size, margin, tuple(formats)
        self._material = Material(seed, backgrounds=backgrounds)

    def __call__(self, index: int) -> LegibleTarget:
        """Draws sample ``index``, 0 or more.

        Raises:
            DataError: if the index is negative, or a picture of the folder cannot be used.
        """
        rng = self._material.random_numbers(index)
        plate = draw_legible_plate(rng, self._formats)
        for _ in range(_ATTEMPTS):
            frame, corners = _photographed(rng, self._material.bank, plate.texture)
            pose = corners_to_homography(corners, frame.shape[1], frame.shape[0])
            crop = target_crop(frame, pose, size=self._size, margin=self._margin)
            grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
            if _inner(grey, self._margin).std() >= _LEAST_CONTRAST:
                break
        return LegibleTarget(grey, plate.label)


def _inner(crop: Image, margin: float) -> Image:
    """The middle of a crop: the plate without its margin and without its rim."""
    height, width = crop.shape
    share = (margin + 0.15) / (1 + 2 * margin)
    x, y = int(width * share), int(height * share)
    return crop[y : height - y, x : width - x]


def _photographed(rng: np.random.Generator, bank: Bank, plate: TargetTexture) -> tuple[Image, Points]:
    """A square frame that the plate nearly fills, and its corners, pixels."""
    aspect = plate.aspect * rng.uniform(0.94, 1.06)
    widths = _WIDTH_PX[2 if plate.aspect < _TWO_ROWS_ASPECT else 1]
    side, corners = draw_filling_pose(rng, aspect, widths, extent=(0.6, 0.9))
    scene = draw_background(rng, bank, (side, side))
    outer = target_outline(corners, plate)
    style = rng.random()
    if style < 0.3:
        scene = draw_vehicle(rng, scene, outer, bank)
    if rng.random() < 0.4:
        unit = side / 240
        scene = cast_shadow(scene, outer, rng.normal(0, 4 * unit, 2), rng.uniform(1, 7) * unit, rng.uniform(0.1, 0.6))
    if rng.random() < 0.5:
        draw_holder(rng, scene, outer)
    paste_texture(scene, varied(rng, plate.image), outer, radius=plate.corner_radius)
    if rng.random() < 0.02:
        draw_occluder(rng, scene, corners)
    return take_photograph(rng, scene, bank.noise), corners
