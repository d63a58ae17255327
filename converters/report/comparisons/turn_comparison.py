"""The turn network of a file beside the float one: how often they agree and are right."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement, class_agreement
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.errors import ModelFileError
from stn_rectify.runtime.model.labels import class_probabilities
from stn_rectify.runtime.model.model_file import TURN_SIGNATURE, ModelFile


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
