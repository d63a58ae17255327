"""Whether θ is what head and features say, measured on the float model."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.runtime.errors import ModelFileError

__all__ = ["check_head"]

_FRAMES = 4
_MOST_DIFFERENCE = 1e-4  # of the largest sum of absolute terms; float32 in another order is hundreds of times nearer


def check_head(model: str, head: str, parts: StnParts) -> None:
    """Compares features · kernel + bias with θ on random frames.

    Args:
        model: its name, for messages.
        head: name of the layer or node that gives θ, for messages.
        parts: what the model was taken apart into.

    Raises:
        ModelFileError: they differ, or θ is not finite; names the head.
    """
    count = parts.batch or _FRAMES
    frames = tf.constant(np.random.default_rng(0).random((count, *parts.frame_shape), np.float32))
    features = np.reshape(np.asarray(parts.trunk(frames)["features"], np.float64), (count, -1))
    theta = np.asarray(parts.whole(frames)["theta"], np.float64)
    kernel, bias = parts.kernel.astype(np.float64), parts.bias.astype(np.float64)
    if features.shape[1] != len(kernel):
        sizes = f"its kernel has {len(kernel)} rows, its input {features.shape[1]} numbers"
        raise ModelFileError(f"{model}: {head} gives theta, but {sizes}; it must be a Dense layer on a flat vector")
    if not np.isfinite(theta).all():
        raise ModelFileError(f"{model}: {head} gives a theta that is not finite: the training diverged; train it again")
    most = _MOST_DIFFERENCE * max(1.0, float((np.abs(features) @ np.abs(kernel) + np.abs(bias)).max()))
    difference = float(np.abs(features @ kernel + bias - theta).max())
    if not difference <= most:
        raise ModelFileError(
            f"{model}: {head} gives a theta that differs by up to {difference:.2g} from its kernel and bias applied to "
            "its input; it must be a plain Dense layer with float weights, no subclass and not quantized"
        )
