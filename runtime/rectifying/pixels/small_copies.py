"""Small copies of pictures, to compare what they show."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Image

_LEAST_CONTRAST = 4.0  # grey levels; noise on an even picture is no change


def small_copy(image: Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A picture small and grey, without its brightness and contrast: a cloud or the camera's exposure is no change.

    Args:
        image: uint8 [h, w, C] or [h, w].
        size: width and height of the copy, pixels.

    Returns:
        float32 [height, width], of mean 0 and standard deviation 1; of an even picture less.
    """
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if small.shape[2] == 3 else small.mean(axis=2)
    levels = small.astype(np.float32)
    levels -= levels.mean()
    return np.asarray(levels / max(float(levels.std()), _LEAST_CONTRAST), np.float32)
