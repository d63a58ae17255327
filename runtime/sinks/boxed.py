"""Pictures of varying size in one of constant size, for videos and windows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["boxed", "overview_size"]

_BACKGROUND = 32


def overview_size(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height that `draw_overview` does not exceed, whatever the target; only its width varies."""
    height, width = frame.shape[:2]
    return 2 * width, height


def boxed(picture: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The picture in the top left corner of a dark one, shrunk if it does not fit.

    Args:
        picture: uint8 [h, w, 3].
        size: width and height.

    Returns:
        uint8 [height, width, 3].
    """
    width, height = size
    scale = min(1.0, width / picture.shape[1], height / picture.shape[0])
    if scale < 1:
        fitting = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, fitting, interpolation=cv2.INTER_AREA), np.uint8)
    box = np.full((height, width, 3), _BACKGROUND, np.uint8)
    box[: picture.shape[0], : picture.shape[1]] = picture
    return box
