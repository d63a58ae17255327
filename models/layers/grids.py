"""Grid generators: θ → where in the input every output pixel is read (Jaderberg et al. 2015, section 3.2).

θ is normalised (the contract of `stn_rectify.runtime.geometry`); the grid is in *input pixels*, because only then is
the identity exact in float32 at every size: 2·j/97 - 1 is rounded, j is not.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from stn_rectify.runtime.geometry import THETA_SIZE, pixel_matrix_map

__all__ = ["MIN_DENOMINATOR", "AffineGrid", "ProjectiveGrid", "SizedGrid"]

#: The perspective denominator is not let below this, so that points behind the camera stay finite. A power of two:
#: the integer grid of the converter has the same bound.
MIN_DENOMINATOR = 1 / 256


class SizedGrid(keras.layers.Layer):
    """What all grid generators share: the sizes of the image that is sampled and of the rectified one.

    Coordinates are float32 under every dtype policy (mixed precision, too) unless ``dtype`` is given: float16 has
    steps of half a pixel from 512 on.
    """

    transform: str

    def __init__(
        self, input_size: tuple[int, int], output_size: tuple[int, int], *, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(dtype=dtype or "float32", **kwargs)
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.output_size = (int(output_size[0]), int(output_size[1]))
        if min(*self.input_size, *self.output_size) < 1:
            raise ValueError(f"{self.name}: sizes must be at least 1 pixel: {self.input_size} → {self.output_size}")

    def compute_output_shape(self, theta_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (theta_shape[0], *self.output_size, 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "input_size": self.input_size, "output_size": self.output_size}


class _PlanarGrid(SizedGrid):
    """What affine and projective grids share: the map to pixels, the pixel lattice."""

    def _homogeneous(self, theta: Any, rows: int) -> list[Any]:
        """The first ``rows`` rows of M · (j, i, 1), each [B, h, w]."""
        K, k = pixel_matrix_map(THETA_SIZE[self.transform], self.input_size, self.output_size)
        dtype = self.compute_dtype
        # Products summed in a fixed order: with θ the identity every term is exact, and so is the sum.
        terms = ops.expand_dims(theta, 1) * ops.convert_to_tensor(K[None].astype(dtype))
        M = ops.sum(terms, axis=-1) + ops.convert_to_tensor(k.astype(dtype))
        height, width = self.output_size
        j = ops.reshape(ops.arange(width, dtype=dtype), (1, 1, width))
        i = ops.reshape(ops.arange(height, dtype=dtype), (1, height, 1))

        def entry(index: int) -> Any:
            return ops.reshape(M[:, index], (-1, 1, 1))

        return [entry(3 * r) * j + (entry(3 * r + 1) * i + entry(3 * r + 2)) for r in range(rows)]


@keras.saving.register_keras_serializable(package="stn_rectify")
class AffineGrid(_PlanarGrid):
    """Affine grid generator.

    Input: θ float [B, 6]. Output: float [B, h, w, 2], input pixels (x, y), the centre of the first pixel at (0, 0).

    Args:
        input_size: height and width of the image that will be sampled, pixels.
        output_size: height and width of the rectified image, pixels.
    """

    transform = "affine"

    def call(self, theta: Any) -> Any:
        return ops.stack(self._homogeneous(theta, 2), axis=-1)


@keras.saving.register_keras_serializable(package="stn_rectify")
class ProjectiveGrid(_PlanarGrid):
    """Projective grid generator: a full homography with H[2, 2] = 1.

    Input: θ float [B, 8]. Output and arguments as `AffineGrid`. Where the perspective denominator falls below
    `MIN_DENOMINATOR` (points on or behind the vanishing line) it is held there.
    """

    transform = "projective"

    def call(self, theta: Any) -> Any:
        x, y, denominator = self._homogeneous(theta, 3)
        denominator = ops.maximum(denominator, MIN_DENOMINATOR)
        return ops.stack([x / denominator, y / denominator], axis=-1)
