"""The thin-plate-spline grid generator (Jaderberg et al. 2015, section 3.2; Bookstein 1989)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from stn_rectify.models.layers.grids import SizedGrid
from stn_rectify.runtime.geometry import CONTROL_POINTS
from stn_rectify.runtime.thin_plate_spline import spline_basis

__all__ = ["ThinPlateSplineGrid"]


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
