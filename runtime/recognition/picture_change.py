"""Whether a rectified picture still shows what it showed when it was recognized."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import UsageError

__all__ = ["PictureChange"]

_SIDE, _CELL = 16, 2  # of the small copy that is compared, and of its cells, pixels
_LEAST_CONTRAST = 4.0  # grey levels; noise on an even picture is no change


class PictureChange:
    """Compares pictures with one that it remembers.

    Both are made small and grey, and brightness and contrast are taken out of them, so that a cloud or the camera's
    exposure is no change. The difference is that of the cell, an eighth of the picture wide and high, that differs
    most: so one other character counts, which would be lost in the mean.

    Args:
        least: mean difference of a cell's pixels, in standard deviations of the picture, that is a change. The default
            lies between what trembling corners make of a still picture and what another character does
            (docs/recognition.md).

    Raises:
        UsageError: ``least`` is not above 0.
    """

    def __init__(self, least: float = 0.8) -> None:
        if not least > 0:
            raise UsageError(f"least is {least}: must be above 0")
        self._least = least
        self._remembered: npt.NDArray[np.float32] | None = None

    def has_changed(self, image: npt.NDArray[np.uint8]) -> bool:
        """Whether a picture, BGR uint8 [h, w, 3] or grey [h, w], differs from the remembered one, or there is none."""
        if self._remembered is None:
            return True
        apart = np.abs(_small_copy(image) - self._remembered)
        cells = apart.reshape(_SIDE // _CELL, _CELL, _SIDE // _CELL, _CELL).mean(axis=(1, 3))
        return bool(cells.max() >= self._least)

    def remember(self, image: npt.NDArray[np.uint8]) -> None:
        """Makes a picture the one to compare with."""
        self._remembered = _small_copy(image)

    def reset(self) -> None:
        """Forgets it."""
        self._remembered = None


def _small_copy(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """float32 [16, 16], of mean 0 and standard deviation 1."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    levels = (small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)).astype(np.float32)
    levels -= levels.mean()
    return np.asarray(levels / max(float(levels.std()), _LEAST_CONTRAST), np.float32)
