"""Labelled images as frames to train on: distorted anew in each epoch, the same again for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stn_rectify.models.digits.distortions import distort
from stn_rectify.models.recognition.labelled_images import LabelledImages
from stn_rectify.runtime.arrays import IntArray
from stn_rectify.runtime.geometry import pixels_to_normalised, transform_points

_ORDER, _POSES = 0, 1  # what a random stream decides


@dataclass(frozen=True)
class LabelledBatch:
    """Frames with their labels and poses.

    Attributes:
        frames: float32 [B, H, W, C] in [0, 1].
        labels: int64 [B].
        corners: float32 [B, 4, 2], normalised: where the upright image is; the whole frame if it was not distorted.
        epoch: number of the epoch that they were drawn for, from 0.
    """

    frames: npt.NDArray[np.float32] = field(repr=False)
    labels: IntArray = field(repr=False)
    corners: npt.NDArray[np.float32] = field(repr=False)
    epoch: int


def labelled_batches(
    data: LabelledImages,
    epoch: int,
    *,
    canvas: tuple[int, int],
    distortions: tuple[str, ...],
    batch_size: int,
    seed: int,
    first: int = 0,
) -> Iterator[LabelledBatch]:
    """The batches of an epoch from batch ``first`` on; images that do not fill one are left out.

    Args:
        data: upright images; or frames as they are, with no distortions.
        epoch: number of the epoch, from 0; each image comes once in each, in another order and pose.
        canvas: height and width of the frames.
        distortions: some of `stn_rectify.models.digits.DISTORTIONS`, each as often as the others.
        batch_size: number of frames in a batch.
        seed: decides order and poses.
        first: number of the first batch.
    """
    order = np.random.default_rng((seed, epoch, _ORDER)).permutation(len(data))
    for number in range(first, len(data) // batch_size):
        chosen = data[order[number * batch_size : (number + 1) * batch_size]]
        yield draw_frames(chosen, canvas, distortions, np.random.default_rng((seed, epoch, _POSES, number)), epoch)


def draw_frames(
    data: LabelledImages,
    canvas: tuple[int, int],
    distortions: tuple[str, ...],
    rng: np.random.Generator,
    epoch: int = 0,
) -> LabelledBatch:
    """Draws each image once; arguments as in `labelled_batches`."""
    if not distortions:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
        frames = data.images / np.float32(255)
        return LabelledBatch(frames, data.labels, np.broadcast_to(corners, (len(data), 4, 2)).copy(), epoch)
    drawn = distort(data.images, rng.choice(np.array(distortions), len(data)), canvas, rng)
    normalise = pixels_to_normalised(canvas[1], canvas[0])
    corners = transform_points(normalise, drawn.corners.reshape(-1, 2)).reshape(-1, 4, 2).astype(np.float32)
    return LabelledBatch(drawn.images / np.float32(255), data.labels, corners, epoch)
