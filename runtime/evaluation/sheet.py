"""A picture of what was found: the best, the median and the worst targets, and empty frames that pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.errors import SourceError
from stn_rectify.runtime.evaluation.measures import TargetPairs, pair_each
from stn_rectify.runtime.evaluation.search import FoundTarget, SearchedFrame
from stn_rectify.runtime.geometry import upright_size
from stn_rectify.runtime.images.reading import read_image

_CELL_PX, _RECTIFIED_PX = (256, 192), (256, 128)
_WORST = 6
_MOST_EMPTY = 8
_OTHERS = (60, 200, 240)  # BGR, of results that are not the one that the caption is about


def folder_sheet(
    name: str,
    frames: Sequence[SearchedFrame],
    *,
    max_targets: int,
    min_score: float,
) -> Image:
    """Draws the targets of one folder by their overlap, and frames without a target that pass.

    Args:
        name: of the folder.
        frames: its frames and what was found in them.
        max_targets: results of a frame, at most.
        min_score: from which on an empty frame passes.

    Returns:
        BGR uint8 [H, W, 3].
    """
    parts = [drawing.text(name, size=18)]
    pairs = pair_each(frames, max_targets)
    if pairs.targets:
        parts += [drawing.text("Targets from the best to the worst overlap: truth blue, result red, others yellow")]
        parts += [drawing.beside([_target_column(pairs, k, words) for k, words in _chosen(pairs.overlap)])]
    no_target = [frame for frame in frames if not frame.image.targets]
    passed = sorted((f for f in no_target if f.found and f.score >= min_score), key=lambda f: -f.score)
    if no_target:
        line = (
            f"{len(passed)} of {len(no_target)} frames without a target have a result with a score from {min_score:g}"
        )
        parts.append(drawing.text(line + (", those with the highest:" if passed else "")))
    if passed:
        parts.append(drawing.beside([_empty_cell(frame) for frame in passed[:_MOST_EMPTY]]))
    return drawing.below(parts, gap=10)


def save_sheet(file: Path, title: str, sheets: Sequence[Image]) -> None:
    """Writes the sheets of a few folders below each other as one PNG.

    Raises:
        DataError: if the file cannot be written.
    """
    drawing.write_png(file, drawing.below([drawing.text(title, size=20), *sheets], gap=24))


def _chosen(overlap: Sequence[float]) -> list[tuple[int, str]]:
    """The numbers of the best, the median and the worst, each once, and what they are."""
    order = [int(k) for k in np.argsort(-np.asarray(overlap), kind="stable")]
    words = {order[0]: "best"}
    words.setdefault(order[(len(order) - 1) // 2], "median")
    for place in range(max(0, len(order) - _WORST), len(order)):
        nth = len(order) - place
        words.setdefault(order[place], "worst" if nth == 1 else f"worst but {nth - 1}")
    return list(words.items())


def _target_column(pairs: TargetPairs, number: int, words: str) -> Image:
    """The frame with its outlines, and below it what true corners and result rectify."""
    frame, result, truth = pairs.frames[number], pairs.found[number], pairs.corners[number]
    assert truth is not None  # each pair of `pair_each` has a target
    score = "nothing found" if result is None else f"IoU {pairs.overlap[number]:.3f}, score {result.score:.3f}"
    image = _read(frame)
    outlined = _outlined(image, frame, truth, result)
    cells = [drawing.captioned(outlined, f"{words}: {score}", frame.image.path.name)]
    size = upright_size(truth, max_side=max(_CELL_PX))
    shown = [("truth", truth)] + ([] if result is None else [("result", result.corners)])
    for label, corners in shown:
        label += f": {result.text}" if label == "result" and result is not None and result.text is not None else ""
        cells.append(drawing.captioned(drawing.fitted(drawing.rectified(image, corners, size), *_RECTIFIED_PX), label))
    return drawing.below(cells)


def _empty_cell(frame: SearchedFrame) -> Image:
    outlined = _outlined(_read(frame), frame, None, frame.found[0])
    return drawing.captioned(outlined, f"score {frame.score:.3f}", frame.image.path.name)


def _outlined(image: Image, frame: SearchedFrame, truth: Array | None, result: FoundTarget | None) -> Image:
    """A frame with its truth, the result in question, and thin behind them the other results."""
    outlines = [] if truth is None else [(truth, drawing.TRUTH)]
    outlines += [] if result is None else [(result.corners, drawing.INT8)]
    others = [(one.corners, _OTHERS) for one in frame.found if one is not result]
    return drawing.outlined(image, outlines, *_CELL_PX, behind=others)


def _read(frame: SearchedFrame) -> Image:
    """The frame in colour; grey if its file has gone since."""
    try:
        image = read_image(frame.image.path, max_pixels=frame.size[0] * frame.size[1])
    except SourceError:
        return np.full((frame.size[1], frame.size[0], 3), 128, np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8) if image.ndim == 2 else image
