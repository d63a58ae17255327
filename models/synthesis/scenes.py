"""The synthesiser of scenes: one camera frame with no, one or several targets of any size for each index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stn_rectify.models.synthesis.drawing.images import Points, blended
from stn_rectify.models.synthesis.drawing.pictures import picture_crop
from stn_rectify.models.synthesis.material.bank import Bank, Material
from stn_rectify.models.synthesis.photography.pasting import cast_shadow, paste_texture
from stn_rectify.models.synthesis.photography.photometry import take_photograph
from stn_rectify.models.synthesis.photography.poses import draw_pose
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.surroundings.clutter import draw_clutter, draw_occluder
from stn_rectify.models.synthesis.surroundings.mountings import draw_holder, draw_panels, draw_vehicle
from stn_rectify.models.synthesis.synthesiser import camouflaged, target_outline, varied
from stn_rectify.models.synthesis.targets.kinds import TargetTexture, as_marked
from stn_rectify.models.synthesis.targets.typeset.kinds import draw_typeset_target
from stn_rectify.runtime.arrays import FloatArray, Image

#: The most targets of a scene.
MAX_TARGETS = 6
#: How often a scene has 0, 1, … targets.
_COUNT_SHARES = np.array([0.22, 0.4, 0.13, 0.1, 0.07, 0.05, 0.03])
#: The larger extent of a target, as a share of the frame's side: least, and largest by the number of targets.
_LEAST_EXTENT = 0.04
_LARGEST_EXTENT = (0.98, 0.98, 0.6, 0.5, 0.45, 0.4, 0.35)
#: How often a single target is large, and its extent then.
_LARGE_SHARE, _LARGE_EXTENT = 0.45, (0.33, 0.98)
#: How often a scene is of number plates alone, and how often a target of another one is a plate.
_PLATES_ONLY_SHARE, _PLATE_SHARE = 0.3, 0.12
#: How often a scene without a target is a photograph as it is, and how often one lies behind targets, where there are
#: photographs without targets.
_NEGATIVE_SHARE, _NEGATIVE_BEHIND_SHARE = 0.7, 0.35
#: So many textures of plates, and of all kinds, are set in TrueType faces, and so often one of them is taken.
_TYPESET, _TYPESET_SHARE = 400, 0.35
#: Keeps their random numbers apart from the bank's and the scenes'.
_TYPESET_STREAM = 2
#: How often something covers a part of an edge, and how often a corner.
_EDGE_COVERED_SHARE, _CORNER_COVERED_SHARE = 0.06, 0.03
#: No edge of a target is shorter than this fraction of the frame's height.
_LEAST_EDGE = 0.012
#: A target is to be seen if the greys in and around it differ by this much; one in the dark, or burnt out, is not.
_LEAST_CONTRAST = 9
_ATTEMPTS = 12


@dataclass(frozen=True)
class SynthesisedScene:
    """One training sample.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        corners: float64 [N, 4, 2], pixels, TL, TR, BR, BL of each upright target, (0, 0) the centre of the first pixel;
            they may lie outside the frame. N is 0 to `MAX_TARGETS`.
        kinds: what each target is ("page", "plate", …; see `stn_rectify.models.synthesis.TARGET_KINDS`).
    """

    frame: Image
    corners: FloatArray
    kinds: tuple[str, ...]


class SceneSynthesiser:
    """Draws camera frames that show several planar targets, or none, for a network that looks everywhere.

    Scene ``index`` depends on the seed, the index, the frame size and the files alone, as with
    `stn_rectify.models.synthesis.FrameSynthesiser`.

    Example:
        >>> scene = SceneSynthesiser(seed=1)(3)
        >>> len(scene.corners) == len(scene.kinds)
        True
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        frame_size: tuple[int, int] = (480, 360),
        backgrounds: Path | None = None,
        negatives: Path | None = None,
        targets: Path | None = None,
    ) -> None:
        """Prepares a synthesiser; draws nothing yet.

        Args:
            seed: 0 or more; another seed gives other textures and other frames.
            frame_size: width and height of the frames, pixels.
            backgrounds: a folder of photographs for use behind and on targets; None for none.
            negatives: a folder of photographs that show no target, for scenes without one and behind targets; None for
                none.
            targets: a folder of upright pictures of the only targets, each cut out along the target's edges. None for
                all kinds, drawn.

        Raises:
            DataError: if the seed is negative, or there is no such folder or no picture in it.
        """
        self._seed, self._frame_size = seed, frame_size
        self._material = Material(seed, backgrounds=backgrounds, negatives=negatives, targets=targets)
        self._typeset: dict[tuple[str | None, int], TargetTexture] = {}

    def __call__(self, index: int) -> SynthesisedScene:
        """Draws scene ``index``, 0 or more.

        Raises:
            DataError: if the index is negative, or a picture cannot be used.
        """
        rng, bank = self._material.random_numbers(index), self._material.bank
        count = int(rng.choice(len(_COUNT_SHARES), p=_COUNT_SHARES / _COUNT_SHARES.sum()))
        if count == 0:
            return SynthesisedScene(self._empty(rng, bank), np.empty((0, 4, 2)), ())
        plates_only = bool(bank.plates) and rng.random() < _PLATES_ONLY_SHARE
        textures = [self._texture(rng, bank, plates_only=plates_only) for _ in range(count)]
        placed = _poses(rng, textures, self._frame_size)
        if not placed:
            return SynthesisedScene(self._empty(rng, bank), np.empty((0, 4, 2)), ())
        scene = self._background(rng, bank)
        for texture, corners in placed:
            scene = _with_target(rng, scene, bank, texture, corners, alone=len(placed) == 1)
        frame = take_photograph(rng, scene, bank.noise)
        seen = [(texture.kind, corners) for texture, corners in placed if _is_seen(frame, corners)]
        return SynthesisedScene(
            frame, np.array([c for _, c in seen]).reshape(-1, 4, 2), tuple(kind for kind, _ in seen)
        )

    def __getstate__(self) -> Mapping[str, Any]:
        return {**self.__dict__, "_typeset": {}}

    def _texture(self, rng: np.random.Generator, bank: Bank, *, plates_only: bool) -> TargetTexture:
        kind = "plate" if bank.plates and (plates_only or rng.random() < _PLATE_SHARE) else None
        if not self._material.has_own_targets and rng.random() < _TYPESET_SHARE:
            return self._typeset_texture(bank, kind, int(rng.integers(_TYPESET)))
        pool = bank.plates if kind else bank.targets
        return pool[int(rng.integers(len(pool)))]

    def _typeset_texture(self, bank: Bank, kind: str | None, number: int) -> TargetTexture:
        """A texture set in a TrueType face; each is drawn when it is asked for first, which takes 0.05 s."""
        if (kind, number) not in self._typeset:
            key = (_TYPESET_STREAM, kind is not None, number)
            rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))
            drawn = draw_typeset_target(rng, bank.photographs or bank.pictures, kind)
            self._typeset[kind, number] = as_marked(drawn)
        return self._typeset[kind, number]

    def _background(self, rng: np.random.Generator, bank: Bank) -> Image:
        if bank.negatives and rng.random() < _NEGATIVE_BEHIND_SHARE:
            return picture_crop(rng, bank.negatives, *self._frame_size)
        scene = draw_background(rng, bank, self._frame_size)
        # Discs, strips and words; no rectangles, which would be targets without a truth.
        return draw_clutter(rng, scene, bank, int(rng.integers(0, 7)), 0, 0) if rng.random() < 0.5 else scene

    def _empty(self, rng: np.random.Generator, bank: Bank) -> Image:
        """A frame without a target: a photograph of something else, or a procedural scene."""
        if bank.negatives and rng.random() < _NEGATIVE_SHARE:
            picture = picture_crop(rng, bank.negatives, *self._frame_size)
            return take_photograph(rng, picture, bank.noise) if rng.random() < 0.3 else picture
        scene = draw_background(rng, bank, self._frame_size)
        if rng.random() < 0.4:
            scene = _with_vehicle(rng, scene, draw_pose(rng, 3.4, self._frame_size, extent=(0.08, 0.6)), bank)
        return take_photograph(rng, draw_clutter(rng, scene, bank, int(rng.integers(0, 7)), 0, 0), bank.noise)


def _is_seen(frame: Image, corners: Points) -> bool:
    """Tells whether a target can be told from what is around it."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = 0.15 * (high - low) + 2
    (left, top), (right, bottom) = np.maximum(low - room, 0).astype(int), (high + room).astype(int)
    part = cv2.blur(cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_BGR2GRAY), (3, 3))
    darkest, brightest = np.percentile(part, (3, 97))
    return bool(brightest - darkest >= _LEAST_CONTRAST)


def _poses(
    rng: np.random.Generator, textures: Sequence[TargetTexture], size: tuple[int, int]
) -> list[tuple[TargetTexture, Points]]:
    """The targets with corners that do not overlap, largest first; one for which no place is found is left out."""
    occupied = np.zeros((size[1], size[0]), np.uint8)
    placed = []
    largest = _LARGEST_EXTENT[len(textures)]
    extents = np.sort(np.exp(rng.uniform(np.log(_LEAST_EXTENT), np.log(largest), len(textures))))[::-1]
    if len(textures) == 1 and rng.random() < _LARGE_SHARE:
        extents = rng.uniform(*_LARGE_EXTENT, 1)
    for texture, extent in zip(textures, extents, strict=True):
        aspect = float(np.clip(texture.aspect * rng.uniform(0.92, 1.08), 0.2, 5.0))
        for _ in range(_ATTEMPTS):
            corners = draw_pose(rng, aspect, size, extent=(extent, 1.02 * extent), cut_off=0.1, least_edge=_LEAST_EDGE)
            mask = np.zeros_like(occupied)
            cv2.fillConvexPoly(mask, target_outline(corners, texture).round().astype(np.int32), (1,))
            if not np.any(cv2.dilate(mask, np.ones((5, 5), np.uint8))[occupied > 0]):
                occupied |= mask
                placed.append((texture, corners))
                break
    return placed


def _with_target(
    rng: np.random.Generator, scene: Image, bank: Bank, texture: TargetTexture, corners: Points, *, alone: bool
) -> Image:
    """The scene with a target on it, and what it is mounted on."""
    is_plate = texture.kind == "plate"
    if alone or np.ptp(corners, axis=0).max() < 0.15 * scene.shape[1]:
        if rng.random() < (0.6 if is_plate else 0.02):
            scene = _with_vehicle(rng, scene, corners, bank)
        elif alone and rng.random() < 0.25:
            scene = draw_panels(rng, scene, corners)
    outer = target_outline(corners, texture)
    if rng.random() < (0.35 if is_plate else 0.05):
        draw_holder(rng, scene, outer)
    if rng.random() < 0.4:
        unit = np.ptp(corners, axis=0).max() / 150
        scene = cast_shadow(scene, outer, rng.normal(0, 4 * unit, 2), rng.uniform(1, 7) * unit, rng.uniform(0.1, 0.6))
    image = varied(rng, texture.image)
    if rng.random() < 0.2:
        image = camouflaged(rng, image, scene, outer)
    bow = 0.03 if any(texture.margins) else 0.012
    bows = tuple(rng.normal(0, bow, 4)) if texture.is_flexible and rng.random() < 0.35 else ()
    paste_texture(scene, image, outer, radius=texture.corner_radius, bows=bows)
    covered = rng.random()
    if covered < _EDGE_COVERED_SHARE:
        draw_occluder(rng, scene, corners)
    elif covered < _EDGE_COVERED_SHARE + _CORNER_COVERED_SHARE:
        draw_occluder(rng, scene, corners, at=(0.0, 0.06))
    return scene


def _with_vehicle(rng: np.random.Generator, scene: Image, corners: Points, bank: Bank) -> Image:
    """A vehicle front around the place of a plate: all of the frame behind a large one, a part of it behind others."""
    front = draw_vehicle(rng, scene, corners, bank)
    middle, across, down = corners.mean(axis=0), corners[1] - corners[0], corners[3] - corners[0]
    width = np.linalg.norm(across)
    across = across * rng.uniform(1.3, 2.4)
    down = down / max(np.linalg.norm(down), 1e-6) * width * rng.uniform(0.7, 1.5)
    outline = middle + np.array([-across - down, across - down, across + 0.6 * down, -across + 0.6 * down]) / 1.2
    mask = np.zeros(scene.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, outline.round().astype(np.int32), (255,), cv2.LINE_AA)
    soft = max(1.0, 0.06 * float(width))
    mask = np.asarray(cv2.threshold(cv2.GaussianBlur(mask, (0, 0), soft), 127, 255, cv2.THRESH_BINARY)[1], np.uint8)
    return blended(front, scene, np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.uint8))
