"""Measures at which places of the frame a sampler reads, and how these follow from θ: by what it makes of ramps.

A bilinear sampler that is shown the image I(x, y) = x gives the x at which it reads, exactly; shown y, the y. So a
sampler tells its own coordinates, whatever it is made of, and a matrix M with (x, y) = M · (j, i, 1) is fitted to them
for many θ, then M = K · θ + k to the matrices. Images are from 0 to 1, so that a sampler that holds its result there
gives the same. That it is bilinear shows on noise (`borders`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.reading.foreign.fitting import (
    AFFINE,
    MOST_RESIDUAL_PX,
    MOST_SPLINE_RESIDUAL_PX,
    Places,
    fit_affine,
    fit_grid,
    fit_projective,
    fit_spline,
)
from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.geometry import THETA_SIZE, identity_theta

#: frames float32 [B, H, W, C] and θ float32 [B, n] → rectified images [B, h, w, C].
SampleFunction = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32]], Array]

_STEP = 0.06  # of the frame's shorter side: how far a pose moves the image
_EDGE_PX = 0.02
_FLAT = 1e-3  # how far what comes of a white frame may be from white, where the sampler reads inside
_LEAST_INSIDE = 0.05  # share of the pixels that must be read inside the frame
_ON_PIXELS_PX = 1e-3
_LEAST_DEPTH = 1 / 8  # of that at the middle: docs/reference/integer-sampler.md, the range of θ


@dataclass(frozen=True)
class PoseMap:
    """From pixels of the rectified image to pixels of the frame: (x, y, 1) ~ M · (j, i, 1), M.ravel() = K · θ + k.

    Of a spline K · θ + k are its 16 control points in the frame, x and y in turns, instead.

    Attributes:
        K: float64 [6, n], the first two rows of an affine M; or [9, n]; or [32, n].
        k: float64 [6, 9 or 32].
        residual_px: the largest distance of a measured place from that, in the poses measured.
        theta: a θ whose image shows the inside of the frame, float64 [n].
        spread: how much of each number of θ moves the image by some percent of the frame, float64 [n].
        grid: of another spline than ours the places themselves, x and y, as linear functions of θ and 1, float64
            [h, w, 2, n + 1], NaN where they were not measured; `residual_px` is how far ours is from them.
    """

    K: FloatArray = field(repr=False)
    k: FloatArray = field(repr=False)
    residual_px: float
    theta: FloatArray = field(repr=False)
    spread: FloatArray = field(repr=False)
    grid: FloatArray | None = field(default=None, repr=False)

    @property
    def transform(self) -> str:
        """Affine, projective or tps."""
        return {AFFINE: "affine", THETA_SIZE["tps"]: "tps"}.get(len(self.k), "projective")

    def matrix(self, theta: FloatArray) -> FloatArray:
        """M for one θ, [2, 3] or [3, 3]."""
        return np.asarray((self.K @ theta + self.k).reshape(-1, 3))

    def places(self, theta: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        """x and y for every pixel of a rectified image, [h, w] each; NaN at and behind the camera.

        Args:
            theta: [n].
            size: h and w.
        """
        if self.grid is not None:
            x, y = np.moveaxis(self.grid @ np.append(theta, 1), -1, 0)
            return x, y
        i, j = np.mgrid[0 : size[0], 0 : size[1]]
        mapped = np.stack([j, i, np.ones_like(i)], axis=-1) @ self.matrix(theta).T
        if mapped.shape[-1] == 3:
            depth = mapped[..., 2:] / np.median(mapped[..., 2])
            with np.errstate(divide="ignore", invalid="ignore"):
                mapped = np.where(depth > _LEAST_DEPTH, mapped[..., :2] / mapped[..., 2:], np.nan)
        return mapped[..., 0], mapped[..., 1]


@dataclass(frozen=True)
class Levels:
    """What a sampler's image has in the place of the frame's own values: ``value · factor + offset``, for each channel.

    Attributes:
        factor: above 0, float64 [C].
        offset: float64 [C].
    """

    factor: FloatArray
    offset: FloatArray

    @property
    def are_the_frames(self) -> bool:
        """Tells whether they are the frame's own."""
        return bool(np.abs(self.factor - 1).max() < _FLAT and np.abs(self.offset).max() < _FLAT)

    def given(self, image: Any) -> Any:
        """An image of the frame's own values, [..., C], as the sampler gives it; float32."""
        return image * np.float32(self.factor) + np.float32(self.offset)

    def undone(self, image: Any) -> Any:
        """The image of the frame's own values of what the sampler gives, [..., C]; float32."""
        return (image - np.float32(self.offset)) / np.float32(self.factor)


class SamplerProbe:
    """A sampler to ask where it reads.

    Its images are told as of the frame's own values: what it makes of black and white shows how it scales them.

    Args:
        name: of the model, for messages.
        sample: the sampler.
        frame_shape: height, width, channels of the frame.
        batch: the batch size that ``sample`` takes; None for any.
        theta: one that the model itself gives, float64 [n].

    Attributes:
        levels: of its images.
    """

    def __init__(
        self,
        name: str,
        sample: SampleFunction,
        frame_shape: tuple[int, int, int],
        theta: FloatArray,
        batch: int | None = None,
    ) -> None:
        self.name, self.frame_shape = name, frame_shape
        self._sample, self._batch = sample, batch
        self._starts = [*_usual_starts(len(theta)), theta]
        self.levels = Levels(np.ones(frame_shape[2]), np.zeros(frame_shape[2]))
        self.levels = self._found_levels()

    def images(self, frames: Array, thetas: Array) -> Array:
        """The rectified images [P, h, w, C] of one frame [H, W, C], or of one each [P, H, W, C], for θ [P, n]."""
        thetas = np.asarray(thetas, np.float32)
        frames = np.broadcast_to(np.asarray(frames, np.float32), (len(thetas), *self.frame_shape))
        step = self._batch or 16
        made = []
        for first in range(0, len(thetas), step):
            some, poses = frames[first : first + step], thetas[first : first + step]
            missing = step - len(poses) if self._batch else 0
            poses = np.concatenate([poses, np.repeat(poses[-1:], missing, axis=0)])
            some = np.concatenate([some, np.repeat(some[-1:], missing, axis=0)])
            made.append(np.asarray(self._sample(some, poses), np.float64)[: step - missing])
        return np.asarray((np.concatenate(made) - self.levels.offset) / self.levels.factor)

    def _found_levels(self) -> Levels:
        """Of what most of the image shows, black and white frames being seen."""
        for start in self._starts:
            black, white = (
                np.median(self.images(np.full(self.frame_shape, value), start[None]), axis=(0, 1, 2))
                for value in (0.0, 1.0)
            )
            found = Levels(white - black, black)
            if (found.factor > _FLAT).all():
                return self.levels if found.are_the_frames else found
        return self.levels

    def pose_map(self) -> PoseMap | None:
        """Fits the places to θ; None if no matrix or spline that is a linear function of it puts the pixels there.

        Raises:
            ModelFileError: if what it reads is not the frame itself, bilinearly; or nothing of the frame is found; or
                each place is a linear function of θ, but no spline of ours comes near to it.
        """
        rng = np.random.default_rng(0)
        start = self._start()
        spread = self._spread(start)
        thetas = start + rng.normal(0, 1, (24 + 4 * len(start), len(start))) * spread
        places = self._places(thetas)
        self._check_pixels(thetas, places)
        found = fit_affine(thetas, places, rng)
        if found is None:
            found = fit_projective(thetas, places, start, spread)
        if found is None or not found.residual_px <= MOST_RESIDUAL_PX:
            return self._spline(thetas, places, start, spread)
        return PoseMap(found.K, found.k, found.residual_px, start, spread)

    def _spline(self, thetas: Array, places: Places, start: FloatArray, spread: FloatArray) -> PoseMap | None:
        """The spline of ours that comes nearest; None if the places are no linear function of θ."""
        grid = fit_grid(thetas, places, start, spread)
        if grid is None:
            return None
        found = fit_spline(thetas, places, start, spread)
        if found is None or found.residual_px > MOST_SPLINE_RESIDUAL_PX:
            away = "" if found is None else f" ({found.residual_px:.2g} px away at its nearest)"
            raise ModelFileError(
                f"{self.name}: each place that its sampler reads is a linear function of theta, as with splines, but "
                f"its grid is none with 4x4 control points from edge to edge of the image{away}; train with "
                "stn_rectify's ThinPlateSplineGrid in its place, or with an affine or projective grid"
            )
        return PoseMap(found.K, found.k, found.residual_px, start, spread, grid)

    def _start(self) -> FloatArray:
        """A θ that shows the inside of the frame: the middle of it, if the usual numbers do that."""
        starts = self._starts
        shares = [self._places(start[None]).share for start in starts]
        best = int(np.argmax(shares))
        if shares[best] < _LEAST_INSIDE:
            self._check_values(starts)
            raise ModelFileError(
                f"{self.name}: its sampler shows nothing of the frame, neither at the theta that the model gives for "
                "random frames nor at the usual ones: pixel values may be cut off (--value-range), or the model is "
                "untrained"
            )
        return np.asarray(starts[best], np.float64)

    def _check_values(self, thetas: list[FloatArray]) -> None:
        """Refuses a sampler whose black is not black, or whose white is not white."""
        if not self.levels.are_the_frames:
            return  # outside the frame they may be others: `borders` tells
        black, white = (self.images(np.full(self.frame_shape, value), np.stack(thetas)) for value in (0.0, 1.0))
        if np.abs(black).max() > _FLAT or white.max() > 1 + _FLAT:
            raise ModelFileError(
                f"{self.name}: its sampler does not read the frame itself: values 0 and 1 become "
                f"{np.median(black):.3g} and {white.max():.3g}; let it read the frame before that is inverted or "
                "otherwise changed"
            )

    def _spread(self, start: FloatArray) -> FloatArray:
        """How much of each number of θ moves the image by `_STEP`."""
        target = _STEP * min(self.frame_shape[:2])
        spread = np.zeros(len(start))
        before = self._places(start[None])
        for place in range(len(start)):
            step = 0.05
            for _ in range(8):
                after = self._places((start + step * np.eye(len(start))[place])[None])
                both = before.inside & after.inside
                if both.mean() >= _LEAST_INSIDE / 2:
                    moved = float(np.hypot(after.x - before.x, after.y - before.y)[both].max())
                    spread[place] = step * min(target / max(moved, 1e-9), 50.0)
                    if moved >= target / 50:
                        break
                    step *= 20
                else:
                    step /= 10
        return spread

    def _places(self, thetas: Array) -> Places:
        height, width, _ = self.frame_shape
        y, x = (axis / max(1, n - 1) for axis, n in zip(np.mgrid[0:height, 0:width], (height, width), strict=True))
        white, at_x, at_y = (self.images(plane[..., None], thetas)[..., 0] for plane in (np.ones_like(x), x, y))
        at_x, at_y = at_x * (width - 1), at_y * (height - 1)
        inside = np.abs(white - 1) < _FLAT
        for found, size in ((at_x, width), (at_y, height)):
            # The last pixel and the one before it may be where a sampler holds what lies outside.
            inside &= (found > _EDGE_PX) & (found < size - 1 - _EDGE_PX) & (np.abs(found - (size - 2)) > _EDGE_PX)
        return Places(at_x, at_y, inside, (height, width))

    def _check_pixels(self, thetas: Array, places: Places) -> None:
        """Refuses what reads something else than the frame's own pixels, or the nearest ones."""
        inside = places.inside
        self._check_values(list(thetas[:4]))
        read = np.concatenate([places.x[inside], places.y[inside]])
        if read.size and np.abs(read - np.rint(read)).max() < _ON_PIXELS_PX:
            raise ModelFileError(
                f"{self.name}: its sampler reads the nearest pixel, and not between pixels; sample bilinearly"
            )


def _usual_starts(numbers: int) -> list[FloatArray]:
    """The θ that shows the middle of the frame, if one of so many numbers has a usual meaning."""
    transform = next((name for name, size in THETA_SIZE.items() if size == numbers), None)
    if transform is None:
        return []
    identity = identity_theta(transform)
    return [0.6 * identity if transform == "tps" else np.where(identity == 1, 0.6, identity)]
