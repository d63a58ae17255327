"""Training samples for a reader: rectified plates as corners that are a little off give them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.training.pools.plate_pool import CROP_MARGIN, PlatePool
from stn_rectify.models.training.samples.refine_crops import perturbation
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.rectifying.pixels.crops import COARSE_SUPERSAMPLING, target_crop

#: Standard deviation of the corners' errors, as a share of the plate's side.
_SIGMA = (0.004, 0.06)
#: Range of what an image shows beyond the plate's edges, as a share of its side: users choose their own ``--margin``.
_MARGINS = (-0.015, 0.11)


@dataclass(frozen=True)
class PlateBatch:
    """One training batch.

    Attributes:
        frames: float32 [B, H, W, 1] in [0, 1], grey.
        texts: uint8 [B, LONGEST], see `stn_rectify.models.training.pools.plate_pool.text_classes`.
    """

    frames: npt.NDArray[np.float32]
    texts: npt.NDArray[np.uint8]


def plate_batches(
    pool: PlatePool, epoch: int, *, size: tuple[int, int], batch_size: int, seed: int, first: int = 0
) -> Iterator[PlateBatch]:
    """The batches of one epoch, from batch ``first`` on; the same for the same arguments.

    Args:
        pool: the plates.
        epoch: number of the epoch, from 0.
        size: width and height of the network's image, pixels.
        batch_size: samples in a batch; plates that do not fill one are left out.
        seed: decides order, errors of the corners, light and noise.
        first: number of the first batch.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(pool))
    for number in range(first, len(pool) // batch_size):
        rng = np.random.default_rng([seed, epoch, number])
        chosen = order[number * batch_size : (number + 1) * batch_size]
        images = np.stack([seen_plate(rng, pool.crops[k], size) for k in chosen])
        yield PlateBatch(images[..., None].astype(np.float32) / 255.0, np.asarray(pool.texts[chosen]))


def seen_plate(rng: np.random.Generator, stored: Image, size: tuple[int, int]) -> Image:
    """A stored crop as a reader sees it.

    Args:
        rng: decides margin, errors of the corners, light and noise.
        stored: uint8 [h, w] grey, with `CROP_MARGIN`.
        size: width and height of the result, pixels.

    Returns:
        uint8 [height, width].
    """
    grown = 1 + 2 * rng.uniform(*_MARGINS, 2)
    pose = np.diag([1 / (1 + 2 * CROP_MARGIN)] * 2 + [1.0]) @ perturbation(rng, _SIGMA) @ np.diag([*grown, 1.0])
    seen = target_crop(stored, pose, size=size, margin=0.0, supersampling=COARSE_SUPERSAMPLING)
    if rng.random() < 0.2:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 1.0)), np.uint8)
    levels = seen * np.float32(np.exp(rng.normal(0, 0.2))) + np.float32(rng.normal(0, 8))
    if rng.random() < 0.4:
        levels += np.float32(rng.uniform(1, 7)) * rng.standard_normal(seen.shape, np.float32)
    if rng.random() < 0.03:
        levels = 255 - levels
    return np.asarray(np.clip(levels, 0, 255), np.uint8)
