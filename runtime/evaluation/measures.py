"""Numbers that say how well the targets of a folder's frames were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.evaluation.corner_errors import CornerErrors, summarise
from stn_rectify.runtime.evaluation.search import FoundTarget, SearchedFrame
from stn_rectify.runtime.geometry import corner_error, homography_to_corners

#: The overlaps of which a table gives the share of targets that have as much or more.
OVERLAPS = (0.5, 0.7, 0.8, 0.9)
#: Share of the empty frames that may pass at the score that separates.
MOST_EMPTY_PASSING = 0.01
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SCORE_STEPS = 1000  # the score that separates is a multiple of 1 / so many


@dataclass(frozen=True)
class OverlapRow:
    """The overlap of targets with what was found of them. A target of which nothing was found has 0.

    Attributes:
        name: the results that are compared: the best of each frame, or the best few.
        count: frames with a target for the best result, targets for the best few.
        found: share of them with the least overlap of a found target or more.
        median: of the overlap.
        mean: of the overlap.
        shares: overlaps, `OVERLAPS` and the least one of a found target, and the share of them with as much or more.
        upright: share of the found ones whose corners are in the right order; NaN without found ones, and for boxes.
        text: share of those with a text whose text was read; NaN without texts or a recognizer.
    """

    name: str
    count: int
    found: float
    median: float
    mean: float
    shares: tuple[tuple[float, float], ...]
    upright: float
    text: float


@dataclass(frozen=True)
class ScoreRow:
    """What passes at one lowest score of a target.

    Attributes:
        score: that score, 0 to 1.
        note: what is special about it.
        kept: share of the targets that are found with that score or more; NaN without targets.
        false: results of a frame, on average, that pass and are no target, or one that a better result has found.
        empty: share of the frames without a target that pass; NaN without such frames.
    """

    score: float
    note: str
    kept: float
    false: float
    empty: float


@dataclass(frozen=True)
class FolderMeasures:
    """All numbers of one folder.

    Attributes:
        name: of the folder.
        frames: frames that were searched.
        targets: targets in them.
        empty: frames without a target, those of ``--empty`` folders included that stand beside it.
        failed: frames that could not be read or searched.
        boxes: whether only boxes around the targets are known.
        least_overlap: from which on a target counts as found.
        overlaps: a row for the best result of each frame; one for the best few, where there are several.
        errors: corner errors, in rows of the same names; none for boxes.
        scores: what passes at which score, by score.
        separating: what passes at the lowest score that at most 1 % of the empty frames reach; None if there are no
            empty frames, or no score separates.
        latency_ms: median and 95th percentile of what finding the targets of a frame took; NaN without frames.
    """

    name: str
    frames: int
    targets: int
    empty: int
    failed: int
    boxes: bool
    least_overlap: float
    overlaps: tuple[OverlapRow, ...]
    errors: tuple[CornerErrors, ...]
    scores: tuple[ScoreRow, ...]
    separating: ScoreRow | None
    latency_ms: tuple[float, float]


@dataclass(frozen=True)
class TargetPairs:
    """True corners and what is compared with them; of frames without a target, nothing.

    Attributes:
        name: of the row.
        frames: the frame of each pair.
        targets: number of the target in its frame; None of frames without one.
        found: the result; None if there is none.
        overlap: intersection over union; 0 if there is no result.
        read: the results whose texts count as read.
    """

    name: str
    frames: tuple[SearchedFrame, ...]
    targets: tuple[int | None, ...]
    found: tuple[FoundTarget | None, ...]
    overlap: tuple[float, ...]
    read: tuple[tuple[FoundTarget, ...], ...]

    @property
    def corners(self) -> tuple[Array | None, ...]:
        return tuple(
            None if number is None else frame.image.targets[number].corners
            for frame, number in zip(self.frames, self.targets, strict=True)
        )

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple(frame.size for frame in self.frames)

    def found_corners(self) -> list[Array]:
        """The corners of each result; without one the whole frame's, as `Rectifier.locate` gives them."""
        pairs = zip(self.found, self.sizes, strict=True)
        return [homography_to_corners(np.eye(3), *size) if one is None else one.corners for one, size in pairs]

    def scores(self) -> FloatArray:
        return np.array([0.0 if one is None else one.score for one in self.found])


def measure(
    name: str,
    frames: Sequence[SearchedFrame],
    empty: Sequence[SearchedFrame] = (),
    *,
    boxes: bool,
    max_targets: int,
    reads_text: bool = False,
    least_overlap: float = 0.5,
    min_scores: Sequence[tuple[float, str]] = (),
    failed: int = 0,
) -> FolderMeasures:
    """Measures how well the targets of some frames were found.

    Args:
        name: of the frames.
        frames: the frames and what was found in them.
        empty: further frames without a target, which say what a score is worth.
        boxes: whether the targets are boxes, of which no corners are known.
        max_targets: results of a frame, at most.
        reads_text: whether a recognizer read the results.
        least_overlap: intersection over union from which on a target counts as found, above 0 to 1.
        min_scores: further scores at which to say what passes, and what is special about them.
        failed: frames that could not be read or searched.
    """
    rows_of = {"boxes": boxes, "reads_text": reads_text}
    pairings = [pair_best(frames)]
    if any(len(frame.found) > 1 or len(frame.image.targets) > 1 for frame in frames):  # else it is the same
        pairings.append(pair_each(frames, max_targets))
    targets = sum(len(frame.image.targets) for frame in frames)
    no_target = [*(frame for frame in frames if not frame.image.targets), *empty]
    separating = separating_score(no_target)
    latency = [frame.latency_ms for frame in frames]
    rows = dict.fromkeys(_SCORES, "") | dict(min_scores)
    if separating is not None:
        words = f"lets {100 * MOST_EMPTY_PASSING:g} % of the empty frames pass at most"
        rows[separating] = f"{rows[separating]}, {words}" if rows.get(separating) else words
    scores = tuple(_score_row(score, rows[score], frames, no_target, least_overlap) for score in sorted(rows))
    return FolderMeasures(
        name=name,
        frames=len(frames),
        targets=targets,
        empty=len(no_target),
        failed=failed,
        boxes=boxes,
        least_overlap=least_overlap,
        overlaps=tuple(_overlap_row(pairs, least_overlap, **rows_of) for pairs in pairings) if targets else (),
        errors=_errors(pairings, empty) if targets and not boxes else (),
        scores=scores,
        separating=next((row for row in scores if row.score == separating), None),
        latency_ms=(float(np.median(latency)), float(np.percentile(latency, 95))) if latency else (math.nan, math.nan),
    )


def pair_best(frames: Sequence[SearchedFrame]) -> TargetPairs:
    """Pairs the best result of each frame with the target that it overlaps most; frames without targets stay."""
    targets: list[int | None] = []
    overlaps = []
    for frame in frames:
        if not frame.image.targets:
            targets.append(None)
            overlaps.append(0.0)
        elif not frame.found:
            targets.append(0)
            overlaps.append(0.0)
        else:
            best = frame.found[0].corners
            errors = [float(corner_error(best, target.corners)) for target in frame.image.targets]
            number = max(range(len(errors)), key=lambda k: (frame.overlap[0, k], -errors[k]))
            targets.append(number)
            overlaps.append(float(frame.overlap[0, number]))
    found = tuple(frame.found[0] if frame.found else None for frame in frames)
    read = tuple(frame.found[:1] for frame in frames)
    return TargetPairs("best", tuple(frames), tuple(targets), found, tuple(overlaps), read)


def pair_each(frames: Sequence[SearchedFrame], max_targets: int) -> TargetPairs:
    """Pairs each target with a result of its own, those that overlap most first; targets left over have none."""
    shown: list[SearchedFrame] = []
    targets: list[int | None] = []
    found: list[FoundTarget | None] = []
    overlaps = []
    for frame in frames:
        by_target: dict[int, int] = {}
        for result, target in sorted(np.ndindex(*frame.overlap.shape), key=lambda at: (-frame.overlap[at], at)):
            if target not in by_target and result not in by_target.values():
                by_target[target] = result
        for target in range(len(frame.image.targets)):
            number = by_target.get(target)
            shown.append(frame)
            targets.append(target)
            found.append(None if number is None else frame.found[number])
            overlaps.append(0.0 if number is None else float(frame.overlap[number, target]))
    read = tuple(frame.found for frame in shown)
    return TargetPairs(f"best {max_targets}", tuple(shown), tuple(targets), tuple(found), tuple(overlaps), read)


def assigned_targets(frame: SearchedFrame, least_overlap: float) -> list[int | None]:
    """Which target each result has found, from the best on: the one that it overlaps most and no better one has found.

    Args:
        frame: a frame and its results.
        least_overlap: intersection over union from which on a target counts as found.

    Returns:
        For each result the number of its target; None for those that are false.
    """
    free = set(range(len(frame.image.targets)))
    numbers: list[int | None] = []
    for overlaps in frame.overlap:
        fitting = [k for k in free if overlaps[k] >= least_overlap]
        number = max(fitting, key=lambda k: overlaps[k], default=None)
        free.discard(-1 if number is None else number)
        numbers.append(number)
    return numbers


def separating_score(empty: Sequence[SearchedFrame]) -> float | None:
    """The lowest score, in thousandths, that at most 1 % of the frames without a target reach.

    None if there are no such frames, or if more of them have the highest score.
    """
    if not empty:
        return None
    scores = np.sort([frame.score for frame in empty])[::-1]
    first_to_fail = scores[int(MOST_EMPTY_PASSING * len(empty) + 1e-9)]
    score = (math.floor(first_to_fail * _SCORE_STEPS) + 1) / _SCORE_STEPS
    return score if score <= 1 else None


def _overlap_row(pairs: TargetPairs, least_overlap: float, *, boxes: bool, reads_text: bool) -> OverlapRow:
    kept = [k for k, target in enumerate(pairs.targets) if target is not None]
    overlap = np.array([pairs.overlap[k] for k in kept])
    truth, found = pairs.corners, pairs.found_corners()
    in_order = [is_in_order(found[k], truth[k]) for k in kept if pairs.overlap[k] >= least_overlap]
    return OverlapRow(
        name=pairs.name,
        count=len(kept),
        found=float((overlap >= least_overlap).mean()),
        median=float(np.median(overlap)),
        mean=float(overlap.mean()),
        shares=tuple((least, float((overlap >= least).mean())) for least in sorted({*OVERLAPS, least_overlap})),
        upright=math.nan if boxes or not in_order else float(np.mean(in_order)),
        text=_text_share(pairs) if reads_text else math.nan,
    )


def is_in_order(corners: Array, truth: Array | None) -> bool:
    """Tells whether of the four turns of ``corners`` [4, 2] they themselves lie nearest to ``truth`` [4, 2]."""
    assert truth is not None
    return int(np.argmin([corner_error(np.roll(corners, -turn, axis=0), truth) for turn in range(4)])) == 0


def _text_share(pairs: TargetPairs) -> float:
    """Share of the texts that stand, letter for letter, among those that were read in their frames."""
    right = []
    for known, number, results in zip(pairs.frames, pairs.targets, pairs.read, strict=True):
        text = None if number is None else known.image.targets[number].text
        if text is not None:
            right.append(text in [one.text for one in results])
    return float(np.mean(right)) if right else math.nan


def _errors(pairings: Sequence[TargetPairs], empty: Sequence[SearchedFrame]) -> tuple[CornerErrors, ...]:
    """The first row has the frames without a target as well, and so says what the score is worth."""
    best = pair_best([*pairings[0].frames, *empty])
    first = summarise(best, best.found_corners(), best.scores())
    return (first, *(summarise(pairs, pairs.found_corners(), None) for pairs in pairings[1:]))


def _score_row(
    score: float, note: str, frames: Sequence[SearchedFrame], empty: Sequence[SearchedFrame], least_overlap: float
) -> ScoreRow:
    kept, false, targets = 0, 0, 0
    for frame in frames:
        targets += len(frame.image.targets)
        for one, target in zip(frame.found, assigned_targets(frame, least_overlap), strict=True):
            kept += one.score >= score and target is not None
            false += one.score >= score and target is None
    return ScoreRow(
        score=score,
        note=note,
        kept=kept / targets if targets else math.nan,
        false=false / len(frames) if frames else math.nan,
        empty=float(np.mean([frame.score >= score for frame in empty])) if empty else math.nan,
    )
