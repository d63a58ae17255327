"""The mean of many rectified images: sharp if all of them lie alike, blurred if they do not.

The congealing picture of Miller, Matsakis and Viola (CVPR 2000) and Learned-Miller (PAMI 2006). Where targets differ
from each other their plain mean is grey however well they lie; what they share are their borders. So the mean of the
*edges* (strength of the gradient) is taken as well, with a margin around the target: a sharp frame, if borders lie on
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.geometry import corners_to_homography, homography_to_corners, is_valid_quadrilateral
from stn_rectify.runtime.rectifying.pixels.crops import crop_homography, target_crop

_MARGIN = 0.2
_BLUR = 0.8  # pixels, before the gradient: noise has edges, too
_MOST_STRENGTH = 6.0  # of an edge, times the picture's mean
_BORDER_PX = 1.0  # an edge is counted this far from where it should be

#: The whole frame as a target of which, with the margin, just the frame is seen.
WHOLE_FRAME = np.diag([1 / (1 + 2 * _MARGIN), 1 / (1 + 2 * _MARGIN), 1.0])
WHOLE_FRAME.setflags(write=False)


@dataclass(frozen=True)
class AlignedMean:
    """Means over targets.

    Attributes:
        count: number of targets.
        plain: float64 [S, S, 3], levels of 255, BGR: the mean picture.
        edges: float64 [S, S]: the mean of the edge strength; of each target relative to its own mean.
    """

    count: int
    plain: Array
    edges: Array

    @property
    def border(self) -> float:
        """Edge strength where the targets' borders should be, relative to the picture's mean.

        About 1 where edges lie anywhere; the more, the better the borders coincide.
        """
        return float(self.edges[_border_pixels(len(self.edges))].mean() / max(float(self.edges.mean()), 1e-9))

    def plain_picture(self) -> Image:
        """The mean picture with its contrast stretched, BGR."""
        return _stretched(self.plain)

    def edge_picture(self, brightest: float | None = None) -> Image:
        """The mean edges as dark lines on white, BGR; ``brightest`` is what black stands for."""
        share = np.clip(self.edges / (brightest or max(float(self.edges.max()), 1e-9)), 0, 1)
        grey = np.round(255 * (1 - share)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)


def aligned_mean(frames: Sequence[Image], corners: Sequence[Array], side: int = 96) -> AlignedMean | None:
    """Rectifies each target with a margin, and averages.

    Args:
        frames: BGR uint8 [H, W, 3] each.
        corners: [4, 2] each, pixels of its frame; frames whose corners are no quadrilateral are left out.
        side: S, pixels; every target is stretched to a square.

    Returns:
        The means; None if no corners were usable.
    """
    plain, edges, count = np.zeros((side, side, 3)), np.zeros((side, side)), 0
    for frame, quadrilateral in zip(frames, corners, strict=True):
        homography = _usable_homography(frame, quadrilateral)
        if homography is None:
            continue
        image = target_crop(frame, homography, size=(side, side), margin=_MARGIN)
        plain += image
        edges += _edge_strength(image)
        count += 1
    return None if count == 0 else AlignedMean(count, plain / count, edges / count)


def _usable_homography(frame: Image, corners: Array) -> Array | None:
    """Target → frame; None if the corners are no quadrilateral, or the margin reaches behind the camera."""
    if not is_valid_quadrilateral(corners, min_area_px=1.0):
        return None
    height, width = frame.shape[:2]
    homography = corners_to_homography(corners, width, height)
    outline = homography_to_corners(crop_homography(homography, _MARGIN), width, height)
    return homography if is_valid_quadrilateral(outline, min_area_px=1.0) else None


def _border_pixels(side: int) -> Array:
    """Gives the pixels on the border of a target that fills S × S pixels but for the margin; bool [S, S]."""
    half = side / 2 / (1 + 2 * _MARGIN)
    from_middle = np.abs(np.arange(side) + 0.5 - side / 2)
    distance = np.maximum.outer(from_middle, from_middle) - half
    return np.asarray(np.abs(distance) <= _BORDER_PX)


def _edge_strength(image: Image) -> Array:
    """Of every pixel, relative to the picture's mean: a picture of high contrast counts no more than a faint one.

    Limited, or a single line in an otherwise even picture would outweigh all others.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), _BLUR)
    strength = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).astype(np.float64)
    return np.minimum(strength / max(float(strength.mean()), 1e-6), _MOST_STRENGTH)


def _stretched(picture: Array) -> Image:
    low, high = np.percentile(picture, (0.5, 99.5))
    levels: Image = np.clip(np.round((picture - low) * 255 / max(high - low, 1.0)), 0, 255).astype(np.uint8)
    return levels
