"""The converted file beside the Keras model, on the calibration frames."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.sampler_plan import THETA_BITS
from stn_rectify.converters.stn_parts import StnParts
from stn_rectify.models.partial_file import partial_file
from stn_rectify.runtime.geometry import homography_to_corners, pixel_homography, theta_to_homography
from stn_rectify.runtime.model_file import ModelFile

__all__ = ["Comparison", "compare", "comparison_sheet"]

Array = npt.NDArray[Any]
_SHEET_FRAMES = 8
_CELL_PX = 160
_LEAST_DEPTH = 1 / 8  # docs/integer-sampler.md: the range of θ


@dataclass(frozen=True)
class Comparison:
    """INT8 against float.

    Attributes:
        frames: how many were compared.
        corners_mean_px: mean distance of the corners, pixels at the model's input size.
        corners_p95_px: 95th percentile of it.
        corners_max_px: the largest.
        levels_mean: mean difference of the rectified image, levels of 255, from float64 sampling at the same θ;
            None for a pose-only file.
        levels_max: the largest.
        theta: float θ and the file's θ, [N, 2, 6 or 8], for the sheet.
        rectified: the file's rectified images, uint8; None for a pose-only file.
    """

    frames: int
    corners_mean_px: float
    corners_p95_px: float
    corners_max_px: float
    levels_mean: float | None
    levels_max: float | None
    theta: Array = field(repr=False)
    rectified: Array | None = field(repr=False)

    def summary(self) -> dict[str, float | int | None]:
        """The numbers, for the report."""
        return {k: v for k, v in vars(self).items() if k not in ("theta", "rectified")}


def compare(
    model: ModelFile, parts: StnParts, frames: npt.NDArray[np.float32], quantized: npt.NDArray[np.int8]
) -> Comparison:
    """Runs both over the same frames: float32 [N, H, W, C] for Keras, int8 for the file."""
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        outputs = [interpreter.run({"frame": frame[None]}) for frame in quantized]
    theta_int8 = np.concatenate([o["theta"] for o in outputs]) / 2.0**THETA_BITS
    theta_float = np.asarray(parts.pose.predict(frames, batch_size=64, verbose=0), np.float64)
    height, width = parts.input_size
    corners_float, corners_int8 = (
        homography_to_corners(theta_to_homography(t), width, height) for t in (theta_float, theta_int8)
    )
    distance = np.linalg.norm(corners_float - corners_int8, axis=-1)
    rectified, levels = None, None
    if "rectified" in outputs[0]:
        rectified = np.concatenate([o["rectified"] for o in outputs])
        levels = np.array(
            [
                _level_error(f, t, r, parts, model.metadata.input.zero_point)
                for f, t, r in zip(quantized, theta_int8, rectified, strict=True)
            ]
        )
    return Comparison(
        frames=len(frames),
        corners_mean_px=float(distance.mean()),
        corners_p95_px=float(np.percentile(distance, 95)),
        corners_max_px=float(distance.max()),
        levels_mean=None if levels is None else float(levels.mean()),
        levels_max=None if levels is None else float(levels.max()),
        theta=np.stack([theta_float, theta_int8], axis=1),
        rectified=None if rectified is None else _as_uint8(rectified),
    )


def _level_error(
    frame: npt.NDArray[np.int8], theta: Array, rectified: Array, parts: StnParts, zero_point: int
) -> Array:
    """Difference from bilinear sampling in float64 at θ; 0 where the pose is beyond what the integers hold."""
    rows, columns = parts.output_size
    height, width = parts.input_size
    j, i = np.meshgrid(np.arange(columns), np.arange(rows))
    h = pixel_homography(theta, (width, height), (columns, rows))
    points = h @ np.stack([j.ravel(), i.ravel(), np.ones(j.size)])
    held = points[2] > _LEAST_DEPTH
    x, y = (p.reshape(rows, columns) for p in points[:2] / np.where(held, points[2], 1))
    margin = 1 if parts.padding == "zeros" else 0
    x = np.clip(x + margin, 0, width - 1 + 2 * margin)
    y = np.clip(y + margin, 0, height - 1 + 2 * margin)
    padded = np.pad(frame.astype(np.float64), [(margin, margin + 1)] * 2 + [(0, 0)], constant_values=zero_point)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    error = np.abs(upper * (1 - fy) + lower * fy - rectified)
    return np.asarray(error * held.reshape(rows, columns, 1))


def comparison_sheet(file: Path, parts: StnParts, frames: npt.NDArray[np.float32], comparison: Comparison) -> None:
    """Writes a picture: a column a frame; frame with quadrilateral, rectified in float, rectified in INT8.

    Float is green and INT8 red; where they coincide the quadrilateral is red.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, _SHEET_FRAMES).astype(int))
    images = _to_bgr(parts.model.predict(frames[chosen], verbose=0), frames)
    inputs = _to_bgr(frames[chosen], frames)
    height, width = parts.input_size
    columns = []
    for k, number in enumerate(chosen):
        cell = cv2.resize(inputs[k], (_CELL_PX, _CELL_PX * height // width), interpolation=cv2.INTER_NEAREST)
        for theta, colour in zip(comparison.theta[number], ((0, 200, 0), (0, 0, 255)), strict=True):
            corners = homography_to_corners(theta_to_homography(theta), cell.shape[1], cell.shape[0])
            points = np.round(np.clip(corners, -4096, 4096) * 16).astype(np.int32)
            cv2.polylines(cell, [points], True, colour, 1, cv2.LINE_AA, 4)
        cells = [cell, _enlarged(images[k])]
        if comparison.rectified is not None:
            cells.append(_enlarged(_in_bgr(comparison.rectified[number])))
        columns.append(np.vstack([cv2.copyMakeBorder(c, 2, 2, 2, 2, cv2.BORDER_CONSTANT) for c in cells]))
    with partial_file(file) as partial:
        if not cv2.imwrite(str(partial), np.hstack(columns)):
            raise OSError(errno.EIO, "the picture cannot be written", str(partial))


def _enlarged(image: Array) -> Array:
    height = max(1, _CELL_PX * image.shape[0] // image.shape[1])
    return cv2.resize(image, (_CELL_PX, height), interpolation=cv2.INTER_NEAREST)


def _to_bgr(images: Array, frames: npt.NDArray[np.float32]) -> list[Array]:
    low, high = float(frames.min()), float(frames.max())
    scaled = np.clip((images - low) / max(high - low, 1e-6) * 255, 0, 255).round().astype(np.uint8)
    return [_in_bgr(image) for image in scaled]


def _in_bgr(image: Array) -> Array:
    """RGB, grey or the first channel of others → BGR."""
    return np.ascontiguousarray(image[..., ::-1] if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2))


def _as_uint8(image: Array) -> Array:
    return (image.astype(np.int16) + 128).astype(np.uint8)
