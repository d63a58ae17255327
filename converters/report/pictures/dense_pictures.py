"""Pictures of a dense network: what float and INT8 find in some frames, and the map of the scores, level by level."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.report.comparisons.dense_comparison import DenseComparison, LevelComparison, Look
from stn_rectify.converters.report.pictures.frame_pictures import AlignmentPicture
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import FloatArray, Image

# Quantiles of the frames by corner error; of two that fall on one frame the later stands.
_RANKS = {0.25: "better than 75 %", 0.75: "worse than 75 %", 0.5: "median", 0.0: "best", 1.0: "worst"}
_CELL_PX = 240


def take_level_pictures(
    comparison: DenseComparison, frames: npt.NDArray[np.float32], look: Look, value_range: tuple[float, float]
) -> tuple[AlignmentPicture, ...]:
    """A sheet for each level: the same frames, with the targets of both networks, and below each the INT8 scores.

    Args:
        comparison: of the file with its float network.
        frames: those that were compared, [N, H, W, C], in ``value_range``.
        look: as `compare_dense` takes it.
        value_range: what pixel values 0 and 255 are to the float network.
    """
    chosen = _chosen(comparison)
    sheets = []
    for level in comparison.levels:
        seen, _ = look(frames[list(chosen)], (level.height, level.width))
        sheets.append(_sheet(level, dict(zip(chosen, seen, strict=True)), chosen, value_range))
    return tuple(sheets)


def _chosen(comparison: DenseComparison) -> dict[int, str]:
    """Numbers of frames and their ranks by the mean corner error over the levels; frames without a target are last."""
    errors = np.array([level.errors_px for level in comparison.levels])
    seen = np.isfinite(errors)
    means = np.where(seen, errors, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    order = sorted(np.flatnonzero(seen.any(axis=0)), key=lambda k: float(means[k]))
    if not order:
        return {0: "no target"}
    places = {round(rank * (len(order) - 1)): words for rank, words in _RANKS.items()}
    return {int(order[place]): places[place] for place in sorted(places)}


def _sheet(
    level: LevelComparison,
    frames: Mapping[int, npt.NDArray[np.float32]],
    chosen: Mapping[int, str],
    value_range: tuple[float, float],
) -> AlignmentPicture:
    height = round(_CELL_PX * level.height / level.width)
    columns = []
    for number, rank in chosen.items():
        outlines: list[tuple[FloatArray, drawing.Colour]] = []
        for candidates, colour in ((level.of_float[number], drawing.FLOAT), (level.of_file[number], drawing.INT8)):
            outlines += [(corners, colour) for corners in candidates.corners]
        frame = drawing.outlined(_bgr(frames[number], value_range), outlines, _CELL_PX, height)
        error = level.errors_px[number]
        words = f"{rank}: {error:.2f} px" if np.isfinite(error) else f"{rank}: none at this level"
        targets = (
            f"frame {number}: float {len(level.of_float[number].corners)}, INT8 {len(level.of_file[number].corners)}"
        )
        scores = drawing.fitted(_score_map(level.score_maps[number]), _CELL_PX, height)
        best = f"scores, largest {level.score_maps[number].max():.2f}"
        columns.append(drawing.below([drawing.captioned(frame, words, targets), drawing.captioned(scores, best)]))
    heading = f"{level.width}x{level.height} ({level.signature}): float green, INT8 red"
    image = drawing.below([drawing.text(heading, size=14), drawing.beside(columns)])
    words = f"targets that float and INT8 find at {level.width}x{level.height} pixels, and the scores of the cells"
    return AlignmentPicture(words, image)


def _score_map(scores: FloatArray) -> Image:
    grey = np.clip(np.round(scores * 255), 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), np.uint8)


def _bgr(frame: npt.NDArray[np.float32], value_range: tuple[float, float]) -> Image:
    """A frame [H, W, C], RGB, grey or the first channel of others → BGR."""
    low, high = value_range
    image = np.clip(np.round((frame - low) / (high - low) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[..., ::-1] if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2))
