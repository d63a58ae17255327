"""The material that is drawn once for each seed, because drawing it anew for each frame would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.models.synthesis.drawing.pictures import draw_picture
from stn_rectify.models.synthesis.material.photographs import find_photographs, load_photograph, load_target
from stn_rectify.models.synthesis.material.surfaces import draw_surface
from stn_rectify.models.synthesis.material.vehicles import draw_vehicle_front
from stn_rectify.models.synthesis.targets.kinds import TargetTexture, draw_target
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError

_TARGETS = 1500
_SURFACES = 120
_PICTURES = 80
_VEHICLE_FRONTS = 120
#: Photographs held in memory; of a larger folder each seed takes another part.
_MAX_PHOTOGRAPHS = 600
_PHOTOGRAPH_SIDE_PX = 400
_NEGATIVE_SIDE_PX = 480
_SURFACE_SIZE = (480, 400)
_PICTURE_SIZE = (320, 240)
_NOISE_SIDE_PX = 1024
#: Keeps the bank's random numbers apart from those of the frames, which use no spawn key.
_BANK_STREAM = 1


@dataclass(frozen=True)
class Bank:
    """The material that frames are composed from.

    Attributes:
        targets: upright target textures of all kinds, or the user's own.
        rivals: textures of the other rectangles in a frame.
        surfaces: grey backgrounds, uint8 [400, 480] each.
        pictures: procedural pictures, uint8 [240, 320, 3] each.
        photographs: the user's photographs, uint8 [h, w, 3] each; empty without a folder.
        negatives: those that show no target, uint8 [h, w, 3] each; empty without a folder.
        vehicle_fronts: surroundings of number plates, uint8 [360, 480, 3] each.
        noise: int16 [1024, 1024, 3], normal with a standard deviation of 32: sensor noise to cut from.
    """

    targets: Sequence[TargetTexture]
    rivals: Sequence[TargetTexture]
    surfaces: Sequence[Image]
    pictures: Sequence[Image]
    photographs: Sequence[Image]
    negatives: Sequence[Image]
    vehicle_fronts: Sequence[Image]
    noise: npt.NDArray[np.int16]

    @cached_property
    def plates(self) -> Sequence[TargetTexture]:
        """The number plates among the targets."""
        return [target for target in self.targets if target.kind == "plate"]


class Material:
    """The `Bank` of a seed and of folders, drawn when it is asked for first, and each sample's random numbers.

    Pickling leaves the bank out.

    Args:
        seed: 0 or more.
        backgrounds: folder of photographs, or None.
        negatives: folder of photographs that show no target, or None.
        targets: folder of upright pictures of the only targets, or None.

    Raises:
        DataError: if the seed is negative, or there is no such folder or no picture in it.
    """

    def __init__(
        self, seed: int, *, backgrounds: Path | None, negatives: Path | None = None, targets: Path | None = None
    ) -> None:
        if seed < 0:
            raise DataError(f"seed {seed}: expected 0 or more")
        self._seed = seed
        self._backgrounds = find_photographs(backgrounds, "--backgrounds")
        self._negatives = find_photographs(negatives, "--negatives")
        self._targets = find_photographs(targets, "--targets")

    @property
    def has_own_targets(self) -> bool:
        """Whether the targets are the user's own."""
        return bool(self._targets)

    @cached_property
    def bank(self) -> Bank:
        """The bank; the first time it takes some seconds.

        Raises:
            DataError: see `build_bank`.
        """
        return build_bank(self._seed, self._backgrounds, self._targets, self._negatives)

    def random_numbers(self, index: int) -> np.random.Generator:
        """The random numbers of sample ``index``, 0 or more, which depend on it and on the seed alone.

        Raises:
            DataError: if the index is negative.
        """
        if index < 0:
            raise DataError(f"sample index {index}: expected 0 or more")
        return np.random.default_rng([self._seed, index])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "bank"}


def build_bank(
    seed: int,
    photograph_paths: Sequence[Path],
    target_paths: Sequence[Path] = (),
    negative_paths: Sequence[Path] = (),
) -> Bank:
    """Draws the bank of a seed and reads photographs, own targets and negatives; takes some seconds.

    Raises:
        DataError: if a picture cannot be read, or a target is too narrow.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BANK_STREAM,)))
    photographs = [load_photograph(path, _PHOTOGRAPH_SIDE_PX) for path in _choose(rng, photograph_paths)]
    pictures = [draw_picture(rng, *_PICTURE_SIZE) for _ in range(_PICTURES)]
    on_targets = photographs + pictures[: max(20, _PICTURES - len(photographs))]
    noise = rng.normal(0, 32, (_NOISE_SIDE_PX, _NOISE_SIDE_PX, 3))
    drawn = [draw_target(rng, on_targets) for _ in range(_TARGETS)]
    return Bank(
        targets=[load_target(path) for path in target_paths] or drawn,
        rivals=drawn,
        surfaces=[draw_surface(rng, *_SURFACE_SIZE) for _ in range(_SURFACES)],
        pictures=pictures,
        photographs=photographs,
        negatives=[load_photograph(path, _NEGATIVE_SIDE_PX) for path in negative_paths],
        vehicle_fronts=[draw_vehicle_front(rng) for _ in range(_VEHICLE_FRONTS)],
        noise=noise.astype(np.int16),
    )


def _choose(rng: np.random.Generator, paths: Sequence[Path]) -> list[Path]:
    if len(paths) <= _MAX_PHOTOGRAPHS:
        return list(paths)
    return [paths[place] for place in np.sort(rng.choice(len(paths), _MAX_PHOTOGRAPHS, replace=False))]
