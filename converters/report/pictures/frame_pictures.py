"""Pictures of a conversion: some frames, from the best to the worst, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from stn_rectify.converters.reading.calibration import FrameSet
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.converters.report.comparisons.frame_points import outline
from stn_rectify.converters.report.comparisons.stn_comparison import Comparison
from stn_rectify.models.charts import error_histogram
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, alignment_pictures, error_histograms
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.evaluation.corner_errors import frame_errors
from stn_rectify.runtime.geometry import is_valid_quadrilateral, theta_to_corners
from stn_rectify.runtime.model.metadata import InputSpec

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


@dataclass(frozen=True)
class AlignmentPicture:
    """A picture over all frames; ``image`` BGR uint8 [H, W, 3], with its captions, ``words`` for who cannot see it."""

    words: str
    image: Image = field(repr=False)


def take_pictures(
    spec: InputSpec, parts: StnParts, validation: FrameSet, comparison: Comparison
) -> tuple[FramePicture, ...]:
    """Pictures of at most eight frames: best, median, worst by corner error float↔INT8, and some between.

    Args:
        spec: of the network's input, for what its pixel values mean.
        parts: the float model.
        validation: the frames that were compared.
        comparison: of them.
    """
    order = np.argsort(comparison.outputs.corner_error_px, kind="stable")
    places = {round(rank * (len(order) - 1)): words for rank, words in _RANKS.items()}
    return tuple(
        _picture(int(order[place]), places[place], spec, parts, validation, comparison) for place in sorted(places)
    )


def _picture(
    number: int,
    rank: str,
    spec: InputSpec,
    parts: StnParts,
    validation: FrameSet,
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
    truth = None if validation.corners is None else validation.corners[number]
    return FramePicture(
        rank=rank,
        number=number,
        corner_error_px=float(outputs.corner_error_px[number]),
        frame=_bgr(_levels(validation.frames[number], spec)),
        outline_float=outline(outputs.theta_float[number], parts.transform, parts.input_size),
        outline_int8=outline(outputs.theta_int8[number], parts.transform, parts.input_size),
        truth=truth if truth is not None and np.isfinite(truth).all() else None,
        rectified_float=_bgr(levels_float),
        rectified_int8=rectified_int8,
        difference=difference,
    )


def take_alignment(
    spec: InputSpec, parts: StnParts, validation: FrameSet, comparison: Comparison
) -> tuple[AlignmentPicture, ...]:
    """Do both models put all targets in the same place? Means over the frames, and histograms of the errors.

    Arguments as for `take_pictures`. Frames whose labels are known are averaged by label, too.
    """
    height, width = parts.input_size
    corners = [None] * len(validation) if validation.corners is None else [_usable(c) for c in validation.corners]
    frames = KnownFrames(
        name="",
        frames=tuple(_bgr(_levels(frame, spec)) for frame in validation.frames),
        corners=tuple(corners),
        kinds=() if validation.labels is None else tuple("?" if n < 0 else str(n) for n in validation.labels),
    )
    outputs = comparison.outputs
    poses = [
        FoundPoses(label, tuple(theta_to_corners(theta, width, height)))
        for label, theta in (("float", outputs.theta_float), ("INT8", outputs.theta_int8))
    ]
    plain, edges = alignment_pictures(frames, poses)
    between = error_histogram("corner error float to INT8, px", [("all frames", drawing.INT8, outputs.corner_error_px)])
    pictures = [
        AlignmentPicture("mean of the rectified images", plain),
        AlignmentPicture("mean of their edges", edges),
        AlignmentPicture("histogram of the corner error from float to INT8", between),
    ]
    if any(c is not None for c in corners):
        errors = [frame_errors(frames, model_poses.corners) for model_poses in poses]
        words = "histograms of the error of the true corners and of the share of the targets kept inside"
        pictures.append(AlignmentPicture(words, error_histograms(poses, errors)))
    return tuple(pictures)


def _usable(corners: Array) -> Array | None:
    return corners if is_valid_quadrilateral(corners, min_area_px=1) else None


def frame_sheet(pictures: Sequence[FramePicture], alignment: Sequence[AlignmentPicture] = ()) -> Image:
    """All of them as one picture, first the frames, a column each.

    From above: frame with the borders (float green, INT8 red, true corners blue); rectified in float; in INT8; their
    difference eight times enlarged, grey where there is none.
    """
    heading = (
        "Frames from the best to the worst by corner error float to INT8: float green, INT8 red, true corners blue"
    )
    columns = drawing.beside([drawing.below(list(_cells(picture))) for picture in pictures])
    return drawing.below([drawing.text(heading, size=14), columns, *(picture.image for picture in alignment)], gap=14)


def _cells(picture: FramePicture) -> Iterator[Image]:
    outlines = [(picture.outline_float, drawing.FLOAT), (picture.outline_int8, drawing.INT8)]
    if picture.truth is not None:
        outlines.insert(0, (picture.truth, drawing.TRUTH))
    frame = drawing.outlined(picture.frame, outlines, _CELL_PX, _height(picture.frame))
    yield drawing.captioned(frame, f"{picture.rank}: {picture.corner_error_px:.3f} px", f"frame {picture.number}")
    images = {
        "float": picture.rectified_float,
        "INT8": picture.rectified_int8,
        f"difference x {DIFFERENCE_GAIN}": picture.difference,
    }
    for words, image in images.items():
        if image is not None:
            yield drawing.captioned(drawing.fitted(image, _CELL_PX, _height(image)), words)


def _height(image: Image) -> int:
    """Of a picture that is as wide as a cell."""
    return max(1, _CELL_PX * image.shape[0] // image.shape[1])


def _levels(values: Array, spec: InputSpec) -> Array:
    """The model's values as levels of 255, colours in the order RGB."""
    low, high = spec.value_range
    levels = np.asarray((values - low) / (high - low) * 255)
    return levels[..., ::-1] if spec.colour == "BGR" else levels


def _bgr(levels: Array) -> Image:
    """Levels 0 to 255 [H, W, C], RGB, grey or the first channel of others → BGR."""
    image = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[..., ::-1] if image.shape[2] == 3 else np.repeat(image[..., :1], 3, axis=2))
