"""The poses and scores that a Keras STN gives."""

from __future__ import annotations

from typing import Any

import keras

from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE

__all__ = ["pose_model", "pose_predictor"]


def pose_model(stn: keras.Model) -> keras.Model:
    """Frames → [θ, score], or [θ] for a model without a score; the layers are those of ``stn``."""
    names = [name for name in ("theta", "score") if any(layer.name == name for layer in stn.layers)]
    return keras.Model(stn.input, [stn.get_layer(name).output for name in names])


def pose_predictor(model: keras.Model) -> Any:
    """Makes a function of a Keras STN: frames float32 [N, H, W, C] → θ [N, 6, 8 or 32], and score [N, 1] or None.

    Raises:
        DataError: if the model has no layer ``theta`` of 6, 8 or 32 values, or another input than one image.
    """
    names = [name for name in ("theta", "score") if any(layer.name == name for layer in model.layers)]
    sizes = [(size,) for size in THETA_SIZE.values()]
    if "theta" not in names or model.get_layer("theta").output.shape[1:] not in sizes:
        raise DataError('no Spatial Transformer Network: it needs a layer named "theta" of 6, 8 or 32 values')
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise DataError(f"its input must be one image of a fixed size, [batch, height, width, 1 or 3], not {shape}")
    pose = keras.Model(model.input, {name: model.get_layer(name).output for name in names})

    def predict(frames: Any) -> Any:
        outputs = pose.predict(frames, batch_size=64, verbose=0)
        return outputs["theta"], outputs.get("score")

    return predict
