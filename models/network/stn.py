"""`lightweight_stn`: the whole Spatial Transformer Network as one Keras model."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from stn_rectify.models.network.layers import AffineGrid, BilinearSampler, ProjectiveGrid, ThinPlateSplineGrid
from stn_rectify.models.network.localization import (
    BODIES,
    LOCALIZATIONS,
    identity_bias,
    localization_features,
    reduced_copy,
)
from stn_rectify.runtime.geometry import THETA_SIZE

__all__ = ["lightweight_stn"]

_GRIDS = {"affine": AffineGrid, "projective": ProjectiveGrid, "tps": ThinPlateSplineGrid}


def lightweight_stn(
    input_shape: tuple[int, int, int] = (64, 64, 3),
    *,
    transform: str = "affine",
    output_shape: tuple[int, int] | None = None,
    body: str = "separable",
    localization: str = "profiles",
    localization_shape: tuple[int, int] | None = None,
    width: float = 1.0,
    features: int = 48,
    padding: str = "zeros",
    initial_scale: float = 1.0,
    score: bool = True,
    name: str = "stn",
) -> keras.Model:
    """Builds a lightweight Spatial Transformer Network (Jaderberg et al. 2015, arXiv 1506.02025).

    Localization network (depthwise-separable convolutions) → θ → grid generator → bilinear sampler. The last layer
    starts at zero with the identity as its bias, so training starts from the unchanged image.

    Args:
        input_shape: height, width and channels of the image, pixel values in [0, 1].
        transform: ``"affine"`` (six θ), ``"projective"`` (eight θ) or ``"tps"``, a thin-plate spline through 4×4
            control points (32 θ), for targets that are bent.
        output_shape: height and width of the rectified image; the input's when None.
        body: ``"separable"``: a plain convolution, then nine depthwise-separable blocks; small. ``"fused"``: plain
            convolutions down to an eighth of the size, then three separable blocks: twice the multiplications and
            parameters, trained and run on a CPU in no more time.
        localization: the way in which the last feature map becomes a vector.
            ``"profiles"`` keeps, for each channel, a learned weighted mean of each row and one of each column, at first
            the plain mean: where along y and x things are.
            ``"flatten"`` flattens it at 4×4 (for a 64×64 input).
            ``"pooled"`` averages it globally, as tutorials do. That throws away *where* a feature was seen, so θ has
            to be read from padding effects: in the measurements behind this design corners were 5–15 % worse at
            equal budget. It is here for comparison.
        localization_shape: height and width of the smaller copy the localization network looks at (64×64 is what it
            was designed for); the whole input when None. The sampler always reads the full input.
        width: factor on the localization network's channels.
        features: length of the vector that θ is a linear function of.
        padding: the values outside the image: ``"zeros"`` or ``"border"``.
        initial_scale: side of the part of the image that the untrained model rectifies; 1 is the whole.
        score: whether the model also says how likely a target is there.
        name: the model's name.

    Returns:
        A Keras model with the outputs ``[rectified, theta, score]``: [B, h, w, C] in the input's range, [B, 6],
        [B, 8] or [B, 32], and [B, 1] in [0, 1] (absent with ``score=False``).

    Raises:
        ValueError: if an argument is not one of those named above.

    Example:
        >>> model = lightweight_stn((64, 64, 3), transform="projective")
        >>> rectified, theta, score = model(frames)
    """
    if transform not in _GRIDS:
        raise ValueError(f"transform must be one of {tuple(_GRIDS)}, not {transform!r}")
    if localization not in LOCALIZATIONS:
        raise ValueError(f"localization must be one of {LOCALIZATIONS}, not {localization!r}")
    if body not in BODIES:
        raise ValueError(f"body must be one of {BODIES}, not {body!r}")
    size = (input_shape[0], input_shape[1])
    image: Any = keras.Input(input_shape, name="frame")
    reduced = image if localization_shape is None else reduced_copy(image, localization_shape)
    vector = localization_features(reduced, body=body, localization=localization, width=width, features=features)
    theta = layers.Dense(
        THETA_SIZE[transform],
        kernel_initializer="zeros",
        bias_initializer=identity_bias(transform, initial_scale),
        name="theta",
    )(vector)
    grid = _GRIDS[transform](size, output_shape or size, name="grid")(theta)
    rectified = BilinearSampler(padding, name="rectified")([image, grid])
    outputs = [rectified, theta]
    if score:
        outputs.append(layers.Dense(1, activation="sigmoid", name="score")(vector))
    return keras.Model(image, outputs, name=name)
