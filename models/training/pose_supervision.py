"""Supervision of a network's poses and scores by the known corners of the frames."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from stn_rectify.models.network.losses import CornerLoss
from stn_rectify.models.training.course import Targets
from stn_rectify.models.training.frame_batches import Batch

__all__ = ["pose_loss", "pose_truth"]

# Where smooth-L1 turns from square to straight, normalised: a refine network's last errors are a hundredth of the crop.
_BETA, _REFINE_BETA = 0.05, 0.01
_SCORE_WEIGHT = 0.15  # of the score's cross-entropy beside the corners' loss


def pose_loss(pose: keras.Model, *, refines: bool) -> dict[str, Any]:
    """Gives the arguments of ``compile`` for a `pose_model`; ``refines`` says that it is that of a refine network."""
    corners = CornerLoss(beta=_REFINE_BETA, size_weight=0) if refines else CornerLoss(beta=_BETA)
    count = len(pose.outputs)
    return {"loss": [corners, keras.losses.BinaryCrossentropy()][:count], "loss_weights": [1.0, _SCORE_WEIGHT][:count]}


def pose_truth(pose: keras.Model, batch: Batch) -> Targets:
    """Gives the right outputs of a `pose_model`: corners count where there is a target, the score everywhere."""
    count = len(pose.outputs)
    everywhere = np.ones(len(batch.present), np.float32)
    return [batch.corners, batch.present][:count], [batch.present[:, 0], everywhere][:count]
