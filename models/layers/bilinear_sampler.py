"""The bilinear sampler (Jaderberg et al. 2015, section 3.3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["PADDINGS", "BilinearSampler"]

PADDINGS = ("zeros", "border")


@keras.saving.register_keras_serializable(package="stn_rectify")
class BilinearSampler(keras.layers.Layer):
    """Reads an image between its pixels; differentiable with respect to the image and the grid.

    Inputs: image float [B, H, W, C] and grid float [B, h, w, 2], input pixels (x, y). Output: float [B, h, w, C].
    Computes in float32 under every dtype policy (mixed precision, too) unless ``dtype`` is given: an image of float16
    is widened, because the grid cannot be narrowed.

    Args:
        padding: what lies outside the image: ``"zeros"``, or ``"border"``, the nearest pixel of the edge. With zeros
            the image fades out over one pixel, as with any bilinear sampler.
    """

    def __init__(self, padding: str = "zeros", *, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=dtype or "float32", **kwargs)
        if padding not in PADDINGS:
            raise ValueError(f"{self.name}: padding must be one of {PADDINGS}, not {padding!r}")
        self.padding = padding

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        image, grid = shapes
        return (grid[0], grid[1], grid[2], image[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding}

    def call(self, inputs: Any) -> Any:
        image, grid = inputs
        if self.padding == "zeros":
            # One ring of zeros; beyond it everything is as the ring is.
            image = ops.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
            grid = grid + 1.0
        batch = ops.shape(image)[0]
        height, width, channels = image.shape[1:]
        x = ops.clip(grid[..., 0], 0.0, width - 1.0)
        y = ops.clip(grid[..., 1], 0.0, height - 1.0)
        left, top = ops.floor(x), ops.floor(y)
        fx, fy = ops.expand_dims(x - left, -1), ops.expand_dims(y - top, -1)
        x0, y0 = ops.cast(left, "int32"), ops.cast(top, "int32")
        x1, y1 = ops.minimum(x0 + 1, width - 1), ops.minimum(y0 + 1, height - 1)

        flat = ops.reshape(image, (-1, channels))
        first = ops.reshape(ops.arange(batch, dtype="int32") * (height * width), (-1, 1, 1))

        def pixels(row: Any, column: Any) -> Any:
            return ops.take(flat, first + row * width + column, axis=0)

        upper = pixels(y0, x0) * (1.0 - fx) + pixels(y0, x1) * fx
        lower = pixels(y1, x0) * (1.0 - fx) + pixels(y1, x1) * fx
        return upper * (1.0 - fy) + lower * fy
