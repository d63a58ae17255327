"""Pose supervision: how far θ puts the corners from where they are."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from stn_rectify.models.layers import MIN_DENOMINATOR
from stn_rectify.runtime.geometry import UNIT_CORNERS

__all__ = ["CornerLoss", "theta_to_corners"]


def theta_to_corners(theta: Any) -> Any:
    """Normalised corners [B, 4, 2] (TL, TR, BR, BL) of θ [B, 6] or [B, 8], differentiable."""
    x, y = (ops.convert_to_tensor(UNIT_CORNERS[None, :, axis].astype("float32")) for axis in (0, 1))

    def row(first: int) -> Any:
        return theta[:, first : first + 1] * x + theta[:, first + 1 : first + 2] * y

    points = ops.stack([row(0) + theta[:, 2:3], row(3) + theta[:, 5:6]], axis=-1)
    if theta.shape[-1] == 6:
        return points
    denominator = ops.maximum(row(6) + 1.0, 16 * MIN_DENOMINATOR)
    return points / ops.expand_dims(denominator, -1)


@keras.saving.register_keras_serializable(package="stn_rectify")
class CornerLoss(keras.losses.Loss):
    """Smooth-L1 distance of the corners, in units of the target's size.

    ``y_true``: normalised corners [B, 4, 2]. ``y_pred``: θ [B, 6] or [B, 8].

    Distances are divided by the target's diagonal to the power ``size_weight``: with 0 a large and a small target
    that are off by the same number of pixels count the same, with 1 those off by the same share of their size.

    Args:
        beta: where smooth-L1 turns from square to straight, normalised units (2 is the whole frame).
        size_weight: 0 to 1.
    """

    def __init__(self, beta: float = 0.05, size_weight: float = 0.5, name: str = "corner_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.beta = beta
        self.size_weight = size_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        corners = ops.reshape(y_true, (-1, 4, 2))
        distance = ops.abs(theta_to_corners(y_pred) - corners)
        smooth = ops.where(distance < self.beta, 0.5 * ops.square(distance) / self.beta, distance - 0.5 * self.beta)
        diagonals = ops.norm(corners[:, :2] - corners[:, 2:], axis=-1)
        size = ops.mean(diagonals, axis=-1) + 1e-3
        return ops.mean(smooth, axis=(1, 2)) / ops.power(size, self.size_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "size_weight": self.size_weight}
