"""Grey procedural surfaces that lie behind the target: wood, plaster, tiles, cloth, stripes, grilles."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.synthesis.drawing.images import smooth_field
from stn_rectify.runtime.arrays import Image

_Field = npt.NDArray[np.float32]


def draw_surface(rng: np.random.Generator, width: int, height: int) -> Image:
    """One surface, uint8 [height, width], around mid-grey; it is coloured when a frame is composed."""
    painter = _SURFACES[int(rng.integers(len(_SURFACES)))]
    field = painter(rng, width, height)
    return np.asarray(np.clip(128 + 42 * field / (field.std() + 1e-6), 0, 255), np.uint8)


def _fractal(
    rng: np.random.Generator,
    width: int,
    height: int,
    stretch: tuple[float, float] = (1.0, 1.0),
    octaves: int = 6,
) -> _Field:
    """Noise with octaves down to a few pixels, stretched along an axis; unit variance."""
    field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = (max(2, int(4 * stretch[0] * 2**octave)), max(2, int(3 * stretch[1] * 2**octave)))
        field += smooth_field(rng, width, height, cells) * np.float32(0.62**octave)
    return np.asarray(field / field.std(), np.float32)


def _wood(rng: np.random.Generator, width: int, height: int) -> _Field:
    grain = _fractal(rng, width, height, (rng.uniform(0.3, 0.8), rng.uniform(3, 8)))
    if rng.random() < 0.5:
        rings = np.linspace(0, rng.uniform(5, 60), height, dtype=np.float32)[:, None]
        grain = np.asarray(np.sin(grain * np.float32(rng.uniform(2, 5)) + rings) + 0.4 * grain, np.float32)
    return grain


def _plaster(rng: np.random.Generator, width: int, height: int) -> _Field:
    return _fractal(rng, width, height, (rng.uniform(0.5, 2), rng.uniform(0.5, 2)), 7)


def _tiles(rng: np.random.Generator, width: int, height: int) -> _Field:
    """Tiles, bricks, planks or keys: rows of rectangles with joints, each row perhaps offset."""
    field = _fractal(rng, width, height) * np.float32(0.4)
    tile_width, tile_height = rng.uniform(25, 220), rng.uniform(18, 150)
    joint, thickness = (rng.uniform(-4, 4),), int(rng.integers(1, 5))
    offset = rng.uniform(0, tile_width)
    for row, top in enumerate(np.arange(-tile_height, height, tile_height)):
        cv2.line(field, (0, int(top)), (width, int(top)), joint, thickness)
        for x in np.arange((row % 2) * offset, width, tile_width):
            tile = (int(x), int(top)), (int(x + tile_width), int(top + tile_height))
            if rng.random() < 0.3:
                cv2.rectangle(field, *tile, (rng.uniform(-1, 1),), -1)
            cv2.line(field, tile[0], (int(x), int(top + tile_height)), joint, thickness)
    return field


def _cloth(rng: np.random.Generator, width: int, height: int) -> _Field:
    noise = rng.standard_normal((height, width), dtype=np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 3), sigmaY=rng.uniform(0.5, 3))
    return np.asarray(fine / fine.std() + 0.5 * _fractal(rng, width, height, octaves=3), np.float32)


def _stripes(rng: np.random.Generator, width: int, height: int) -> _Field:
    """Corrugated board, blinds or a striped wall."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))
    return np.asarray(wave * rng.uniform(0.3, 1.5) + 0.5 * _fractal(rng, width, height), np.float32)


def _grille(rng: np.random.Generator, width: int, height: int) -> _Field:
    """A mesh or row of slots with sharp edges."""
    step_x, step_y = int(rng.integers(5, 40)), int(rng.integers(5, 40))
    field = _fractal(rng, width, height) * np.float32(0.3)
    field[:, np.arange(width) % step_x < step_x * rng.uniform(0.2, 0.6)] += np.float32(rng.uniform(-2, 2))
    field[np.arange(height) % step_y < step_y * rng.uniform(0.2, 0.6)] += np.float32(rng.uniform(-2, 2))
    return field


_SURFACES: tuple[Callable[[np.random.Generator, int, int], _Field], ...] = (
    _wood,
    _wood,
    _plaster,
    _plaster,
    _tiles,
    _tiles,
    _cloth,
    _stripes,
    _grille,
)
