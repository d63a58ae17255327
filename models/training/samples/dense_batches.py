"""Training batches for a dense localization network: windows of scenes, at the sizes of the levels of a pyramid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.dense_targets import dense_target
from stn_rectify.models.training.samples.frame_batches import network_colours
from stn_rectify.runtime.arrays import FloatArray, Image

#: Height and width of the levels, how often one is drawn, and how many times a batch's frames then.
_LEVELS = (((240, 320), 0.5, 1), ((128, 160), 0.3, 2), ((64, 80), 0.2, 4))

_WHOLE_SHARE, _MIRRORED_SHARE = 0.35, 0.3
#: The least part of the frame's sides that a window shows.
_LEAST_WINDOW = 0.45
#: How much a window is stretched, standard deviation of the logarithm: frames of other shapes are stretched to the
#: network's.
_STRETCH = 0.18


@dataclass(frozen=True)
class DenseBatch:
    """One training batch; all frames are of one level.

    Attributes:
        frames: float32 [B, H, W, 3] in [0, 1], RGB.
        present: float32 [B, h, w, 2 · S]: what `DenseTarget.present` and `DenseTarget.counts` say, one after the other.
        corners: float32 [B, h, w, 10]: corners, size, and whether a cell sees a target.
    """

    frames: npt.NDArray[np.float32]
    present: npt.NDArray[np.float32]
    corners: npt.NDArray[np.float32]


def dense_batches(
    pool: ScenePool, epoch: int, *, batch_size: int, seed: int, first: int = 0, mirrors: bool = True
) -> Iterator[DenseBatch]:
    """The batches of one epoch, from batch ``first`` on; the same for the same arguments.

    Args:
        pool: the scenes.
        epoch: number of the epoch, from 0.
        batch_size: frames of a batch of the finest level; coarser ones have more.
        seed: decides order and draws.
        first: number of the first batch.
        mirrors: whether some windows are mirrored.
    """
    shares = [share for _, share, _ in _LEVELS]
    for number in range(first, len(pool) // batch_size):
        rng = np.random.default_rng([seed, epoch, number])
        (height, width), _, factor = _LEVELS[int(rng.choice(len(_LEVELS), p=shares))]
        drawn = [
            _sample(rng, pool, int(k), height, width, mirrors=mirrors)
            for k in rng.integers(len(pool), size=factor * batch_size)
        ]
        yield DenseBatch(*(np.stack(part) for part in zip(*drawn, strict=True)))


def _sample(
    rng: np.random.Generator, pool: ScenePool, k: int, height: int, width: int, *, mirrors: bool
) -> tuple[npt.NDArray[np.float32], ...]:
    image, corners, plates = _window(rng, pool, k, height, width)
    if mirrors and rng.random() < _MIRRORED_SHARE:
        image = image[:, ::-1]
        corners = corners[:, [1, 0, 3, 2]] * [-1, 1] + [width - 1, 0]
    frame = network_colours(rng, image, 3).astype(np.float32) / np.float32(255)
    target = dense_target(corners, plates, height, width)
    sees = target.present[..., :1]
    return (
        frame,
        np.concatenate([target.present, target.counts], axis=-1),
        np.concatenate([target.corners, target.size[..., None], sees], axis=-1),
    )


def _window(
    rng: np.random.Generator, pool: ScenePool, k: int, height: int, width: int
) -> tuple[Image, FloatArray, npt.NDArray[np.bool_]]:
    """A part of a scene at the size of a level, and the targets in it, in its pixels."""
    frame = pool.frames[k]
    corners = pool.corners[k].astype(np.float64)
    there = np.isfinite(corners).all(axis=(1, 2))
    corners, plates = corners[there], pool.plates[k][there]
    full = np.array([frame.shape[1], frame.shape[0]])
    size = full.copy()
    if rng.random() >= _WHOLE_SHARE:
        zoom = rng.uniform(_LEAST_WINDOW, 1) * np.exp(rng.normal(0, _STRETCH, 2))
        size = np.round(full * np.clip(zoom, _LEAST_WINDOW, 1)).astype(int)
    low = rng.integers(full - size + 1)
    part = np.asarray(frame[low[1] : low[1] + size[1], low[0] : low[0] + size[0]])
    shrinks = width < size[0]
    image = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    corners = (corners - low + 0.5) * (np.array([width, height]) / size) - 0.5
    middles = corners.mean(axis=1)
    inside = ((middles > 0) & (middles < [width - 1, height - 1])).all(axis=1)
    return np.asarray(image, np.uint8), corners[inside], plates[inside]
