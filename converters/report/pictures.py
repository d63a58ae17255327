"""Pictures of a conversion: some frames, from the best to the worst, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.calibration import FrameSet
from stn_rectify.converters.report.comparison import Comparison
from stn_rectify.converters.report.frame_points import outline
from stn_rectify.converters.stn_parts import StnParts
from stn_rectify.models.partial_file import partial_file
from stn_rectify.runtime.metadata import InputSpec
from stn_rectify.runtime.model_file import ModelFile

__all__ = ["FramePicture", "take_pictures", "write_sheet"]

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

#: How many times the difference is enlarged; grey, 128, is none.
DIFFERENCE_GAIN = 8
# Quantiles of the frames by error; of two that fall on one frame the later stands.
_RANKS = {
    0.15: "better than 85 %",
    0.3: "better than 70 %",
    0.7: "worse than 70 %",
    0.85: "worse than 85 %",
    0.95: "worse than 95 %",
    0.5: "median",
    0.0: "best",
    1.0: "worst",
}
_CELL_PX = 160


@dataclass(frozen=True)
class FramePicture:
    """One frame before and after; images are BGR uint8 [H, W, 3].

    Attributes:
        rank: where the frame stands among all by its corner error float↔INT8.
        number: of the frame in its set, from 0.
        corner_error_px: mean of the four corners.
        frame: as the model sees it.
        outline_float: [P, 2] frame pixels, the border of the float model's rectified image.
        outline_int8: the same of the file.
        truth: [4, 2], the true corners; None if unknown.
        rectified_float: by the float model.
        rectified_int8: by the file; None for a pose-only file.
        difference: 128 + 8 · (INT8 - float), grey where there is none.
    """

    rank: str
    number: int
    corner_error_px: float
    frame: Image = field(repr=False)
    outline_float: Array = field(repr=False)
    outline_int8: Array = field(repr=False)
    truth: Array | None = field(repr=False)
    rectified_float: Image = field(repr=False)
    rectified_int8: Image | None = field(repr=False)
    difference: Image | None = field(repr=False)


def take_pictures(
    model: ModelFile, parts: StnParts, known: FrameSet, comparison: Comparison
) -> tuple[FramePicture, ...]:
    """Pictures of at most eight frames: best, median, worst by corner error float↔INT8, and some between.

    Args:
        model: the file, for what its pixel values mean.
        parts: the float model.
        known: the frames that were compared.
        comparison: of them.
    """
    spec = model.metadata.input
    order = np.argsort(comparison.outputs.corner_error_px, kind="stable")
    places = {round(rank * (len(order) - 1)): words for rank, words in _RANKS.items()}
    return tuple(_picture(int(order[place]), places[place], spec, parts, known, comparison) for place in sorted(places))


def _picture(
    number: int,
    rank: str,
    spec: InputSpec,
    parts: StnParts,
    known: FrameSet,
    comparison: Comparison,
) -> FramePicture:
    outputs = comparison.outputs
    levels_float = _levels(outputs.rectified_float[number], spec)
    rectified_int8 = difference = None
    if outputs.rectified_int8 is not None:
        values = (outputs.rectified_int8[number].astype(np.float64) - spec.zero_point) * spec.scale
        levels_int8 = _levels(values, spec)
        rectified_int8 = _bgr(levels_int8)
        difference = _bgr(128 + DIFFERENCE_GAIN * (levels_int8 - levels_float))
    truth = None if known.corners is None else known.corners[number]
    return FramePicture(
        rank=rank,
        number=number,
        corner_error_px=float(outputs.corner_error_px[number]),
        frame=_bgr(_levels(known.frames[number], spec)),
        outline_float=outline(outputs.theta_float[number], parts.transform, parts.input_size),
        outline_int8=outline(outputs.theta_int8[number], parts.transform, parts.input_size),
        truth=truth if truth is not None and np.isfinite(truth).all() else None,
        rectified_float=_bgr(levels_float),
        rectified_int8=rectified_int8,
        difference=difference,
    )


def write_sheet(file: Path, pictures: Sequence[FramePicture]) -> None:
    """Writes all of them as one PNG, a column a frame.

    From above: frame with the borders (float green, INT8 red, true corners blue); rectified in float; in INT8; their
    difference eight times enlarged, grey where there is none.
    """
    columns = [np.vstack([_framed(cell) for cell in _cells(picture)]) for picture in pictures]
    with partial_file(file) as partial:
        # Not by imwrite: OpenCV crashes on a path that is not UTF-8.
        partial.write_bytes(cv2.imencode(".png", np.hstack(columns))[1].tobytes())


def _cells(picture: FramePicture) -> Iterator[Image]:
    cell = _enlarged(picture.frame)
    scale = np.array(cell.shape[1::-1]) / np.array(picture.frame.shape[1::-1])
    outlines = [(picture.outline_float, (0, 200, 0)), (picture.outline_int8, (0, 0, 255))]
    if picture.truth is not None:
        outlines.insert(0, (picture.truth, (255, 128, 0)))
    for points, colour in outlines:
        on_cell = np.clip((points + 0.5) * scale - 0.5, -4096, 4096)
        cv2.polylines(cell, [np.round(on_cell * 16).astype(np.int32)], True, colour, 1, cv2.LINE_AA, 4)
    yield cell
    for image in (picture.rectified_float, picture.rectified_int8, picture.difference):
        if image is not None:
            yield _enlarged(image)


def _enlarged(image: Image) -> Image:
    height = max(1, _CELL_PX * image.shape[0] // image.shape[1])
    return np.asarray(cv2.resize(image, (_CELL_PX, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _framed(image: Image) -> Image:
    return np.asarray(cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_CONSTANT), np.uint8)


def _levels(values: Array, spec: InputSpec) -> Array:
    """The model's values as levels of 255."""
    low, high = spec.value_range
    return np.asarray((values - low) / (high - low) * 255)


def _bgr(levels: Array) -> Image:
    """Levels 0 to 255 [H, W, C], RGB, grey or the first channel of others → BGR."""
    image = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[..., ::-1] if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2))
