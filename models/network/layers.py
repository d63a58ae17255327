"""The parts of a Spatial Transformer behind its localization network, as Keras layers: grid generators and the sampler.

A grid generator says where in the input every output pixel is read (Jaderberg et al. 2015, section 3.2; thin-plate
splines: Bookstein 1989), the bilinear sampler reads there (section 3.3). θ is normalised (the contract of
`stn_rectify.runtime.geometry`); the grid is in *input pixels*, because only then is the identity exact in float32 at
every size: 2·j/97 - 1 is rounded, j is not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from stn_rectify.runtime.geometry import CONTROL_POINTS, THETA_SIZE, pixel_matrix_map
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

#: The perspective denominator is not let below this, so that points behind the camera stay finite. A power of two:
#: the integer grid of the converter has the same bound.
MIN_DENOMINATOR = 1 / 256


class SizedGrid(keras.layers.Layer):
    """The common part of all grid generators: the sizes of the image that is sampled and of the rectified one.

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
    """The common part of affine and projective grids: the map to pixels, the pixel lattice."""

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


@keras.saving.register_keras_serializable(package="stn_rectify")
class ThinPlateSplineGrid(SizedGrid):
    """Grid generator of a thin-plate spline through 4×4 control points: targets that are bent, not only tilted.

    Input: θ float [B, 32], the control points' (x, y) in normalised input coordinates, row by row from the top left.
    Output: float [B, h, w, 2], input pixels (x, y), the centre of the first pixel at (0, 0).

    Args:
        input_size: height and width of the image that will be sampled, pixels.
        output_size: height and width of the rectified image, pixels.
    """

    transform = "tps"

    def call(self, theta: Any) -> Any:
        (height, width), (rows, columns) = self.input_size, self.output_size
        i, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        output = np.stack([(2 * j + 1) / columns - 1, (2 * i + 1) / rows - 1], axis=-1).reshape(-1, 2)
        unmoved = np.stack([((2 * j + 1) * width / columns - 1) / 2, ((2 * i + 1) * height / rows - 1) / 2], axis=-1)

        def constant(values: Any) -> Any:
            return ops.convert_to_tensor(np.asarray(values, self.compute_dtype))

        # How far each control point was moved, not where it is: with θ the identity nothing is added, exactly.
        moved = ops.reshape(theta, (-1, len(CONTROL_POINTS), 2)) - constant(CONTROL_POINTS)
        moved = moved * constant([width / 2, height / 2])
        offset = ops.matmul(constant(spline_basis(output)), moved)
        return constant(unmoved) + ops.reshape(offset, (-1, rows, columns, 2))


PADDINGS = ("zeros", "border", "cut")


@keras.saving.register_keras_serializable(package="stn_rectify")
class BilinearSampler(keras.layers.Layer):
    """Reads an image between its pixels; differentiable with respect to the image and the grid.

    Inputs: image float [B, H, W, C] and grid float [B, h, w, 2], input pixels (x, y). Output: float [B, h, w, C].
    Computes in float32 under every dtype policy (mixed precision, too) unless ``dtype`` is given: an image of float16
    is widened, because the grid cannot be narrowed.

    Args:
        padding: the values outside the image: ``"zeros"``; ``"border"``, the nearest pixel of the edge; or ``"cut"``,
            zero from the centre of the last pixel on, 0 ≤ x < W - 1 and 0 ≤ y < H - 1 being inside. With zeros the
            image fades out over one pixel, as with any bilinear sampler; cut, it ends, as in many tutorials.
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
        if self.padding == "cut":
            inside = ops.logical_and(self._between(grid[..., 0], width), self._between(grid[..., 1], height))
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
        read = upper * (1.0 - fy) + lower * fy
        if self.padding == "cut":
            return ops.where(ops.expand_dims(inside, -1), read, 0.0)
        return read

    @staticmethod
    def _between(places: Any, size: int) -> Any:
        """Tells which places lie between the centres of the first and the last pixel, bool."""
        return ops.logical_and(places >= 0.0, places < size - 1.0)
