"""What a sampler makes of places outside the frame: told by what it makes of noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stn_rectify.converters.reading.foreign.coordinates import Levels, PoseMap, SamplerProbe
from stn_rectify.models.network.layers import PADDINGS
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError

#: Of pixel values from 0 to 1: float32 arithmetic in another order is tens of times nearer.
MOST_DIFFERENCE = 1e-3
_VISIBLE = 1 / 255
_NEAR_PX = 2e-3  # from a pixel's centre, where float32 may fall on either side of a jump
_POSES = 24
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Border:
    """The border of a sampler.

    Attributes:
        name: which it is; `_UNKNOWN` where its images are those of none that has a name here.
        padding: the one of ours (`PADDINGS`) that comes nearest.
        differs: share of the pixels in which that differs by a level of 255 or more, on poses that leave the frame.
    """

    name: str
    padding: str
    differs: float

    @property
    def exact(self) -> bool:
        """Tells whether the padding is the border, not only near it."""
        return self.name == self.padding


def _neighbours(image: Array, x: Array, y: Array, columns: tuple[Array, Array], rows: tuple[Array, Array]) -> Array:
    """Four pixels weighted by how far x and y are from ``columns[0]`` and ``rows[0]``, extrapolated beyond 0 and 1."""
    height, width, _ = image.shape
    fx, fy = (x - columns[0])[..., None], (y - rows[0])[..., None]
    (left, right), (top, bottom) = (
        tuple(np.clip(n, 0, size - 1).astype(int) for n in pair) for pair, size in ((columns, width), (rows, height))
    )
    upper = (1 - fx) * image[top, left] + fx * image[top, right]
    lower = (1 - fx) * image[bottom, left] + fx * image[bottom, right]
    return np.asarray((1 - fy) * upper + fy * lower)


def _held(image: Array, x: Array, y: Array, short: int = 1) -> Array:
    height, width, _ = image.shape
    x, y = np.clip(x, 0, width - short), np.clip(y, 0, height - short)
    columns, rows = np.floor(x), np.floor(y)
    return _neighbours(image, x, y, (columns, columns + 1), (rows, rows + 1))


def _zeros(image: Array, x: Array, y: Array) -> Array:
    return _held(np.pad(image, ((1, 1), (1, 1), (0, 0))), x + 1, y + 1)


def _cut(image: Array, x: Array, y: Array) -> Array:
    height, width, _ = image.shape
    inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)
    return np.where(inside[..., None], _held(image, x, y), 0)


def _cut_toward_zero(image: Array, x: Array, y: Array) -> Array:
    """Cut, but coordinates are rounded toward zero: extrapolated from -1 to 0, as ``cast(x, int)`` makes it."""
    height, width, _ = image.shape
    x0, y0 = np.trunc(x), np.trunc(y)
    x0, x1 = np.clip(x0, 0, width - 1), np.clip(x0 + 1, 0, width - 1)
    y0, y1 = np.clip(y0, 0, height - 1), np.clip(y0 + 1, 0, height - 1)
    total = np.zeros((*x.shape, image.shape[2]))
    for column, across in ((x0, x1 - x), (x1, x - x0)):
        for row, down in ((y0, y1 - y), (y1, y - y0)):
            total += (across * down)[..., None] * image[row.astype(int), column.astype(int)]
    return total


def _extrapolated(image: Array, x: Array, y: Array) -> Array:
    height, width, _ = image.shape
    columns, rows = np.clip(np.floor(x), 0, width - 2), np.clip(np.floor(y), 0, height - 2)
    return _neighbours(image, x, y, (columns, columns + 1), (rows, rows + 1))


def _mirrored(image: Array, x: Array, y: Array) -> Array:
    height, width, _ = image.shape
    x, y = (last - np.abs(np.mod(n, 2 * last) - last) for n, last in ((x, width - 1), (y, height - 1)))
    return _held(image, x, y)


def _repeated(image: Array, x: Array, y: Array) -> Array:
    height, width, _ = image.shape
    x, y = np.mod(x, width), np.mod(y, height)
    wrapped = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    return _held(wrapped, x, y)


_Sampler = Callable[[Array, Array, Array], Array]
_BLACK = ("zeros", "cut")
_BORDERS: dict[str, _Sampler] = {
    "zeros": _zeros,
    "border": _held,
    "cut": _cut,
    "cut, rounded toward zero (extrapolated over the first pixel)": _cut_toward_zero,
    "border one pixel early (held at W - 2)": lambda image, x, y: _held(image, x, y, 2),
    "extrapolated": _extrapolated,
    "mirrored": _mirrored,
    "repeated": _repeated,
}


def _of_scaled_values(border: _Sampler, fill: Array) -> _Sampler:
    """The same border around values of which 0 is ``fill`` of the frame's own, [C]."""
    return lambda image, x, y: border(image - fill, x, y) + fill


def _known_borders(levels: Levels) -> dict[str, _Sampler]:
    """`_BORDERS`, and those that give 0 of scaled values if they are scaled."""
    if levels.are_the_frames:
        return _BORDERS
    fill = -levels.offset / levels.factor
    return {**_BORDERS, **{f"{name} of its scaled values": _of_scaled_values(_BORDERS[name], fill) for name in _BLACK}}


def find_border(probe: SamplerProbe, found: PoseMap) -> Border:
    """Compares a sampler with all that are known here, on noise, at poses that leave the frame on every side.

    Raises:
        ModelFileError: if it is not bilinear inside the frame.
    """
    rng = np.random.default_rng(1)
    height, width, _ = probe.frame_shape
    borders = _known_borders(probe.levels)
    worst, visible = dict.fromkeys(borders, 0.0), dict.fromkeys(borders, 0.0)
    bent = 0.0
    # Bent away from the middle: from a little over each edge to half of the frame beyond it.
    poses = found.theta + rng.normal(0, 1, (_POSES, len(found.theta))) * found.spread * rng.uniform(1, 12, (_POSES, 1))
    frames = rng.random((_POSES, *probe.frame_shape), np.float32)
    images = probe.images(frames, poses)
    for frame, theta, image in zip(frames.astype(np.float64), poses, images, strict=True):
        x, y = found.places(theta, (images.shape[1], images.shape[2]))
        before = np.isfinite(x)
        x, y = np.where(before, x, 0), np.where(before, y, 0)
        sure = before & (np.abs(x - np.rint(x)) > _NEAR_PX) & (np.abs(y - np.rint(y)) > _NEAR_PX)
        inside = before & (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
        bent = max(bent, float(np.abs(_held(frame, x, y) - image)[inside].max(initial=0)))
        for name, border in borders.items():
            difference = np.abs(border(frame, x, y) - image).max(axis=-1)[sure]
            worst[name] = max(worst[name], float(difference.max(initial=0)))
            visible[name] += float((difference > _VISIBLE).mean()) / _POSES if difference.size else 0
    if bent > MOST_DIFFERENCE:
        raise ModelFileError(
            f"{probe.name}: its sampler reads between pixels, but not bilinearly: it is off by up to "
            f"{255 * bent:.0f} of 255 levels on noise (a cubic function, or channels in another order?)"
        )
    name = min(worst, key=lambda known: (worst[known] > MOST_DIFFERENCE, visible[known], worst[known]))
    if worst[name] > MOST_DIFFERENCE:
        name = _UNKNOWN
    padding = name if name in PADDINGS else min(PADDINGS, key=lambda known: visible[known])
    return Border(name, padding, visible[padding])
