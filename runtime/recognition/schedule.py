"""The choice of frames that are recognized: every so many, those of a still target, those that show something new."""

from __future__ import annotations

from collections import deque
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_choice, check_instance, check_positive, check_whole
from stn_rectify.runtime.geometry import corner_error
from stn_rectify.runtime.rectifying.pixels.small_copies import small_copy
from stn_rectify.runtime.results import Rectification


class Steadiness:
    """Watches the corners of one target: it is steady while those of the last frames lie close together.

    Args:
        most: largest mean distance of the corners from where they were in each of the frames before, in sizes of the
            target (its mean diagonal). The default lies between what networks tremble on a still target and what one
            moves that blurs (docs/laboratory/from-frame-to-frame.md).
        frames: how many frames are looked at, 2 or more; there must have been as many.

    Raises:
        UsageError: if an argument is out of range.
    """

    def __init__(self, most: float = 0.02, frames: int = 5) -> None:
        most, frames = check_positive("most", most), check_whole("frames", frames, 2)
        self._most = most
        self._corners: deque[FloatArray] = deque(maxlen=frames)

    def is_steady(self, corners: FloatArray) -> bool:
        """Takes the corners of the next frame, float64 [4, 2], and says whether the target is steady."""
        self._corners.append(corners)
        if len(self._corners) < (self._corners.maxlen or 0):
            return False
        return bool((corner_error(np.stack(self._corners), corners) <= self._most).all())

    def reset(self) -> None:
        """Forgets the target."""
        self._corners.clear()


_SIDE, _CELL = 16, 2  # of the small copy that is compared, and of its cells, pixels


class PictureChange:
    """Compares pictures with one that it remembers.

    Both are made small and grey, and brightness and contrast are taken out of them, so that a cloud or the camera's
    exposure is no change. The difference is that of the cell, an eighth of the picture wide and high, that differs
    most: so one other character counts, which would be lost in the mean.

    Args:
        least: mean difference of a cell's pixels, in standard deviations of the picture, that is a change. The default
            lies between what trembling corners make of a still picture and what another character does
            (docs/laboratory/from-frame-to-frame.md).

    Raises:
        UsageError: if ``least`` is not above 0.
    """

    def __init__(self, least: float = 0.8) -> None:
        least = check_positive("least", least)
        self._least = least
        self._remembered: npt.NDArray[np.float32] | None = None

    def has_changed(self, image: Image) -> bool:
        """Tells whether a picture, BGR uint8 [h, w, 3] or grey [h, w], differs from the remembered one, if any."""
        if self._remembered is None:
            return True
        apart = np.abs(small_copy(image, (_SIDE, _SIDE)) - self._remembered)
        cells = apart.reshape(_SIDE // _CELL, _CELL, _SIDE // _CELL, _CELL).mean(axis=(1, 3))
        return bool(cells.max() >= self._least)

    def remember(self, image: Image) -> None:
        """Makes a picture the one to compare with."""
        self._remembered = small_copy(image, (_SIDE, _SIDE))

    def reset(self) -> None:
        """Forgets it."""
        self._remembered = None


When = Literal["always", "steady", "changed"]


class RecognitionSchedule:
    """Says of each frame of one target whether it is to be recognized.

    Args:
        every: frames from one recognition of a target to the next, at least; 1 to leave none out.
        when: ``"always"``; ``"steady"``: only while the target keeps still; ``"changed"``: once, and again when the
            picture is another one.
        steadiness: what keeping still is.
        change: what another picture is.

    Raises:
        UsageError: if an argument is out of range.
    """

    def __init__(
        self,
        every: int = 1,
        when: When = "always",
        *,
        steadiness: Steadiness | None = None,
        change: PictureChange | None = None,
    ) -> None:
        every, when = check_whole("every", every, 1), check_choice("when", when, get_args(When))
        check_instance("steadiness", steadiness, Steadiness | None, "a Steadiness or None")
        check_instance("change", change, PictureChange | None, "a PictureChange or None")
        self._every, self._when = every, when
        self._steadiness, self._change = steadiness or Steadiness(), change or PictureChange()
        self._waited = every

    @property
    def follows_targets(self) -> bool:
        """Tells whether some frames of a target are left out."""
        return self._every > 1 or self._when != "always"

    def is_due(self, result: Rectification) -> bool:
        """Takes the next frame of the target; where the answer is yes, it is taken to be recognized then."""
        self._waited += 1
        is_steady = self._when != "steady" or self._steadiness.is_steady(result.corners)
        if self._waited < self._every or not is_steady:
            return False
        if self._when == "changed":
            if not self._change.has_changed(result.image):
                return False
            self._change.remember(result.image)
        self._waited = 0
        return True

    def reset(self) -> None:
        """The next frame shows another target."""
        self._waited = self._every
        self._steadiness.reset()
        self._change.reset()
