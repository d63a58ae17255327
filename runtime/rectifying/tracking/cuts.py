"""Cuts: a video goes on with another scene, and a target may lie where one of the scene before did."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.rectifying.pixels.preprocess import OPENCV_CHANNELS
from stn_rectify.runtime.rectifying.pixels.small_copies import small_copy
from stn_rectify.runtime.rectifying.refining.turning import quarters_between, turned_corners

_FRAME, _TARGET = (16, 12), (8, 8)  # of the copies that are compared, pixels
_OVERSAMPLING = 4  # pixels that are read for one of them, along each side
#: What a target's copy shows around it, as a share of its sides: that moves with it where the camera does, and corners
#: that are off a little change less of it (docs/laboratory/from-frame-to-frame.md).
_MARGIN = 0.5
#: Correlation of two copies below which they show something else.
_ALIKE = 0.4

_Copy = npt.NDArray[np.float32]


class CutWatch:
    """Tells cuts to another scene from targets, and cameras, that move.

    With a cut all of the picture becomes another one. Where targets move, most of the frame stays as it was; where the
    camera moves, targets and what is around them do. So a frame is compared, small and grey, with the last one that
    showed a target; where they are unlike so are the targets, made upright; and it is a cut if none of them is like one
    of that frame.
    """

    def __init__(self) -> None:
        self._frame: _Copy | None = None
        self._targets: list[tuple[FloatArray, _Copy]] = []

    def is_cut(self, frame: Image, corners: Sequence[FloatArray]) -> bool:
        """Takes the next frame, and says whether there was a cut since the last one that showed a target.

        Args:
            frame: uint8 [H, W, C] or [H, W].
            corners: of the targets in it, float64 [4, 2], frame pixels; frames without any tell nothing.
        """
        if not corners:
            return False
        if frame.ndim == 3 and frame.shape[2] > OPENCV_CHANNELS:
            frame = np.ascontiguousarray(frame[..., :OPENCV_CHANNELS])
        width, height = _FRAME
        small = cv2.resize(frame, (width * _OVERSAMPLING, height * _OVERSAMPLING), interpolation=cv2.INTER_LINEAR)
        copy = small_copy(np.asarray(small, np.uint8), _FRAME)
        targets = [(target, _target_copy(frame, target)) for target in corners]
        is_cut = (
            self._frame is not None
            and not _are_alike(copy, self._frame)
            and not any(self._was_there(frame, target, its_copy) for target, its_copy in targets)
        )
        self._frame, self._targets = copy, targets
        return is_cut

    def _was_there(self, frame: Image, corners: FloatArray, copy: _Copy) -> bool:
        """Tells whether a target is like one of the frame before, whichever of its corners is named first."""
        for others, other in self._targets:
            quarters = quarters_between(corners, others)
            turned = copy if not quarters else _target_copy(frame, turned_corners(corners, quarters))
            if _are_alike(turned, other):
                return True
        return False


def _target_copy(frame: Image, corners: FloatArray) -> _Copy:
    """A target with what is around it, upright, small and grey, [8, 8]."""
    size = (_TARGET[0] * _OVERSAMPLING, _TARGET[1] * _OVERSAMPLING)
    low, high = _MARGIN / (1 + 2 * _MARGIN), (1 + _MARGIN) / (1 + 2 * _MARGIN)
    outline = np.array([[low, low], [high, low], [high, high], [low, high]]) * size - 0.5
    matrix = cv2.getPerspectiveTransform(outline.astype(np.float32), corners.astype(np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    upright = cv2.warpPerspective(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return small_copy(np.asarray(upright, np.uint8), _TARGET)


def _are_alike(one: _Copy, other: _Copy) -> bool:
    """Tells whether two copies may show the same; even ones tell nothing."""
    spread = float(np.sqrt((one**2).mean() * (other**2).mean()))
    return spread < _ALIKE or float((one * other).mean()) >= _ALIKE * spread
