"""The plan that integer head, grid and sampler are built by: sizes, number formats and the bounds that follow.

Q-formats: a number in Qn is stored as its value times 2^n. Grid coordinates are input pixels in Q8: 1/256 of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.integer.separable_spline import MOST_SPLINE_PIXELS, SeparableSpline, separable_spline
from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE, pixel_matrix_map

#: Fractional bits of grid coordinates and of the interpolation weights.
GRID_BITS = 8
#: More fractional bits than that in the positions of an affine grid.
AFFINE_GUARD_BITS = 8
#: Fractional bits of the perspective denominator's coefficients: |denominator| < 8.
DENOMINATOR_BITS = 28
#: Fractional bits of the θ that a file puts out: |θ| < 2048.
THETA_BITS = 20

# No side of the table has more pixels, so that positions in Q16 fit.
_LONGEST_SIDE = 1 << 13
# A product with a row or column number stays below 2^30, and so does an offset plus a product.
_PRODUCT_LIMIT = (1 << 30) - 1
_OFFSET_LIMIT = (1 << 29) - (1 << 20)


@dataclass(frozen=True)
class SamplerPlan:
    """Sizes and formats of one sampler.

    Attributes:
        transform: ``"affine"``, ``"projective"`` or ``"tps"``.
        padding: ``"zeros"``, ``"border"`` or ``"cut"``.
        input_size: height and width of the frame.
        output_size: height and width of the rectified image.
        channels: of both.
        zero_point: of the int8 frame: the value of the margin.
    """

    transform: str
    padding: str
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    channels: int
    zero_point: int

    def __post_init__(self) -> None:
        rows, columns = self.table_size
        size = f"a frame of {self.input_size[1]}x{self.input_size[0]} pixels"
        if max(rows, columns) > _LONGEST_SIDE or rows * columns >= 1 << 23:
            raise DataError(f"{size} is too large for the sampler")
        if self.transform == "tps" and max(self.side, *self.output_size) > MOST_SPLINE_PIXELS:
            raise DataError(f"{size} is too large for an integer spline: up to {MOST_SPLINE_PIXELS}; use --pose-only")

    @property
    def margin(self) -> int:
        """Pixels around the frame in the table: one of zeros, or none.

        Of ``"cut"`` the one says only on which side of the frame's edge a place lies: nothing is faded with it.
        """
        return 0 if self.padding == "border" else 1

    @property
    def table_size(self) -> tuple[int, int]:
        """Rows and columns of the frame with its margin."""
        return self.input_size[0] + 2 * self.margin, self.input_size[1] + 2 * self.margin

    @property
    def last(self) -> tuple[int, int]:
        """The largest x and y in the table, whole pixels."""
        rows, columns = self.table_size
        return columns - 1, rows - 1

    @property
    def position_bits(self) -> int:
        """Fractional bits of the positions that the grid generator makes: whole bytes, of which the highest counts."""
        if self.transform == "tps":
            return 16 if self.spline.knot_bits(self.side) + self.spline.step_bits == 16 else GRID_BITS
        return GRID_BITS + (AFFINE_GUARD_BITS if self.transform == "affine" else 0)

    @property
    def side(self) -> int:
        """The longer side of the frame, pixels."""
        return max(self.input_size)

    @property
    def spline(self) -> SeparableSpline:
        """The functions and coefficients that the spline of ``"tps"`` is made from."""
        return separable_spline(self.output_size)

    @property
    def coefficient_bits(self) -> int:
        """Fractional bits of the coefficients in pixels: offsets of four frame sizes fit, but 17 to 20 bits.

        17 is the least with which the projective quotient times 256 fits an int32; 18 is enough for affine ones. Those
        of a spline are multiplied with weights: `SeparableSpline`.
        """
        if self.transform == "tps":
            return self.spline.coefficient_bits(self.side)
        room = 29 - ceil(log2(4 * self.side))
        return max(17, min(18 if self.transform == "affine" else 20, room))

    @property
    def formats(self) -> IntArray:
        """Fractional bits of each coefficient."""
        if self.transform == "affine":
            return np.full(6, self.coefficient_bits)
        if self.transform == "tps":
            return np.full(2 * self.spline.reach.size, self.coefficient_bits)
        return np.array([self.coefficient_bits] * 6 + [DENOMINATOR_BITS] * 3)

    @property
    def limits(self) -> IntArray:
        """Coefficients are held within ± these, so that no sum with them can overflow.

        In the order of the coefficients: factor of the column, factor of the row, offset, for each row of the matrix;
        of a spline: for each function of the column and each of the row, x and y.
        """
        if self.transform == "tps":
            reach = self.spline.reach * self.side * 2.0**self.coefficient_bits
            return np.repeat(reach.astype(np.int64).ravel(), 2)
        rows, columns = self.output_size
        per_column = _PRODUCT_LIMIT // max(1, columns - 1)
        per_row = _OFFSET_LIMIT // max(1, rows - 1)
        return np.array([per_column, per_row, _OFFSET_LIMIT] * (len(self.formats) // 3))

    def coefficient_map(self) -> tuple[FloatArray, FloatArray]:
        """θ → real-valued coefficients as ``G @ θ + g``.

        Affine: the first two rows of the pixel matrix M. Projective: for x and y the numerators of (last - x) · den,
        where x is counted in the table, then M's last row, the denominator. Counting from the far edge lets fused
        RELUs do all the clamping. A spline: of last - x and last - y. All are linear in θ, so no accuracy is lost on
        the way.

        Returns:
            G [6, 9 or 128, size of θ] and g [6, 9 or 128], float64.
        """
        if self.transform == "tps":
            return self._spline_map()
        K, k = pixel_matrix_map(THETA_SIZE[self.transform], self.input_size, self.output_size)
        if self.transform == "affine":
            return K[:6], k[:6]
        # Half of 1/256 px more, so that the division, which rounds down, rounds to the nearest.
        reach_x, reach_y = (last - self.margin + 0.5 / (1 << GRID_BITS) for last in self.last)
        combine = np.zeros((9, 9))
        combine[6:, 6:] = np.eye(3)
        for axis, reach in enumerate((reach_x, reach_y)):
            rows = slice(3 * axis, 3 * axis + 3)
            combine[rows, rows] = -np.eye(3)
            combine[rows, 6:] = reach * np.eye(3)
        return combine @ K, combine @ k

    def _spline_map(self) -> tuple[FloatArray, FloatArray]:
        core = self.spline.core.reshape(-1, 16)
        G, g = np.zeros((len(core), 2, 16, 2)), np.zeros((len(core), 2))
        for axis, last in enumerate(self.last):
            # In the frame: last - x = (frame size - 1) + margin - ((u + 1) · size - 1) / 2, u the normalised position.
            half = self.input_size[1 - axis] / 2
            G[:, axis, :, axis] = -half * core
            g[0, axis] = last - self.margin + 0.5 - half
        return G.reshape(2 * len(core), -1), g.ravel()

    def coefficients(self, theta: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """θ [6, 8 or 32] as the fixed-point coefficients that the grid takes, rounded and held within `limits`."""
        return np.clip(self._rounded_coefficients(theta), -self.limits, self.limits).astype(np.int32)

    def holds(self, theta: npt.ArrayLike) -> bool:
        """Tells whether the integers hold every coefficient of this θ."""
        return bool((np.abs(self._rounded_coefficients(theta)) <= self.limits).all())

    def _rounded_coefficients(self, theta: npt.ArrayLike) -> FloatArray:
        G, g = self.coefficient_map()
        return np.asarray(np.round((G @ np.asarray(theta, np.float64) + g) * 2.0**self.formats))
