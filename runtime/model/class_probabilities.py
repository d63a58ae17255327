"""From the scores that a recognizer ends with to probabilities."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.arrays import FloatArray


def class_probabilities(scores: FloatArray, activation: str) -> FloatArray:
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
