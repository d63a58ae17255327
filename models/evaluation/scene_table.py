"""How many targets of held-out scenes a dense network finds by itself, before any refinement."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.network.dense_answers import DensePredictor
from stn_rectify.models.progress import Progress
from stn_rectify.models.synthesis import SceneSynthesiser
from stn_rectify.runtime.arrays import FloatArray
from stn_rectify.runtime.evaluation.quadrilateral_overlap import intersection_over_union

_FRAME_SIZE = (640, 480)
_FOUND_OVERLAP = 0.5
_SCORES = (0.2, 0.3, 0.4, 0.5, 0.6)
_SIZES = (0.0, 0.1, 0.3, 1.0)  # of the frame's width: bounds of the groups
_MOST = 8


def scene_table(
    model: keras.Model,
    *,
    count: int,
    seed: int,
    backgrounds: Path | None,
    negatives: Path | None,
    plates_only: bool,
) -> str:
    """A row for each score: the share of targets that are found, by their size, and false ones for each frame.

    Found is a target that a candidate of that score overlaps by half or more. Frames are 640×480, of another seed than
    those of a training.

    Args:
        model: a dense network of one score.
        count: number of scenes.
        seed: of the training.
        backgrounds: folder of photographs, or None.
        negatives: folder of photographs without a target, or None.
        plates_only: whether number plates are the only targets.
    """
    predictor = DensePredictor(model)
    synthesise = SceneSynthesiser(
        seed=seed + 1_000_003, frame_size=_FRAME_SIZE, backgrounds=backgrounds, negatives=negatives
    )
    sizes, best, false = [], [], []  # of targets: width and score of what finds it; scores of what finds none
    with Progress("held-out scenes", count, unit="frame") as progress:
        for index in range(count):
            scene = synthesise(index)
            wanted = [not plates_only or kind == "plate" for kind in scene.kinds]
            (found,) = predictor.candidates([scene.frame], min_score=min(_SCORES), limit=_MOST)
            overlaps = np.zeros((len(scene.corners), len(found)))
            for place in np.ndindex(overlaps.shape):
                overlaps[place] = intersection_over_union(found[place[1]].corners, scene.corners[place[0]])
            for target, row, counts in zip(scene.corners, overlaps, wanted, strict=True):
                if counts:
                    sizes.append(float(np.ptp(target, axis=0)[0]) / _FRAME_SIZE[0])
                    hits = [c.score for c, overlap in zip(found, row, strict=True) if overlap >= _FOUND_OVERLAP]
                    best.append(max(hits, default=0.0))
            hit = (overlaps[wanted] >= _FOUND_OVERLAP).any(axis=0) if any(wanted) else np.zeros(len(found), bool)
            false += [c.score for c, is_hit in zip(found, hit, strict=True) if not is_hit]
            progress.advance()
    return _table(np.array(sizes), np.array(best), np.array(false), count)


def _table(sizes: FloatArray, best: FloatArray, false: FloatArray, frames: int) -> str:
    groups = [(sizes >= low) & (sizes < high) for low, high in itertools.pairwise(_SIZES)]
    groups.append(sizes >= 0)
    names = [f"{100 * low:.0f}-{100 * high:.0f} %" for low, high in itertools.pairwise(_SIZES)] + ["all"]
    lines = [
        f"{len(sizes)} targets in {frames} held-out scenes, found by the dense network alone (overlap >= 0.5), "
        "by their share of the frame's width",
        "score from " + "".join(f"{name:>10}" for name in names) + "   false per frame",
    ]
    for score in _SCORES:
        shares = [100 * float((best[group] >= score).mean()) if group.any() else float("nan") for group in groups]
        row = "".join(f"{share:>8.1f} %" for share in shares)
        lines.append(f"{score:>10.1f} {row}   {float((false >= score).sum()) / frames:>15.2f}")
    return "\n".join(lines)
