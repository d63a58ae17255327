"""Boxes of the caller's own detector, in place of a scan: what is accepted, and where refinement starts from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import is_valid_quadrilateral

#: The pose that refinement starts from has this share of a box's sides. The crop of such a pose shows the box and
#: hardly more: a target that fills it, and one half as large, are then both within what a refine network corrects.
BOX_SHARE = 0.7

#: Passes that a box gets beyond those of a pose that a network found: it says less.
MORE_PASSES = 1

_LEAST_AREA_PX = 16.0


@dataclass(frozen=True, eq=False)
class BoxStart:
    """A pose to start from.

    Attributes:
        row: of the boxes that the caller gave.
        corners: float64 [4, 2], frame pixels, a quadrilateral that `is_valid_quadrilateral` passes.
        more_passes: passes beyond the usual number.
    """

    row: int
    corners: FloatArray
    more_passes: int


def box_starts(boxes: object, frame_size: tuple[int, int]) -> list[BoxStart]:
    """The poses that refinement starts from.

    Args:
        boxes: numbers [N, 4]: x0, y0, x1, y1 in frame pixels as detectors give them, 0 the left or upper edge of the
            frame, and its width or height the other. Each encloses a target, tightly or up to twice as large. Or [N, 4,
            2]: the corners TL, TR, BR, BL of upright targets, roughly, in the coordinates of results. Or an object
            whose ``xyxy`` is the former, such as Detections of supervision or Boxes of ultralytics; tensors, too.
        frame_size: width and height of the frame, pixels.

    Returns:
        One for each box, in their order, without those that lie outside the frame or have less than 16 square pixels in
        it.

    Raises:
        DataError: if they are no such numbers, or a box has its sides, or a quadrilateral its corners, in another
            order.
    """
    values = _numbers(boxes)
    if values.ndim == 3:
        return _from_quadrilaterals(values, frame_size)
    starts = []
    for row, (x0, y0, x1, y1) in enumerate(values.tolist()):
        if x1 < x0 or y1 < y0:
            raise DataError(
                f"boxes[{row}] is {[x0, y0, x1, y1]}: must be x0, y0, x1, y1 with x1 from x0 and y1 from y0 on; "
                "for x, y, width, height add the first two to the others"
            )
        left, right = max(x0, 0.0), min(x1, float(frame_size[0]))
        top, bottom = max(y0, 0.0), min(y1, float(frame_size[1]))
        if min(right - left, bottom - top) <= 0 or (right - left) * (bottom - top) < _LEAST_AREA_PX:
            continue
        # The pixel centres of the coordinate contract lie half a pixel off the edges of detectors.
        middle = np.array([(left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5])
        half = np.array([right - left, bottom - top]) * (BOX_SHARE / 2)
        corners = middle + half * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
        if is_valid_quadrilateral(corners, min_area_px=1.0):
            starts.append(BoxStart(row, corners, MORE_PASSES))
    return starts


def _from_quadrilaterals(values: FloatArray, frame_size: tuple[int, int]) -> list[BoxStart]:
    starts = []
    for row, corners in enumerate(values):
        inside = np.minimum(corners.max(axis=0), frame_size) - np.maximum(corners.min(axis=0), 0)
        if min(inside) <= 0 or inside.prod() < _LEAST_AREA_PX:
            continue
        if not is_valid_quadrilateral(corners, min_area_px=0.0):
            raise DataError(
                f"boxes[{row}] is {corners.tolist()}: must be four corners in the order top-left, top-right, "
                "bottom-right, bottom-left of the upright target"
            )
        if is_valid_quadrilateral(corners, min_area_px=_LEAST_AREA_PX):
            starts.append(BoxStart(row, corners, 0))
    return starts


def _numbers(boxes: object) -> FloatArray:
    """[N, 4] or [N, 4, 2], finite."""
    given: Any = getattr(boxes, "xyxy", boxes)
    if hasattr(given, "cpu"):  # a tensor of PyTorch, maybe on another device
        given = given.cpu()
    try:
        values = np.asarray(given)
    except (ValueError, TypeError):  # rows of different lengths; a tensor that is being differentiated
        values = np.empty(0, object)
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"boxes are {type(boxes).__name__}, no numbers: pass float [N, 4] (x0, y0, x1, y1), corners [N, 4, 2], or "
            "an object with .xyxy"
        )
    if values.size == 0 and values.ndim <= 3:
        return np.empty((0, 4))
    if values.shape[1:] not in ((4,), (4, 2)):
        raise DataError(f"boxes have shape {values.shape}: must be [N, 4] (x0, y0, x1, y1) or corners [N, 4, 2]")
    values = values.astype(np.float64)
    wrong = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"boxes[{row}] is {values[row].tolist()}: must be finite numbers")
    return values
