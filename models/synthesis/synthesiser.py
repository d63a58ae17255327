"""The synthesiser: one camera frame with one planar target for each index, the same for ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points, shaded, tinted
from stn_rectify.models.synthesis.material.bank import Bank, Material
from stn_rectify.models.synthesis.material.photographs import OWN_KIND
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture, plane_points
from stn_rectify.models.synthesis.photography.photometry import take_photograph
from stn_rectify.models.synthesis.photography.poses import draw_pose, visible_area
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.surroundings.clutter import draw_clutter, draw_occluder
from stn_rectify.models.synthesis.surroundings.mountings import draw_holder, draw_panels, draw_vehicle
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.errors import DataError

_MIN_FRAME_SIDE = 64
#: No other rectangle shows more than this part of the target's area.
_RIVAL_SHARE = 0.35
#: Nothing in an empty frame shows more than this part of the frame's area (four times as much when its edge cuts it).
_EMPTY_AREA = 0.012
#: The same with own targets, which other rectangles cannot be taken for.
_OWN_RIVAL_SHARE, _OWN_EMPTY_AREA = 1.5, 0.25
#: How often a kind lies on larger rectangles. Kinds with a border of their own do not: which edge is theirs?
_PANEL_SHARE = {
    "plate": 0.5,
    "label": 0.4,
    "sign": 0.2,
    "card": 0.15,
    "note": 0.15,
    "receipt": 0.15,
    "page": 0.12,
    "form": 0.12,
    OWN_KIND: 0.2,
}
#: How often a kind is held by a narrow frame.
_HOLDER_SHARE = {"plate": 0.35, "label": 0.15, "card": 0.1, OWN_KIND: 0.1}


@dataclass(frozen=True)
class SynthesisedFrame:
    """One training sample.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        corners: float64 [4, 2], pixels, TL, TR, BR, BL of the upright target, (0, 0) the centre of the first
            pixel; they may lie outside the frame. None when there is no target.
        kind: what the target is ("page", "plate", …; see `TARGET_KINDS`), or "empty".
    """

    frame: Image
    corners: FloatArray | None
    kind: str


class FrameSynthesiser:
    """Draws camera frames that show one dominant planar target, for training a localization network.

    Sample ``index`` depends on the seed, the index, the frame size, ``empty_fraction`` and the background
    files alone: not on what was drawn before, nor on the process. The textures are drawn on first use, in
    some seconds; pickling leaves them out, and the copy draws them again.

    Example:
        >>> synthesise = FrameSynthesiser(seed=1)
        >>> sample = synthesise(0)
        >>> sample.frame.shape
        (240, 320, 3)
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        frame_size: tuple[int, int] = (320, 240),
        backgrounds: Path | None = None,
        targets: Path | None = None,
        empty_fraction: float = 0.1,
    ) -> None:
        """Prepares a synthesiser; draws nothing yet.

        Args:
            seed: 0 or more; another seed gives other textures and other frames.
            frame_size: width and height of the frames, pixels, 64 or more each.
            backgrounds: a folder of JPEG and PNG photographs, searched recursively, for use behind and on
                targets; up to 600 of them are used. Without it everything is procedural.
            targets: a folder of upright JPEG and PNG pictures of the only targets, each cut out along the target's
                edges. Other rectangles are then as large as these. None for all kinds, drawn.
            empty_fraction: share of frames without a target, 0–1.

        Raises:
            DataError: if an argument is out of range, or there is no such folder or no picture in it. For a
                picture that cannot be read it is raised on first use.
        """
        if min(frame_size) < _MIN_FRAME_SIDE or not 0 <= empty_fraction <= 1:
            raise DataError(
                f"frame size {frame_size}, empty fraction {empty_fraction}: expected sides of {_MIN_FRAME_SIDE} pixels "
                "or more and a fraction from 0 to 1"
            )
        self._frame_size = frame_size
        self._empty_fraction = empty_fraction
        self._material = Material(seed, backgrounds=backgrounds, targets=targets)

    def __call__(self, index: int) -> SynthesisedFrame:
        """Draws sample ``index``, 0 or more.

        Raises:
            DataError: if the index is negative, or a background or target picture cannot be used.
        """
        rng, bank = self._material.random_numbers(index), self._material.bank
        if rng.random() < self._empty_fraction:
            area = _OWN_EMPTY_AREA if self._material.has_own_targets else _EMPTY_AREA
            scene = _compose_empty(rng, bank, self._frame_size, area)
            return SynthesisedFrame(take_photograph(rng, scene, bank.noise), None, "empty")
        target = bank.targets[int(rng.integers(len(bank.targets)))]
        aspect = float(np.clip(target.aspect * rng.uniform(0.92, 1.08), 0.2, 5.0))
        corners = draw_pose(rng, aspect, self._frame_size)
        scene = _compose(rng, bank, target, corners, self._frame_size)
        return SynthesisedFrame(take_photograph(rng, scene, bank.noise), corners, target.kind)


def _compose_empty(rng: np.random.Generator, bank: Bank, size: tuple[int, int], area_share: float) -> Image:
    """A scene without a target: at most small or mostly hidden rectangles, or a vehicle without plate."""
    area = area_share * size[0] * size[1]
    scene = draw_background(rng, bank, size)
    if rng.random() < 0.15:
        scene = draw_vehicle(rng, scene, draw_pose(rng, 3.4, size), bank)
    return draw_clutter(rng, scene, bank, int(rng.integers(0, 7)), area, 4 * area)


def _compose(
    rng: np.random.Generator, bank: Bank, target: TargetTexture, corners: Points, size: tuple[int, int]
) -> Image:
    """The scene with the target at ``corners``, painted from back to front."""
    scene = draw_background(rng, bank, size)
    on_vehicle = rng.random() < (0.6 if target.kind == "plate" else 0.03)
    if on_vehicle:
        scene = draw_vehicle(rng, scene, corners, bank)
    elif rng.random() < _PANEL_SHARE.get(target.kind, 0.0):
        scene = draw_panels(rng, scene, corners)
    if rng.random() < (0.15 if on_vehicle else 0.6):
        area = visible_area(corners, size)
        share = _OWN_RIVAL_SHARE if target.kind == OWN_KIND else _RIVAL_SHARE
        scene = draw_clutter(rng, scene, bank, int(rng.integers(1, 8)), share * area, max(share, 0.5) * area)
    outer = target_outline(corners, target)
    if rng.random() < _HOLDER_SHARE.get(target.kind, 0.0):
        draw_holder(rng, scene, outer)
    if rng.random() < 0.5:
        unit = size[1] / 240
        offset, softness = rng.normal(0, 4 * unit, 2), rng.uniform(1, 7) * unit
        scene = cast_shadow(scene, outer, offset, softness, rng.uniform(0.1, 0.6))
    is_own = target.kind == OWN_KIND
    texture = _relit(rng, target.image) if is_own else varied(rng, target.image)
    if not is_own and rng.random() < 0.3:
        texture = camouflaged(rng, texture, scene, outer)
    bow = 0.03 if any(target.margins) else 0.012  # a scrap's own edges may be of any shape
    bows = tuple(rng.normal(0, bow, 4)) if target.is_flexible and rng.random() < 0.35 else ()
    paste_texture(scene, texture, outer, radius=target.corner_radius, bows=bows)
    if rng.random() < 0.1:
        draw_occluder(rng, scene, corners)
    return scene


def target_outline(corners: Points, target: TargetTexture) -> Points:
    """Corners of the target's whole picture."""
    left, top, right, bottom = target.margins
    if not any(target.margins):
        return corners
    outer = np.array([[-1 - left, -1 - top], [1 + right, -1 - top], [1 + right, 1 + bottom], [-1 - left, 1 + bottom]])
    return plane_points(corners, outer)


def varied(rng: np.random.Generator, texture: Image) -> Image:
    """The texture with its colours shifted, swapped or inverted, so that one drawing serves many samples."""
    style = rng.random()
    if style < 0.12:
        texture = np.ascontiguousarray(texture[..., rng.permutation(3)])
    elif style < 0.16:
        texture = np.asarray(cv2.bitwise_not(texture), np.uint8)
    return _relit(rng, texture)


def _relit(rng: np.random.Generator, texture: Image) -> Image:
    """The texture in another light, its colours nearly kept."""
    if rng.random() < 0.5:
        contrast = rng.uniform(0.6, 1.1)
        texture = np.asarray(cv2.convertScaleAbs(texture, alpha=contrast, beta=rng.uniform(0, 40)), np.uint8)
    if rng.random() < 0.3:
        texture = shaded(rng, texture, rng.uniform(3, 20))
    blue, green, red = rng.normal(0, 10, 3).tolist()
    return tinted(texture, (blue, green, red))


def camouflaged(rng: np.random.Generator, texture: Image, scene: Image, corners: Points) -> Image:
    """The texture with its rim's brightness moved towards that of the ground around it: a faint edge."""
    left, top = np.maximum(corners.min(axis=0).astype(int), 0)
    right, bottom = np.minimum(corners.max(axis=0).astype(int), (scene.shape[1] - 1, scene.shape[0] - 1))
    ground = np.array(cv2.mean(scene[top : bottom + 1, left : right + 1])[:3])
    rim = np.array(cv2.mean(np.concatenate([texture[:3], texture[-3:]]))[:3])
    blue, green, red = ((ground - rim) * rng.uniform(0.3, 0.9)).tolist()
    return tinted(texture, (blue, green, red))
