"""Takes the rectified image out of the full-resolution frame, by OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array, FloatArray, Image
from stn_rectify.runtime.geometry import (
    THETA_SIZE,
    corners_to_homography,
    homography_to_theta,
    identity_theta,
    is_valid_quadrilateral,
    pixel_homography,
    theta_to_corners,
    theta_to_homography,
    upright_size,
)
from stn_rectify.runtime.rectifying.pixels.crops import crop_homography
from stn_rectify.runtime.rectifying.pixels.preprocess import OPENCV_CHANNELS, by_channels, resize_antialiased
from stn_rectify.runtime.rectifying.pixels.splines import spline_map

MAX_OUTPUT_SIDE = 16384
_OWN_SIZE_LIMIT = 2  # the target's own size is at most so many times the frame's longer side
_IDENTITY = identity_theta("projective")
_HALF_STEP = 1 / 512  # pixels: places in a file are rounded to 1/256, and where a frame is cut that shows


@dataclass(frozen=True)
class FrameSampler:
    """Takes rectified images out of frames: their size, where their pixels lie, and what they are.

    Attributes:
        output_size: width and height of all rectified images, pixels; a side of 0 follows from the other by the
            target's aspect. None for each target's own size in the frame.
        padding: what lies outside the frame. ``"border"``: what is at its edge; ``"zeros"``: ``outside``;
            ``"cut"``: the same, but from the centre of the last pixel on, and nothing fades.
        outside: a pixel value.
        margin: what the image shows beyond each edge of the target, as a share of the target's side; 0 for splines. A
            target whose margin would reach behind the camera gets none.
    """

    output_size: tuple[int, int] | None
    padding: str
    outside: int
    margin: float = 0.0

    def rectified(
        self,
        frame: Image,
        theta: FloatArray,
        corners: FloatArray,
        image: Image | None = None,
    ) -> tuple[Image, FloatArray]:
        """The rectified image of a target, a new array, and its `homography`.

        Args:
            frame: uint8 [H, W, C] or [H, W].
            theta: of a usable pose, any transform.
            corners: where it puts the target's corners, [4, 2], frame pixels. The image shows the margin as well.
            image: uint8 [h, w, C] or [h, w], if there is one already; it has `output_size`.
        """
        frame_size = (frame.shape[1], frame.shape[0])
        theta, scale = self._with_margin(theta, frame_size)
        size = self.image_size(corners, frame_size, scale)
        homography = self.homography(theta, frame_size, size)
        return self.sample(frame, theta, homography, size) if image is None else image, homography

    def rectified_at(
        self,
        frame: Image,
        theta: FloatArray,
        corners: FloatArray,
        size_of: Callable[[tuple[int, int]], tuple[int, int]],
    ) -> Image:
        """The rectified image of a target at a size of its own, whatever `output_size` is.

        Where that is less than two thirds of the target's own, it is taken larger and shrunk: thin strokes stay.

        Args:
            frame: uint8 [H, W, C] or [H, W].
            theta: of a usable pose, any transform.
            corners: where it puts the target's corners, [4, 2], frame pixels. The image shows the margin as well.
            size_of: gives width and height of the image for those of the target as seen in the frame, with its margin;
                pixels, 1 to 16384.

        Returns:
            uint8 [h, w, C] or [h, w], a new array.
        """
        frame_size = (frame.shape[1], frame.shape[0])
        theta, scale = self._with_margin(theta, frame_size)
        # As it is seen: of a target of some twenty pixels the true aspect is mostly the noise of its corners.
        own = upright_size(corners, _own_side_limit(frame_size), scale=scale)
        width, height = size_of(own)
        factor = 1
        while 1.5 * factor * width < own[0] and 1.5 * factor * height < own[1]:  # by halves, which are exact
            factor *= 2
        larger = (width * factor, height * factor)
        image = self.sample(frame, theta, self.homography(theta, frame_size, larger), larger)
        return image if factor == 1 else resize_antialiased(image, width, height)

    def whole(self, image: Image, frame_size: tuple[int, int]) -> tuple[Image, FloatArray, FloatArray]:
        """The whole frame as if it were a target: image (a new array), corners and `homography`.

        Args:
            image: the frame, uint8 [H, W, C] or [H, W], at any resolution.
            frame_size: width and height of the frame that corners and homography are pixels of.
        """
        corners = theta_to_corners(_IDENTITY, *frame_size)
        size = self.image_size(corners, frame_size)
        return np.array(resize_antialiased(image, *size)), corners, self.homography(_IDENTITY, frame_size, size)

    def _with_margin(self, theta: FloatArray, frame_size: tuple[int, int]) -> tuple[FloatArray, float]:
        """θ of the target with what lies around it, and how much longer than the target's own both sides are then."""
        if not self.margin:
            return theta, 1.0
        wider = homography_to_theta(crop_homography(theta_to_homography(theta), self.margin))
        if not is_valid_quadrilateral(theta_to_corners(wider, *frame_size)):
            return theta, 1.0
        return wider, 1 + 2 * self.margin

    def image_size(self, corners: FloatArray, frame_size: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
        """Width and height of the rectified image of a target, pixels.

        Args:
            corners: of the target, [4, 2], frame pixels. They tell resolution and aspect, and the outline of a margin
                does not: what is off in them is many times as much there.
            frame_size: width and height of the frame, pixels.
            scale: how much longer than the target's own both sides are, for its margin.
        """
        width, height = self.output_size or (0, 0)
        if width and height:
            return width, height
        own = upright_size(corners, _own_side_limit(frame_size), frame_size, scale=scale)
        return with_aspect((width, height), own)

    def homography(self, theta: FloatArray, frame_size: tuple[int, int], size: tuple[int, int]) -> FloatArray:
        """Maps pixels of the rectified image to pixels of the frame.

        Args:
            theta: of a usable pose, any transform; the homography of a spline is that of its four corners.
            frame_size: width and height of the frame, pixels.
            size: width and height of the rectified image, pixels.

        Returns:
            float64 [3, 3], ``[2, 2] = 1``.
        """
        if len(theta) == THETA_SIZE["tps"]:
            theta = homography_to_theta(corners_to_homography(theta_to_corners(theta, *frame_size), *frame_size))
        homography = pixel_homography(theta, frame_size, size)
        return np.asarray(homography / homography[2, 2])  # every pixel lies before the camera: never 0

    def sample(self, frame: Image, theta: FloatArray, homography: FloatArray, size: tuple[int, int]) -> Image:
        """The rectified image.

        Args:
            frame: uint8 [H, W, C] or [H, W].
            theta: of a usable pose, any transform.
            homography: [3, 3], what `homography` gives for it.
            size: width and height of the rectified image, pixels.

        Returns:
            uint8 [h, w, C] or [h, w], a new array.
        """
        if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
            return by_channels(frame, lambda part: self.sample(part, theta, homography, size))
        border = cv2.BORDER_CONSTANT if self.padding == "zeros" else cv2.BORDER_REPLICATE
        outside = (self.outside,) * OPENCV_CHANNELS
        spline = len(theta) == THETA_SIZE["tps"]
        if spline:
            x, y = spline_map(theta, (frame.shape[1], frame.shape[0]), size)
            warped = cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=outside)
        else:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            warped = cv2.warpPerspective(frame, homography, size, flags=flags, borderMode=border, borderValue=outside)
        if self.padding == "cut":
            last = (frame.shape[1] - 1, frame.shape[0] - 1)
            beyond = _beyond(x, y, 1.0, last) if spline else _beyond(*_homogeneous(homography, size), last)
            warped[beyond] = self.outside
        return np.asarray(warped, np.uint8)


def _homogeneous(homography: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Numerators of x and y and their denominator for every pixel of an image, [h, w] each."""
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    x, y, denominator = (a * columns + (b * rows + c) for a, b, c in homography)
    return x, y, denominator


def _beyond(x: Array, y: Array, denominator: Array | float, last: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Tells which places do not lie between the centres of a frame's first and last pixel, bool [h, w]."""
    low = -_HALF_STEP * denominator
    return np.asarray((x < low) | (y < low) | (x >= last[0] * denominator + low) | (y >= last[1] * denominator + low))


def with_aspect(size: tuple[int, int], own: tuple[int, int]) -> tuple[int, int]:
    """A size with its open sides filled in by a target's aspect, pixels.

    Args:
        size: width and height; a side of 0 follows from the other, both from the target's own size.
        own: width and height of the target.
    """
    width, height = size
    if width and height:
        return width, height
    if width:
        return width, min(MAX_OUTPUT_SIDE, max(1, round(width * own[1] / own[0])))
    if height:
        return min(MAX_OUTPUT_SIDE, max(1, round(height * own[0] / own[1]))), height
    return own


def _own_side_limit(frame_size: tuple[int, int]) -> int:
    return min(MAX_OUTPUT_SIDE, _OWN_SIZE_LIMIT * max(frame_size))
