"""Verification sheets: pictures that show whether a model learned to align."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stn_rectify.models.charts import error_histogram, histogram
from stn_rectify.models.evaluation.aligned_mean import WHOLE_FRAME, AlignedMean, aligned_mean
from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.evaluation.corner_errors import GOOD_OVERLAP, FrameErrors, frame_errors
from stn_rectify.runtime.geometry import (
    homography_to_corners,
    upright_size,
)

_CELL_PX = (184, 138)
_MEAN_PX = 96
_MOST_KINDS = 10
_FEWEST_OF_A_KIND = 8
_MOST_IN_A_MEAN = 1000
_RANKS = {0.0: "best", 0.25: "better than 75 %", 0.5: "median", 0.75: "worse than 75 %", 0.95: "worse than 95 %"}
_LABEL_PX = 92


@dataclass(frozen=True)
class FoundPoses:
    """The poses that one model gave for a set of frames.

    Attributes:
        label: "float" or "INT8".
        corners: [4, 2] for each frame, frame pixels.
    """

    label: str
    corners: tuple[Array, ...]

    @property
    def colour(self) -> tuple[int, int, int]:
        """The BGR colour in which all pictures draw these poses."""
        return drawing.INT8 if self.label == "INT8" else drawing.FLOAT


def save_sheet(file: Path, title: str, sets: Sequence[tuple[KnownFrames, Sequence[FoundPoses]]]) -> None:
    """Writes the sheets of a few sets of frames below each other as one PNG.

    Raises:
        DataError: if the file cannot be written.
    """
    sheets = [sheet(frame_set, poses) for frame_set, poses in sets]
    drawing.write_png(file, drawing.below([drawing.text(title, size=20), *sheets], gap=24))


def sheet(frame_set: KnownFrames, poses: Sequence[FoundPoses]) -> Image:
    """Draws all there is to see of one set of frames; where no true corners are known, the means alone.

    Args:
        frame_set: the frames, and where their targets are.
        poses: the poses of one model or two; the last one's errors put the frames in order.
    """
    count = sum(corners is not None for corners in frame_set.corners)
    if not count:
        line = drawing.text(f"{frame_set.name}: {len(frame_set.frames)} frames without true corners", size=16)
        return drawing.below([line, *alignment_pictures(frame_set, poses)], gap=14)
    errors = [frame_errors(frame_set, one.corners) for one in poses]
    lines = [drawing.text(f"{frame_set.name}: {count} frames with a target", size=16)]
    lines += [drawing.text(f"{one.label}: {_in_words(e)}") for one, e in zip(poses, errors, strict=True)]
    return drawing.below(
        [
            drawing.below(lines, gap=0),
            ranked_frames(frame_set, poses, errors),
            *alignment_pictures(frame_set, poses),
            error_histograms(poses, errors),
        ],
        gap=14,
    )


def _in_words(errors: FrameErrors) -> str:
    percent, overlap, kept = (v[np.isfinite(v)] for v in (errors.percent, errors.overlap, errors.kept))
    phrases = [
        f"corner error median {np.median(percent):.2f} % of the diagonal",
        f"95th percentile {np.percentile(percent, 95):.1f}",
        f"overlap (IoU) median {np.median(overlap):.3f}",
        f"{GOOD_OVERLAP:g} or more in {100 * (overlap >= GOOD_OVERLAP).mean():.0f} %",
        f"kept inside: mean {100 * kept.mean():.1f} %, at least {100 * np.percentile(kept, 5):.1f} % in 19 of 20",
    ]
    return " · ".join(phrases)


def ranked_frames(frame_set: KnownFrames, poses: Sequence[FoundPoses], errors: Sequence[FrameErrors]) -> Image:
    """Frames from the best to the worst by the last model's corner error, a column each.

    From above: the frame with the true quadrilateral and those of the models; the image that the true corners
    rectify; those that the models' corners do.
    """
    percent = errors[-1].percent
    order = np.argsort(np.where(np.isfinite(percent), percent, np.inf), kind="stable")[: np.isfinite(percent).sum()]
    places = {round(rank * (len(order) - 1)): words for rank, words in _RANKS.items()}
    places[len(order) - 1] = "worst"
    columns = []
    for place in sorted(places):
        number = int(order[place])
        frame, truth = frame_set.frames[number], frame_set.corners[number]
        assert truth is not None  # those without have no error
        outlines = [(truth, drawing.TRUTH), *((one.corners[number], one.colour) for one in poses)]
        cells = [
            drawing.captioned(
                drawing.outlined(frame, outlines, *_CELL_PX),
                f"{places[place]}: {percent[number]:.2f} % off",
                f"IoU {errors[-1].overlap[number]:.3f}, kept {100 * errors[-1].kept[number]:.0f} %",
            )
        ]
        size = upright_size(truth, max_side=max(_CELL_PX))
        for label, corners in (("true corners", truth), *((one.label, one.corners[number]) for one in poses)):
            cells.append(drawing.captioned(drawing.fitted(drawing.rectified(frame, corners, size), *_CELL_PX), label))
        columns.append(drawing.below(cells))
    legend = ", ".join(f"{one.label} {'red' if one.label == 'INT8' else 'green'}" for one in poses)
    heading = drawing.text(f"Frames from the best to the worst by {poses[-1].label}: truth blue, {legend}", size=14)
    return drawing.below([heading, drawing.beside(columns)])


def alignment_pictures(frame_set: KnownFrames, poses: Sequence[FoundPoses]) -> list[Image]:
    """The means of rectified images and of their edges, for all targets and for each kind.

    Rows: the frames as they are, each model's poses, the true corners where all are known.
    """
    rows = _rows(frame_set, poses)
    groups = _groups(frame_set)
    means = [
        [
            aligned_mean([frame_set.frames[k] for k in group], [corners[k] for k in group], _MEAN_PX)
            for group in groups.values()
        ]
        for corners in rows.values()
    ]
    borders = "borders that lie on each other (N x: edges are N times as strong there as on average)"
    headings = {
        "plain": "Mean of the rectified images, with a fifth around the target: the sharper, the better aligned",
        "edges": f"Mean of their edges: a sharp frame is {borders}",
    }
    return [_mean_table(heading, which, list(rows), list(groups), means) for which, heading in headings.items()]


def _rows(frame_set: KnownFrames, poses: Sequence[FoundPoses]) -> dict[str, Sequence[Array]]:
    whole = [homography_to_corners(WHOLE_FRAME, f.shape[1], f.shape[0]) for f in frame_set.frames]
    rows: dict[str, Sequence[Array]] = {"whole frame": whole}
    rows |= {one.label: one.corners for one in poses}
    if any(corners is not None for corners in frame_set.corners):
        nothing = np.full((4, 2), np.nan)
        rows["true corners"] = [nothing if corners is None else corners for corners in frame_set.corners]
    return rows


def _groups(frame_set: KnownFrames) -> dict[str, list[int]]:
    """Numbers of the frames with a target: all, and those of each kind of which there are some."""
    if all(corners is None for corners in frame_set.corners):
        targets = list(range(len(frame_set.frames)))  # no frame has true corners: take all
    else:
        targets = [k for k, corners in enumerate(frame_set.corners) if corners is not None]
    step = -(-len(targets) // _MOST_IN_A_MEAN)
    groups = {"all": targets[::step]}
    if frame_set.kinds:
        counted = Counter(frame_set.kinds[k] for k in targets).most_common(_MOST_KINDS)
        for kind, count in sorted(counted):
            if _FEWEST_OF_A_KIND <= count < len(targets):
                groups[kind] = [k for k in targets if frame_set.kinds[k] == kind][:_MOST_IN_A_MEAN]
    return groups


def _mean_table(
    heading: str, which: str, rows: Sequence[str], groups: Sequence[str], means: Sequence[Sequence[AlignedMean | None]]
) -> Image:
    """A line of pictures for each row; of a single group one line with all of them."""
    lines = []
    for label, row in zip(rows, means, strict=True):
        cells = [
            _mean_cell(mean, which, group, _brightest(means, k))
            for k, (mean, group) in enumerate(zip(row, groups, strict=True))
        ]
        lines.append((drawing.text(label, _LABEL_PX), cells))
    if len(groups) == 1:
        table = drawing.beside([drawing.below([label, *cells], gap=0) for label, cells in lines])
    else:
        table = drawing.below([drawing.beside([label, *cells]) for label, cells in lines])
    return drawing.below([drawing.text(heading, size=14), table])


def _mean_cell(mean: AlignedMean | None, which: str, group: str, brightest: float) -> Image:
    if mean is None:
        return drawing.captioned(np.full((_MEAN_PX, _MEAN_PX, 3), 238, np.uint8), "no usable pose", size=11)
    if which == "plain":
        return drawing.captioned(mean.plain_picture(), f"{group} ({mean.count})", size=11)
    return drawing.captioned(mean.edge_picture(brightest), f"{group}: {mean.border:.1f} x", size=11)


def _brightest(means: Sequence[Sequence[AlignedMean | None]], k: int) -> float:
    """The edge strength that is black in a column: one scale for all rows, or blurred ones would look sharp."""
    column = [mean for mean in (row[k] for row in means) if mean is not None]
    return max([1e-9, *(float(np.percentile(mean.edges, 99.5)) for mean in column)])


def error_histograms(poses: Sequence[FoundPoses], errors: Sequence[FrameErrors]) -> Image:
    """Corner errors, and the shares of the targets kept inside."""
    percent = [(one.label, one.colour, e.percent) for one, e in zip(poses, errors, strict=True)]
    kept = [(one.label, one.colour, 100 * e.kept) for one, e in zip(poses, errors, strict=True)]
    return drawing.beside(
        [
            error_histogram("corner error, % of the diagonal", percent),
            histogram("target kept inside, % (first: 71 and less)", kept, np.linspace(70, 100, 31)),
        ],
        gap=24,
    )
