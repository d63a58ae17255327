"""The poses and scores that a Keras STN gives, and the loss that teaches them: how far the corners are off."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from stn_rectify.models.network.layers import MIN_DENOMINATOR
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import CONTROL_POINTS, CORNER_POINTS, THETA_SIZE, UNIT_CORNERS


def theta_to_corners(theta: Any) -> Any:
    """Normalised corners [B, 4, 2] (TL, TR, BR, BL) of θ [B, 6], [B, 8] or [B, 32], differentiable."""
    if theta.shape[-1] == THETA_SIZE["tps"]:
        points = _control_points(theta)
        return ops.stack([points[:, k] for k in CORNER_POINTS], axis=1)
    x, y = (ops.convert_to_tensor(UNIT_CORNERS[None, :, axis].astype("float32")) for axis in (0, 1))

    def row(first: int) -> Any:
        return theta[:, first : first + 1] * x + theta[:, first + 1 : first + 2] * y

    points = ops.stack([row(0) + theta[:, 2:3], row(3) + theta[:, 5:6]], axis=-1)
    if theta.shape[-1] == 6:
        return points
    denominator = ops.maximum(row(6) + 1.0, 16 * MIN_DENOMINATOR)
    return points / ops.expand_dims(denominator, -1)


def _control_points(theta: Any) -> Any:
    return ops.reshape(theta, (-1, len(CONTROL_POINTS), 2))


def corners_to_control_points(corners: Any) -> Any:
    """Gives the control points of a flat target with these corners, by their homography: [B, 4, 2] → [B, 16, 2].

    The closed form from the unit square to a quadrilateral (Heckbert 1989, section 2.2.3). Corners that are no
    quadrilateral give finite numbers.
    """
    top_left, top_right, bottom_right, bottom_left = (corners[:, k, None] for k in range(4))
    right, bottom = top_right - bottom_right, bottom_left - bottom_right
    excess = top_left - top_right + bottom_right - bottom_left

    def cross(a: Any, b: Any) -> Any:
        return a[..., :1] * b[..., 1:] - a[..., 1:] * b[..., :1]

    area = cross(right, bottom)
    area = ops.where(area == 0, ops.ones_like(area), area)
    g, h = cross(excess, bottom) / area, cross(right, excess) / area
    u, v = (ops.convert_to_tensor((CONTROL_POINTS[None, :, axis, None].astype("float32") + 1) / 2) for axis in (0, 1))
    numerator = (top_right * (1 + g) - top_left) * u + (bottom_left * (1 + h) - top_left) * v + top_left
    return numerator / ops.maximum(g * u + h * v + 1, 16 * MIN_DENOMINATOR)


@keras.saving.register_keras_serializable(package="stn_rectify")
class CornerLoss(keras.losses.Loss):
    """Smooth-L1 distance of the corners, in units of the target's size.

    ``y_true``: normalised corners [B, 4, 2]. ``y_pred``: θ [B, 6], [B, 8] or [B, 32]. Corners leave most of a spline's
    θ open, so there the distance is that of all 16 control points from where they are on a flat target.

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
        if y_pred.shape[-1] == THETA_SIZE["tps"]:
            distance = ops.abs(_control_points(y_pred) - corners_to_control_points(corners))
        else:
            distance = ops.abs(theta_to_corners(y_pred) - corners)
        smooth = ops.where(distance < self.beta, 0.5 * ops.square(distance) / self.beta, distance - 0.5 * self.beta)
        diagonals = ops.norm(corners[:, :2] - corners[:, 2:], axis=-1)
        size = ops.mean(diagonals, axis=-1) + 1e-3
        return ops.mean(smooth, axis=(1, 2)) / ops.power(size, self.size_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "size_weight": self.size_weight}


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
