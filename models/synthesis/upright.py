"""Rectified targets, upright, as a device cuts them out of its frames: for a network that says which side is up.

What lies around the target has no way up of its own, so that only the print tells. Of most only a detail is shown, as
large as letters need to be told apart: a page as a whole says little in a small picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points
from stn_rectify.models.synthesis.material.bank import Bank, Material
from stn_rectify.models.synthesis.material.photographs import OWN_KIND
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture
from stn_rectify.models.synthesis.photography.photometry import take_photograph
from stn_rectify.models.synthesis.photography.poses import draw_filling_pose
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.surroundings.clutter import draw_occluder
from stn_rectify.models.synthesis.synthesiser import target_outline, varied
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.legible_plates.drawing import draw_legible_plate
from stn_rectify.models.synthesis.targets.typeset.faces import faces_with
from stn_rectify.models.synthesis.targets.typeset.kinds import LONG_SIDE, draw_typeset_target
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import corners_to_homography, homography_to_corners
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.refining.target_looks import aspect_of

#: Of the targets that are set in TrueType faces, and that are plates as a reader learns them; the rest are those of
#: `FrameSynthesiser`.
_TYPESET_SHARE, _PLATE_SHARE = 0.55, 0.25
#: Range of a target's longer side in the frame, pixels; a plate of 60 px is 13 to 20 px high.
_LONG_SIDE_PX = (56.0, 420.0)
_PLATE_SIDE_PX = (60.0, 260.0)
#: Of the targets of which something may lie outside their frame.
_CUT_OFF = 0.06

#: Of the samples that show a square detail of a target.
_DETAIL_SHARE = 0.62
#: Range of the longer side of a target that a detail is cut out of, and of the detail's side, pixels of the frame.
_DETAILED_PX, _DETAIL_PX = (140.0, 760.0), (52.0, 260.0)
#: Details that are tried, of which the one with most print is taken, by this share of them.
_DETAIL_TRIES, _PRINTED_SHARE = 5, 0.8
#: How condensed, or expanded, a detail's letters get, as the logarithm, and how slanted, as the tangent.
_CONDENSED_SD, _SLANTED_SD = 0.14, 0.08
#: What is photographed around a detail, as a share of its side.
_AROUND = 0.7


@dataclass(frozen=True)
class UprightTarget:
    """One training sample.

    Attributes:
        crop: uint8 [S, S, 3] BGR: the target or a detail of it, upright, squeezed to a square, with the margin that was
            asked for.
        kind: what the target is; see `TARGET_KINDS`.
        aspect: width over height, in the frame, of what is shown.
    """

    crop: Image
    kind: str
    aspect: float


class UprightSynthesiser:
    """Draws rectified targets. Sample ``index`` depends on the arguments, the index and the background files alone.

    The textures are drawn on first use, in some seconds; pickling leaves them out, and the copy draws them again.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        size: int = 160,
        margin: float = 0.12,
        backgrounds: Path | None = None,
        targets: Path | None = None,
        fonts: Path | None = None,
    ) -> None:
        """Prepares a synthesiser; draws nothing yet.

        Args:
            seed: 0 or more.
            size: side of the crops, pixels.
            margin: what they show beyond each edge of the target, as a share of the target's side.
            backgrounds: a folder of JPEG and PNG photographs for use behind and on targets, or None.
            targets: a folder of upright JPEG and PNG pictures of the only targets, or None.
            fonts: a folder of TrueType or OpenType faces for words, beside those that are always there, or None.

        Raises:
            DataError: if the seed is negative, or there is no such folder, or no picture or face in it.
        """
        self._size, self._margin = size, margin
        self._material = Material(seed, backgrounds=backgrounds, targets=targets)
        self._faces = faces_with(fonts)

    def __call__(self, index: int) -> UprightTarget:
        """Draws sample ``index``, 0 or more.

        Raises:
            DataError: if the index is negative, or a picture of a folder cannot be used.
        """
        rng = self._material.random_numbers(index)
        if rng.random() < _DETAIL_SHARE:
            return self._detail(rng)
        bank = self._material.bank
        target = self._target(rng)
        scene, corners = _scene(rng, bank, target, _PLATE_SIDE_PX if target.kind == "plate" else _LONG_SIDE_PX)
        frame = take_photograph(rng, scene, bank.noise)
        pose = corners_to_homography(corners, frame.shape[1], frame.shape[0])
        return UprightTarget(self._crop(frame, pose), target.kind, aspect_of(corners))

    def _target(self, rng: np.random.Generator, long_side: int = LONG_SIDE) -> TargetTexture:
        """A target; its picture has this longer side, pixels, if it is typeset."""
        bank = self._material.bank
        source = 1.0 if self._material.has_own_targets else rng.random()
        if source < _PLATE_SHARE:
            return draw_legible_plate(rng).texture
        if source >= _PLATE_SHARE + _TYPESET_SHARE:
            return bank.targets[int(rng.integers(len(bank.targets)))]
        pictures = bank.photographs if bank.photographs and rng.random() < 0.7 else bank.pictures
        return draw_typeset_target(rng, pictures, long_side=long_side, faces=self._faces)

    def _detail(self, rng: np.random.Generator) -> UprightTarget:
        """A square part of a target, with the light and blur of a photograph that shows little more."""
        bank = self._material.bank
        longer = math.exp(rng.uniform(*np.log(_DETAILED_PX)))
        target = self._target(rng, max(LONG_SIDE, round(longer)))
        scene, corners = _scene(rng, bank, target, (longer, longer), cut_off=0.0)
        width, height = scene.shape[1], scene.shape[0]
        whole = corners_to_homography(corners, width, height)
        pose = whole @ _printed_part(rng, target.image, _mean_sides(corners))
        seen = homography_to_corners(pose, width, height)
        around = _AROUND * float(np.ptp(seen, axis=0).max())
        left, top = np.clip(np.floor(seen.min(axis=0) - around), 0, None).astype(int)
        right, bottom = np.ceil(seen.max(axis=0) + around).astype(int)
        part = take_photograph(rng, np.ascontiguousarray(scene[top:bottom, left:right]), bank.noise)
        there = corners_to_homography(seen - (left, top), part.shape[1], part.shape[0])
        return UprightTarget(self._crop(part, there), target.kind, 1.0)

    def _crop(self, frame: Image, pose: FloatArray) -> Image:
        return target_crop(frame, pose, size=(self._size, self._size), margin=self._margin)


def _mean_sides(corners: Points) -> tuple[float, float]:
    """Mean width and height of a target in its frame, pixels."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return float(top + bottom) / 2, float(left + right) / 2


def _printed_part(rng: np.random.Generator, picture: Image, sides: tuple[float, float]) -> FloatArray:
    """A square part of a target, mostly one with print: from its own coordinates to the target's, [3, 3]."""
    most = min(_DETAIL_PX[1], *sides)
    side = math.exp(rng.uniform(math.log(min(_DETAIL_PX[0], most)), math.log(most)))
    extent = np.minimum(1.0, side * np.exp(np.array([0.5, -0.5]) * rng.normal(0, _CONDENSED_SD)) / sides)
    places = rng.uniform(-1, 1, (_DETAIL_TRIES, 2)) * (1 - extent)
    best = int(np.argmax([_contrast(picture, place, extent) for place in places]))
    x, y = places[best if rng.random() < _PRINTED_SHARE else 0]
    slant = rng.normal(0, _SLANTED_SD) * extent[0]
    return np.array([[extent[0], slant, x], [0.0, extent[1], y], [0.0, 0.0, 1.0]])


def _contrast(picture: Image, place: FloatArray, extent: FloatArray) -> float:
    """How much a part of a picture differs from its own smoothed copy, levels."""
    size = np.array(picture.shape[1::-1])
    left, top = np.floor((place - extent + 1) / 2 * size).astype(int)
    right, bottom = np.ceil((place + extent + 1) / 2 * size).astype(int)
    part = picture[max(0, top) : bottom, max(0, left) : right]
    return float(cv2.absdiff(part, cv2.blur(part, (5, 5))).mean())


def _scene(
    rng: np.random.Generator, bank: Bank, target: TargetTexture, sides: tuple[float, float], cut_off: float = _CUT_OFF
) -> tuple[Image, Points]:
    """A square scene that the target nearly fills, its longer side in a range, pixels, and its corners."""
    aspect = float(np.clip(target.aspect * rng.uniform(0.92, 1.08), 0.2, 5.0))
    side, corners = draw_filling_pose(rng, aspect, sides, extent=(0.6, 0.92), cut_off=cut_off)
    scene = draw_background(rng, bank, (side, side))
    scene = np.ascontiguousarray(np.rot90(scene, int(rng.integers(4))))  # a photograph has a way up, too
    outer = target_outline(corners, target)
    if rng.random() < 0.4:
        unit = side / 240
        scene = cast_shadow(scene, outer, rng.normal(0, 4 * unit, 2), rng.uniform(1, 7) * unit, rng.uniform(0.1, 0.6))
    texture = target.image if target.kind == OWN_KIND else varied(rng, target.image)
    bows = tuple(rng.normal(0, 0.012, 4)) if target.is_flexible and rng.random() < 0.35 else ()
    paste_texture(scene, texture, outer, radius=target.corner_radius, bows=bows)
    if rng.random() < 0.08:
        draw_occluder(rng, scene, corners)
    return scene, corners
