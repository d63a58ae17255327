"""Rectified targets, upright, as a device cuts them out of its frames: for a network that says which side is up.

What lies around the target has no way up of its own, so that only the print tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points
from stn_rectify.models.synthesis.material.bank import Bank, Material
from stn_rectify.models.synthesis.material.photographs import OWN_KIND
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture
from stn_rectify.models.synthesis.photography.photometry import take_photograph
from stn_rectify.models.synthesis.photography.poses import draw_pose
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.surroundings.clutter import draw_occluder
from stn_rectify.models.synthesis.synthesiser import target_outline, varied
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.models.synthesis.targets.typeset.kinds import draw_typeset_target
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.rectifying.pixels.crops import target_crop
from stn_rectify.runtime.rectifying.refining.turning import aspect_of

#: Of the targets that are set in TrueType faces; the rest are those of `FrameSynthesiser`.
_TYPESET_SHARE = 0.7
#: Range of a target's longer side in the frame, pixels; a plate of 60 px is 13 to 20 px high.
_LONG_SIDE_PX = (56.0, 420.0)
_PLATE_SIDE_PX = (60.0, 260.0)
_LEAST_FRAME_PX = 64


@dataclass(frozen=True)
class UprightTarget:
    """One training sample.

    Attributes:
        crop: uint8 [S, S, 3] BGR: the target, upright, squeezed to a square, with the margin that was asked for.
        kind: what it is; see `TARGET_KINDS`.
        aspect: width over height of the target in its frame.
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
    ) -> None:
        """Prepares a synthesiser; draws nothing yet.

        Args:
            seed: 0 or more.
            size: side of the crops, pixels.
            margin: what they show beyond each edge of the target, as a share of the target's side.
            backgrounds: a folder of JPEG and PNG photographs for use behind and on targets, or None.
            targets: a folder of upright JPEG and PNG pictures of the only targets, or None.

        Raises:
            DataError: if the seed is negative, or there is no such folder or no picture in it.
        """
        if seed < 0:
            raise DataError(f"seed {seed}: expected 0 or more")
        self._seed, self._size, self._margin = seed, size, margin
        self._material = Material(seed, backgrounds=backgrounds, targets=targets)

    def __call__(self, index: int) -> UprightTarget:
        """Draws sample ``index``, 0 or more.

        Raises:
            DataError: if the index is negative, or a picture of a folder cannot be used.
        """
        if index < 0:
            raise DataError(f"sample index {index}: expected 0 or more")
        bank = self._material.bank
        rng = np.random.default_rng([self._seed, index])
        if not self._material.has_own_targets and rng.random() < _TYPESET_SHARE:
            pictures = bank.photographs if bank.photographs and rng.random() < 0.7 else bank.pictures
            target = draw_typeset_target(rng, pictures)
        else:
            target = bank.targets[int(rng.integers(len(bank.targets)))]
        frame, corners = _photographed(rng, bank, target)
        pose = corners_to_homography(corners, frame.shape[1], frame.shape[0])
        crop = target_crop(frame, pose, size=(self._size, self._size), margin=self._margin)
        return UprightTarget(crop, target.kind, aspect_of(corners))


def _photographed(rng: np.random.Generator, bank: Bank, target: TargetTexture) -> tuple[Image, Points]:
    """A square frame that the target nearly fills, and its corners, pixels."""
    aspect = float(np.clip(target.aspect * rng.uniform(0.92, 1.08), 0.2, 5.0))
    sides = _PLATE_SIDE_PX if target.kind == "plate" else _LONG_SIDE_PX
    longer, extent = math.exp(rng.uniform(*np.log(sides))), rng.uniform(0.6, 0.92)
    side = max(_LEAST_FRAME_PX, round(longer / extent))
    extent = min(extent, longer / side)
    corners = draw_pose(rng, aspect, (side, side), extent=(extent, extent + 0.01), cut_off=0.06, least_edge=0.04)
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
    return take_photograph(rng, scene, bank.noise), corners
