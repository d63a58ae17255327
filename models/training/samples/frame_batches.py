"""Training batches for a network that sees whole frames: a pool's frames, drawn again in ever new crops and colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.geometry import normalised_to_pixels, pixels_to_normalised


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        frames: float32 [B, H, W, C] in [0, 1]; RGB or grey.
        corners: float32 [B, 4, 2], normalised; zeros where there is no target.
        present: float32 [B, 1], 1 where there is a target.
    """

    frames: npt.NDArray[np.float32]
    corners: npt.NDArray[np.float32]
    present: npt.NDArray[np.float32]


#: Makes one sample of frame ``k`` of a pool: an image uint8 [h, w, 3] BGR, and corners float [4, 2] in its normalised
#: coordinates, NaN where there is no target. Arguments: random numbers, the pool, ``k``, width and height.
Draw = Callable[[np.random.Generator, Any, int, tuple[int, int]], tuple[Image, FloatArray]]


def batches(
    pool: Sized,
    epoch: int,
    *,
    input_shape: tuple[int, int, int],
    batch_size: int,
    seed: int,
    first: int = 0,
    draw: Draw | None = None,
) -> Iterator[Batch]:
    """The batches of one epoch, from batch ``first`` on; the same for the same arguments.

    Args:
        pool: the frames.
        epoch: number of the epoch, from 0.
        input_shape: height, width and channels (1 or 3) of the network's input.
        batch_size: samples in a batch; frames that do not fill one are left out.
        seed: decides order and draws.
        first: number of the first batch.
        draw: makes a sample of a frame; a look at the whole frame when None.
    """
    height, width, channels = input_shape
    draw = draw or frame_drawer()
    order = np.random.default_rng([seed, epoch]).permutation(len(pool))
    for number in range(first, len(pool) // batch_size):
        rng = np.random.default_rng([seed, epoch, number])
        chosen = order[number * batch_size : (number + 1) * batch_size]
        drawn = [draw(rng, pool, int(k), (width, height)) for k in chosen]
        corners = np.stack([c for _, c in drawn])
        present = np.isfinite(corners).all(axis=(1, 2))
        images = [network_colours(rng, image, channels) for image, _ in drawn]
        yield Batch(
            frames=np.stack(images).astype(np.float32) / 255.0,
            corners=np.where(present[:, None, None], corners, 0).astype(np.float32),
            present=present[:, None].astype(np.float32),
        )


def frame_drawer(*, mirrors: bool = True) -> Draw:
    """Draws augmented looks at whole frames: a window of the frame, with ``mirrors`` mirrored in half of the cases."""

    def draw(rng: np.random.Generator, pool: FramePool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
        image, corners = _window_of(rng, pool, k, size)
        if mirrors and rng.random() < 0.5:
            image = image[:, ::-1]
            corners = corners[[1, 0, 3, 2]] * np.array([-1, 1])
        return image, corners

    return draw


def _window_of(rng: np.random.Generator, pool: FramePool, k: int, size: tuple[int, int]) -> tuple[Image, FloatArray]:
    frame, corners = pool.frames[k], pool.corners[k].astype(np.float64)
    low, high = _crop_window(rng, corners)
    side = frame.shape[0]
    scale = (high - low) / 2
    # Output pixels of a 2× finer image than the network's, then averaged: no aliasing at any crop.
    to_source = normalised_to_pixels(side, side) @ np.array(
        [[scale[0], 0, (low + high)[0] / 2], [0, scale[1], (low + high)[1] / 2], [0, 0, 1]]
    )
    fine_size = (2 * size[0], 2 * size[1])
    fine = to_source @ pixels_to_normalised(*fine_size)
    out: Any = cv2.warpPerspective(
        np.asarray(frame),
        fine,
        fine_size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    out = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
    return out, (corners - (low + high) / 2) / scale


def network_colours(rng: np.random.Generator, image: Image, channels: int) -> Image:
    """Recolours a BGR image and gives it the network's channels: RGB, or grey [h, w, 1]."""
    out = _recolour(rng, image)
    if channels == 1:
        return np.asarray(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY)[..., None])
    return out[..., ::-1]


def _crop_window(rng: np.random.Generator, corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A window of the frame, normalised: the whole frame or a part that holds the target as well as the frame did."""
    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    if rng.random() < 0.3:
        return low, high
    cut = rng.uniform(0, 0.5, 4) * rng.random()
    if np.isfinite(corners).all():
        room = np.concatenate([corners.min(axis=0) + 1, 1 - corners.max(axis=0)])
        cut = np.minimum(cut, np.maximum(room, 0))
    return low + cut[:2], high - cut[2:]


def _recolour(rng: np.random.Generator, image: Image) -> Image:
    if rng.random() < 0.15:
        image = image[..., rng.permutation(3)]
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    out = image * gain.astype(np.float32) + np.float32(rng.normal(0, 6))
    if rng.random() < 0.4:
        out += np.float32(rng.uniform(1, 6)) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(out, 0, 255), np.uint8)
