"""Pictures of what the turn network of a file says."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.report.comparisons.turn_comparison import TurnComparison
from stn_rectify.converters.report.pictures.frame_pictures import AlignmentPicture
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, Image, IntArray

_SHOWN, _COLUMNS, _SIDE_PX = 24, 8, 112


def take_turn_pictures(
    comparison: TurnComparison,
    frames: npt.NDArray[np.float32],
    value_range: tuple[float, float],
    turns: IntArray | None,
) -> Sequence[AlignmentPicture]:
    """Pictures of rectified targets from the surest to the least sure, each turned as the file says.

    Args:
        comparison: of these frames.
        frames: [N, H, W, C].
        value_range: what pixel values 0 and 255 are to the model.
        turns: as of `compare_turns`.
    """
    if frames.shape[3] not in (1, 3):
        return []
    best = comparison.probabilities.max(axis=1)
    ranked = np.argsort(-best, kind="stable")
    cells = []
    for k in ranked[np.linspace(0, len(ranked) - 1, min(_SHOWN, len(ranked))).astype(int)]:
        quarters = int(comparison.probabilities[k].argmax())
        known = turns is not None and turns[k] >= 0
        verdict = "" if not known else ", right" if turns is not None and turns[k] == quarters else ", WRONG"
        seen, turned = _shown(frames[k], value_range, 0), _shown(frames[k], value_range, quarters)
        pair = drawing.below([seen, turned], gap=3)
        cells.append(drawing.captioned(pair, f"{90 * quarters} deg, {best[k]:.2f}{verdict}"))
    rows = [drawing.beside(cells[k : k + _COLUMNS]) for k in range(0, len(cells), _COLUMNS)]
    words = "rectified targets as they are, and below as the turn network turns them, from the surest to the least sure"
    return [AlignmentPicture(words, drawing.below(rows, gap=10))]


def _shown(frame: npt.NDArray[np.float32], value_range: tuple[float, float], quarters: int) -> Image:
    low, high = value_range
    pixels: Array = np.clip(np.rint((frame - low) / (high - low) * 255), 0, 255).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    turned = np.ascontiguousarray(np.rot90(pixels[..., ::-1], -quarters))
    return np.asarray(cv2.resize(turned, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
