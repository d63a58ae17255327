"""From the scores that a recognizer ends with to probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["class_probabilities"]


def class_probabilities(scores: npt.NDArray[np.float64], activation: str) -> npt.NDArray[np.float64]:
    """Gives the probability of each class.

    Args:
        scores: float64 [..., K].
        activation: what they are: ``"softmax"``, up to rounding they add up to 1; ``"sigmoid"``, each for itself from 0
            to 1; or ``"logits"``, any numbers.

    Returns:
        float64 [..., K], 0 to 1; they add up to 1, but for ``"sigmoid"``.
    """
    if activation == "sigmoid":
        return scores
    if activation == "logits":
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(scores / np.maximum(scores.sum(axis=-1, keepdims=True), 1e-9))
