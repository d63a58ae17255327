"""The turn network of a file beside the float one: how often they agree and are right, and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.converters.report.class_agreement import ClassAgreement, class_agreement
from stn_rectify.converters.report.pictures import AlignmentPicture
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, FloatArray, Image, IntArray
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.model.labels import class_probabilities
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE, ModelFile

_SHOWN, _COLUMNS, _SIDE_PX = 24, 8, 112


@dataclass(frozen=True)
class TurnComparison:
    """INT8 against float, of a turn network.

    Attributes:
        frames: how many rectified targets were compared.
        class_scores: the turns.
        sure: share of the targets of which the file is sure.
        wrong_upright: share of the upright targets that the file would turn; None if it is not known which these are.
        probabilities: of the file, [N, 4].
    """

    frames: int
    class_scores: ClassAgreement
    sure: float
    wrong_upright: float | None
    probabilities: FloatArray = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """The numbers, for the report."""
        numbers = asdict(self)
        del numbers["probabilities"]
        return numbers


def compare_turns(
    model: ModelFile, frames: npt.NDArray[np.int8], of_float: npt.NDArray[np.float32], turns: IntArray | None
) -> TurnComparison:
    """Runs the turn network of a file over rectified targets whose float scores are known.

    Args:
        model: the file, read back.
        frames: int8 [N, H, W, C], as the file takes them.
        of_float: the float network's scores of them, [N, 4].
        turns: by how many quarters they must be turned, [N], -1 where not known; None if none is.

    Raises:
        ModelFileError: if the file has no turn network, or the interpreter refuses the file or dies of it.
    """
    spec = model.metadata.turn
    if spec is None:
        raise ModelFileError(f"{model.path} has no turn network to compare")
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        levels = np.concatenate([interpreter.run({"frame": f[None]}, TURN_SIGNATURE)["scores"] for f in frames])
    values = (levels.astype(np.float64) - spec.scores.zero_point) * spec.scores.scale
    probabilities = class_probabilities(values, spec.scores.activation)
    sure = probabilities.max(axis=1) >= spec.threshold
    upright = np.zeros(len(frames), bool) if turns is None else turns == 0
    wrong = float((sure & (probabilities.argmax(axis=1) != 0))[upright].mean()) if upright.any() else None
    agreement = class_agreement(of_float, levels, turns)
    return TurnComparison(len(frames), agreement, float(sure.mean()), wrong, probabilities)


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
