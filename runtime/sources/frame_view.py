"""The part of a frame that is looked at, and which way up: flips, rotation and region of interest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.checks import check_flag, check_whole, is_real, is_whole
from stn_rectify.runtime.errors import UsageError, shown

_QUARTER_TURN = 90
_SLACK = 1e-9  # 0.7 + 0.3 may be a little more than 1


@dataclass(frozen=True)
class FrameView:
    """Flips, rotation and region of interest, named as in rpicam-apps and applied in this order.

    There the sensor flips (180° are both flips) and the image processor crops what it gets, so the region counts in the
    picture as it is seen; the same numbers show the same part here. The quarter turns are this class's own.

    Attributes:
        hflip: whether left and right are swapped.
        vflip: whether top and bottom are swapped.
        rotation: 0, 90, 180 or 270 degrees clockwise, after the flips.
        roi: x, y, width and height of the region of interest, as fractions of the flipped and rotated frame.

    Raises:
        UsageError: if a value is none of these, or the region reaches beyond the frame.

    Example:
        >>> view = FrameView(rotation=180, roi=(0.25, 0.25, 0.5, 0.5))
        >>> view.apply(np.zeros((480, 640, 3), np.uint8)).shape
        (240, 320, 3)
    """

    hflip: bool = False
    vflip: bool = False
    rotation: int = 0
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not is_whole(self.rotation) or self.rotation not in (0, 90, 180, 270):
            raise UsageError(f"rotation is {shown(self.rotation)}: choose 0, 90, 180 or 270 degrees clockwise")
        for name in ("hflip", "vflip"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        object.__setattr__(self, "rotation", check_whole("rotation", self.rotation, 0, 270))
        roi = self.roi.tolist() if isinstance(self.roi, np.ndarray) else self.roi
        if not isinstance(roi, tuple | list) or not all(map(is_real, roi)):
            raise UsageError(
                f"roi is {shown(self.roi)}: give x,y,width,height, each 0 to 1, such as (0.25, 0.25, 0.5, 0.5)"
            )
        object.__setattr__(self, "roi", tuple(map(float, roi)))
        numbers = ",".join(f"{value:g}" for value in self.roi)
        if len(self.roi) != 4 or not all(0 <= value <= 1 for value in self.roi):  # NaN is refused as well
            raise UsageError(f"roi is {numbers}: give x,y,width,height, each 0 to 1, such as 0.25,0.25,0.5,0.5")
        x, y, width, height = self.roi
        if not width or not height or x + width > 1 + _SLACK or y + height > 1 + _SLACK:
            raise UsageError(f"roi is {numbers}: width and height must be above 0, and x+width and y+height at most 1")

    @property
    def whole(self) -> FrameView:
        """The same view without a region."""
        return replace(self, roi=(0.0, 0.0, 1.0, 1.0))

    def whole_size(self, image: Array) -> tuple[int, int]:
        """Width and height of a frame as it is seen, without a region: flipped and rotated.

        Args:
            image: uint8 [H, W, 3] or [H, W], as the source gave it.
        """
        height, width = image.shape[:2]
        return (height, width) if self.rotation % 180 == _QUARTER_TURN else (width, height)

    def region_in(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The region in the frame as it is seen: flipped, rotated and whole.

        Args:
            width: of the frame as it is seen, pixels.
            height: of it, pixels.

        Returns:
            x, y, width and height, pixels: what `apply` gives is that part of it.
        """
        (left, right), (top, bottom) = _span(self.roi[0], self.roi[2], width), _span(self.roi[1], self.roi[3], height)
        return left, top, right - left, bottom - top

    def apply(self, image: Array) -> Image:
        """The frame as seen through the view; corners that are found in it are pixels of it, not of ``image``.

        Args:
            image: uint8 [H, W, 3] or [H, W], up to four channels. It is not changed.

        Returns:
            uint8 [h, w, 3] or [h, w]. With a region alone a view of ``image`` (not contiguous, in a layout that OpenCV
            reads without copying). With a flip or rotation a new array, contiguous, of the region only: OpenCV copies a
            reversed view anyway, at each call and for twenty times the price of one flip.
        """
        hflip, vflip = self.hflip != (self.rotation >= 180), self.vflip != (self.rotation >= 180)
        is_turned = self.rotation % 180 == _QUARTER_TURN
        left, top, right, bottom = self._region(image.shape[1], image.shape[0], hflip, vflip, is_turned)
        view = image[top:bottom, left:right]
        if hflip or vflip:
            view = np.asarray(cv2.flip(view, -1 if hflip and vflip else int(hflip)), np.uint8)
        if is_turned:
            view = np.asarray(cv2.rotate(view, cv2.ROTATE_90_CLOCKWISE), np.uint8)
        return view

    def _region(self, width: int, height: int, hflip: bool, vflip: bool, is_turned: bool) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the region in the frame as the camera gives it, the last two not included."""
        if is_turned:
            width, height = height, width
        (left, right), (top, bottom) = _span(self.roi[0], self.roi[2], width), _span(self.roi[1], self.roi[3], height)
        if (
            is_turned
        ):  # back by a quarter turn: what is at the right came from the top, what is at the top from the left
            left, top, right, bottom = top, width - right, bottom, width - left
            width, height = height, width
        if hflip:
            left, right = width - right, width - left
        if vflip:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom


def _span(start: float, length: float, side: int) -> tuple[int, int]:
    """First pixel of a part of a side, and the one behind its last; one pixel at least."""
    first = min(round(start * side), side - 1)
    return first, min(max(first + 1, round((start + length) * side)), side)
