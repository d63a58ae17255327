"""How well a turn network says which side is up: on rectified targets whose upright corners are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.evaluation.known_frames import KnownFrames, network_input
from stn_rectify.models.network.turn import TURN_DETAILS, TURNS
from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.geometry import corners_to_homography
from stn_rectify.runtime.model.metadata import TURN_THRESHOLD
from stn_rectify.runtime.rectifying.refining.target_looks import target_looks
from stn_rectify.runtime.rectifying.refining.turn_network import joint_probabilities


@dataclass(frozen=True)
class TurnAccuracy:
    """How well a turn network does on targets whose turn is known; ``str()`` is a line.

    Attributes:
        name: of the targets.
        count: of the looks.
        right: share that the likeliest turn makes upright.
        sure: share of which the network is sure: its probability reaches the threshold.
        wrong_upright: share of the looks at upright targets that are turned, although they should not.
        threshold: from which on a turn counts.
    """

    name: str
    count: int
    right: float
    sure: float
    wrong_upright: float
    threshold: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.count} looks, {100 * self.right:.1f} % right, {100 * self.sure:.1f} % sure (from "
            f"{self.threshold:g} on), {100 * self.wrong_upright:.2f} % of the upright ones turned"
        )


def turn_accuracy(
    name: str,
    probabilities: npt.NDArray[np.float32] | FloatArray,
    turns: npt.NDArray[np.int32] | IntArray,
    threshold: float = TURN_THRESHOLD,
) -> TurnAccuracy:
    """Counts how often a turn network is right.

    Args:
        name: of the targets.
        probabilities: [N, 4], what it gives.
        turns: [N], by how many quarters clockwise each must be turned.
        threshold: from which probability on a turn counts.
    """
    best, sure = probabilities.argmax(axis=1), probabilities.max(axis=1) >= threshold
    upright = turns == 0
    wrong = float(((best != 0) & sure)[upright].mean()) if upright.any() else 0.0
    return TurnAccuracy(name, len(turns), float((best == turns).mean()), float(sure.mean()), wrong, threshold)


def evaluate_turns(model: keras.Model, sets: Sequence[KnownFrames], details: int = TURN_DETAILS) -> list[TurnAccuracy]:
    """Tries a turn network on frames with known corners, each target in all four turns.

    Args:
        model: the network.
        sets: the frames; those without a target are left out, and so are sets of nothing else.
        details: of each target, see `stn_rectify.runtime.rectifying.refining.target_looks`.
    """
    accuracies = []
    shape = model.input_shape[1:]
    for known in sets:
        probabilities, turns = [], []
        for frame, corners in zip(known.frames, known.corners, strict=True):
            if corners is None:
                continue
            for turn in range(TURNS):
                # Corners in the order in which a target turned so would be found.
                seen = np.roll(corners, -turn, axis=0)
                pose = corners_to_homography(seen, frame.shape[1], frame.shape[0])
                seen_looks = target_looks(frame, pose, shape[0], details, grey=shape[2] == 1)
                looks = np.stack([network_input(look, shape) for look in seen_looks])
                probabilities.append(joint_probabilities(model.predict(looks, verbose=0).astype(np.float64)))
                turns.append(turn)
        if turns:
            accuracies.append(turn_accuracy(known.name, np.stack(probabilities), np.array(turns)))
    return accuracies
