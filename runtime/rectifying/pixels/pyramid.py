"""A frame at half its size, a quarter and so on, for all who look at it at less than its resolution."""

from __future__ import annotations

import cv2
import numpy as np

from stn_rectify.runtime.arrays import Image


def halved(
    image: Image,
    step_x: int = 2,
    step_y: int = 2,
    buffer: Image | None = None,
) -> Image:
    """Averages over 2×2, 2×1 or 1×2 pixels; the rest of an odd side is left out.

    Args:
        image: [H, W] or [H, W, C], up to four channels, uint8 or float32.
        step_x: pixels along x, 1 or 2.
        step_y: pixels along y, 1 or 2.
        buffer: what an earlier call gave: the result is written there if it has the right shape.
    """
    width, height = image.shape[1] // step_x, image.shape[0] // step_y
    even = image[: height * step_y, : width * step_x]
    if step_x != step_y:  # twice the same row or column: OpenCV averages over squares twenty times as fast
        even = np.repeat(even, 2, axis=0 if step_y == 1 else 1)
    reduced = np.asarray(cv2.resize(even, (width, height), dst=buffer, interpolation=cv2.INTER_AREA), image.dtype)
    return reduced[..., None] if reduced.ndim < image.ndim else reduced  # OpenCV drops an axis of one channel


class FramePyramid:
    """Halves of one frame after the other, each made when it is asked for first, in memory that all frames share."""

    def __init__(self) -> None:
        self._frame: Image | None = None
        self._levels: list[Image] = []
        self._made = 0

    def load(self, frame: Image | None) -> None:
        """Takes the next frame, uint8 [H, W] or [H, W, C], up to four channels; None lets the last one go."""
        self._frame, self._made = frame, 0

    def level(self, number: int) -> Image:
        """The frame halved so many times: [H >> number, W >> number, …]. Valid until the next frame is loaded."""
        assert self._frame is not None
        while self._made < number:
            source = self._levels[self._made - 1] if self._made else self._frame
            if self._made == len(self._levels):
                self._levels.append(halved(source))
            else:
                self._levels[self._made] = halved(source, buffer=self._levels[self._made])
            self._made += 1
        return self._levels[number - 1] if number else self._frame
