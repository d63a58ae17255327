"""A dense network's file beside the float network, level by level, at the cells that see a target in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.proof.proof import Check
from stn_rectify.converters.reading.dense_parts import DenseParts
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union
from stn_rectify.runtime.geometry import is_valid_quadrilateral
from stn_rectify.runtime.model.metadata import DenseSpec
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.searching.candidates import Candidate, thinned

#: Frames [N, H, W, C], height and width → the frames at that size, as the float network and as the file takes them.
Look = Callable[[npt.NDArray[np.float32], tuple[int, int]], tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]]

#: A cell sees a target from this score on.
SEES = 0.5
#: Candidates of both networks that overlap at least this much are the same.
_FOUND_OVERLAP = 0.5
_MOST_CANDIDATES = 8


@dataclass(frozen=True)
class Differences:
    """The mean, the 95th percentile and the largest of many differences."""

    mean: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: Array) -> Differences:
        """Those of one or more numbers."""
        return cls(float(values.mean()), float(np.percentile(values, 95)), float(values.max()))


@dataclass(frozen=True)
class Candidates:
    """The targets that a network sees in one frame, best first, thinned.

    Attributes:
        corners: float64 [N, 4, 2], pixels of the level.
        scores: float64 [N], 0 to 1.
    """

    corners: FloatArray = field(repr=False)
    scores: FloatArray = field(repr=False)


@dataclass(frozen=True)
class LevelComparison:
    """INT8 against float at one level.

    Attributes:
        signature: of the level.
        width: of the level, pixels.
        height: of the level, pixels.
        frames: how many were compared.
        cells: cells that see a target in float, over all frames.
        score: difference of their scores, 0 to 1; None if there are no such cells.
        score_elsewhere: the largest difference of all other cells' scores.
        corners: distance of their corners, pixels of the level; None if there are no such cells.
        corners_share: the same as a share of the target's longest side.
        candidates: of the float network, thinned, over all frames.
        found_both: the share of them that the file finds, too; 1 if there are none.
        found_more: candidates of the file that the float network does not have.
        of_float: the float network's, a frame each.
        of_file: the file's.
        score_maps: float64 [N, rows, columns], the file's scores.
        errors_px: float64 [N], mean distance of the corners of a frame; NaN where no cell sees a target.
    """

    signature: str
    width: int
    height: int
    frames: int
    cells: int
    score: Differences | None
    score_elsewhere: float
    corners: Differences | None
    corners_share: Differences | None
    candidates: int
    found_both: float
    found_more: int
    of_float: Sequence[Candidates] = field(repr=False)
    of_file: Sequence[Candidates] = field(repr=False)
    score_maps: FloatArray = field(repr=False)
    errors_px: FloatArray = field(repr=False)


@dataclass(frozen=True)
class DenseComparison:
    """INT8 against float.

    Attributes:
        frames: how many were compared.
        own: number of the level of the network's own size.
        levels: finest first.
    """

    frames: int
    own: int
    levels: Sequence[LevelComparison]

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report; those of the network's own size again under the names that other kinds use."""
        drawn = ("of_float", "of_file", "score_maps", "errors_px")
        levels = [
            {name: asdict(value) if isinstance(value, Differences) else value for name, value in vars(level).items()}
            for level in self.levels
        ]
        corners = self.levels[self.own].corners
        return {
            "frames": self.frames,
            "corners_mean_px": None if corners is None else corners.mean,
            "corners_p95_px": None if corners is None else corners.p95,
            "corners_max_px": None if corners is None else corners.max,
            "own_level": self.own,
            "levels": [{name: value for name, value in level.items() if name not in drawn} for level in levels],
        }


def compare_dense(model: ModelFile, parts: DenseParts, frames: npt.NDArray[np.float32], look: Look) -> DenseComparison:
    """Runs the float network and the file over the same frames at each level.

    Args:
        model: the file, read back.
        parts: the float network.
        frames: [N, H, W, C], at its own size.
        look: gives frames at another height and width, as the float network and as the file takes them.

    Raises:
        ModelFileError: if the interpreter refuses the file or dies of it.
    """
    dense = model.metadata.dense
    if dense is None:
        raise ModelFileError(f"{model.path} has no dense network to compare")
    levels = []
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        for level in dense.levels:
            size = (level.height, level.width)
            function = parts.at(size)
            of_float: list[dict[str, Array]] = []
            of_file: list[dict[str, Array]] = []
            for frame in frames:  # one at a time: all of them at the finest level are too many to hold
                seen, quantized = look(frame[None], size)
                of_float.append({name: np.asarray(value) for name, value in function(seen).items()})
                of_file.append(interpreter.run({"frame": quantized}, level.signature))
            levels.append(_compare_level(dense, level.signature, size, _joined(of_float), _joined(of_file)))
    own = [(level.height, level.width) for level in dense.levels].index(parts.input_size)
    return DenseComparison(len(frames), own, levels)


def dense_gate(
    comparison: DenseComparison, max_corner_error: float | None, max_score_error: float | None
) -> list[Check]:
    """Checks the level of the network's own size against thresholds, at 19 of 20 cells that see a target in float.

    Args:
        comparison: of the file with its float network.
        max_corner_error: pixels of the level that the 95th percentile of the corners' distance may reach; None for no
            limit.
        max_score_error: the same for the difference of the scores, 0 to 1.
    """
    level = comparison.levels[comparison.own]
    checks = []
    for name, limit, found, unit in (
        ("corner error float↔INT8", max_corner_error, level.corners, " px"),
        ("score error float↔INT8", max_score_error, level.score, ""),
    ):
        if limit is None:
            continue
        name = f"{name} at most {limit:g}{unit}"
        if found is None:
            checks.append(Check(name, False, "the float network sees no target in any frame: give frames with targets"))
        else:
            finding = f"{found.p95:.3f}{unit} (95th percentile of {level.cells} cells that see a target)"
            checks.append(Check(name, found.p95 <= limit, finding))
    return checks


def cell_corners(corners: Array, stride: int, unit: float) -> FloatArray:
    """Corners as a dense network gives them, real numbers [..., rows, columns, 8], in pixels of the level.

    Returns:
        float64 [..., rows, columns, 4, 2].
    """
    rows, columns = corners.shape[-3:-1]
    y, x = np.mgrid[:rows, :columns] * stride + (stride - 1) / 2
    relative = np.asarray(corners, np.float64).reshape(*corners.shape[:-1], 4, 2)
    return np.asarray(relative * unit + np.stack([x, y], axis=-1)[..., None, :])


def thinned_candidates(scores: Array, corners: Array) -> Candidates:
    """The targets of one frame: cells that see one, best first, thinned as the runtime does.

    Args:
        scores: [rows, columns].
        corners: [rows, columns, 4, 2], pixels of the level.
    """
    places = [tuple(place) for place in np.argwhere(scores >= SEES)]
    seen = [Candidate(corners[p], float(scores[p])) for p in places if is_valid_quadrilateral(corners[p])]
    kept = [seen[number] for number in thinned(seen, _MOST_CANDIDATES)]
    return Candidates(np.array([c.corners for c in kept]).reshape(-1, 4, 2), np.array([c.score for c in kept]))


def _joined(runs: Sequence[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([run[name] for run in runs]) for name in ("score", "corners")}


def _compare_level(
    dense: DenseSpec, signature: str, size: tuple[int, int], of_float: dict[str, Array], of_file: dict[str, Array]
) -> LevelComparison:
    scores_float = np.asarray(of_float["score"][..., 0], np.float64)
    scores_int8 = (of_file["score"][..., 0].astype(np.float64) - dense.score.zero_point) * dense.score.scale
    levels = (of_file["corners"].astype(np.float64) - dense.corners.zero_point) * dense.corners.scale
    corners_float, corners_int8 = (
        cell_corners(corners, dense.stride, dense.unit) for corners in (of_float["corners"], levels)
    )
    sees = scores_float >= SEES
    score = np.abs(scores_int8 - scores_float)
    distance = np.linalg.norm(corners_int8 - corners_float, axis=-1)
    sides = np.linalg.norm(np.roll(corners_float, -1, axis=-2) - corners_float, axis=-1).max(axis=-1)
    share = distance / np.maximum(sides, 1e-6)[..., None]
    seen = bool(sees.any())
    means = [float(d[s].mean()) if s.any() else np.nan for d, s in zip(distance, sees, strict=True)]
    found = [
        [thinned_candidates(s, c) for s, c in zip(scores, corners, strict=True)]
        for scores, corners in ((scores_float, corners_float), (scores_int8, corners_int8))
    ]
    both = more = total = 0
    for mine, theirs in zip(*found, strict=True):
        total += len(mine.corners)
        both += _matched(mine, theirs)
        more += len(theirs.corners) - _matched(theirs, mine)
    return LevelComparison(
        signature=signature,
        width=size[1],
        height=size[0],
        frames=len(scores_float),
        cells=int(sees.sum()),
        score=Differences.of(score[sees]) if seen else None,
        score_elsewhere=float(score[~sees].max(initial=0)),
        corners=Differences.of(distance[sees]) if seen else None,
        corners_share=Differences.of(share[sees]) if seen else None,
        candidates=total,
        found_both=both / total if total else 1.0,
        found_more=more,
        of_float=found[0],
        of_file=found[1],
        score_maps=scores_int8,
        errors_px=np.array(means),
    )


def _matched(mine: Candidates, theirs: Candidates) -> int:
    """How many of the candidates the others have, too."""
    return sum(any(intersection_over_union(a, b) >= _FOUND_OVERLAP for b in theirs.corners) for a in mine.corners)
