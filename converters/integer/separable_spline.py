"""The thin-plate spline as few products of a function of the column and a function of the row, with integer weights.

A spline's map is linear in θ, but its exact basis is one picture of the output's size for each of 16 control points.
These pictures are smooth, so a few singular vectors of them carry nearly all: x(row, column) is, to a tenth of a pixel
and less, the sum over a, b < 8 of coefficient[a, b] · f_a(column) · g_b(row). Constant and slope are f_0, f_1 and g_0,
g_1 as they are, so that every affine map, the identity above all, is exact. Functions of the row are kept at every
``step``-th row and joined by straight lines, because what runs at the full size of the image is dear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.geometry import normalised_to_pixels, transform_points
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

Floats = FloatArray
Integers = IntArray

#: Sides of frame and output for which the bits suffice.
MOST_SPLINE_PIXELS = 512

#: Functions of the column, and of the row. Measured: `tests/benchmarks/sampler/sampler_accuracy.py`.
_FUNCTIONS = 8
#: Bits of their weights: less is seen in the accuracy, more is not.
_WEIGHT_BITS = 8
#: Straight lines between the knots along a column of the image, at least.
_PIECES = 24
#: What each product of functions may add to a position, in sides of the frame: a product of two of these. An unmoved
#: image has 1/2 for f_0 · g_0 and for the slopes; control points scattered by 5 % have less than 0.1 for the others.
_REACH = np.array([1.5, 1.0] + [0.5] * (_FUNCTIONS - 2))
#: Fractional bits of positions between the knots, at most: two whole bytes, so that no shift is needed to cut them.
_MOST_BITS = 16


@dataclass(frozen=True, eq=False)
class SeparableSpline:
    """The spline for one size of the output; A and B are the numbers of functions, at most 8.

    Attributes:
        columns: f, integers times 2^-column_bits, [A, w].
        rows: g at the knots, integers times 2^-row_bits, [B, knots].
        column_bits: |columns| <= 2^column_bits, f_0 being exactly that.
        row_bits: the same for the rows.
        output_height: of the rectified image, pixels.
        step: rows from knot to knot, a power of two; 1 if every row is a knot.
        core: coefficients for each control point, float64 [A, B, 16].
    """

    columns: Integers = field(repr=False)
    rows: Integers = field(repr=False)
    column_bits: int
    row_bits: int
    output_height: int
    step: int
    core: Floats = field(repr=False)

    @property
    def reach(self) -> Floats:
        """Bounds of the coefficients in sides of the frame, [A, B]."""
        return np.outer(_reach(self.columns, self.column_bits), _reach(self.rows, self.row_bits))

    def points(self, theta: npt.ArrayLike, input_size: tuple[int, int]) -> Floats:
        """Gives the point at which every output pixel is read, in float64: the integer grid's, but for its rounding.

        Args:
            theta: [32].
            input_size: height and width of the frame, pixels.

        Returns:
            [h · w, 2], frame pixels, row by row.
        """
        coefficients = self.core @ np.asarray(theta, np.float64).reshape(-1, 2)
        f, g = self.columns / 2.0**self.column_bits, self.rows / 2.0**self.row_bits
        height = self.output_height
        knots = np.einsum("aj,bk,abc->kjc", f, g, coefficients)
        lines = np.einsum("ik,kjc->ijc", _straight_lines(height, self.step), knots)
        to_pixels = normalised_to_pixels(input_size[1], input_size[0])
        return transform_points(to_pixels, lines.reshape(-1, 2))

    def column_sum_bits(self, side: int) -> int:
        """Fractional bits of the sums over the functions of the column, for frames of ``side`` pixels: they fit in 31
        bits for any coefficients within their bounds. So do those of the row."""
        return _bits_for(side * _REACH.sum() * _reach(self.rows, self.row_bits).max())

    def row_sum_bits(self, side: int) -> int:
        """Fractional bits of the sums over the functions of the row."""
        return _bits_for(side * _REACH.sum() ** 2)

    def coefficient_bits(self, side: int) -> int:
        """Fractional bits of the coefficients in pixels."""
        return self.column_sum_bits(side) - self.column_bits

    def knot_bits(self, side: int) -> int:
        """Fractional bits of the positions at the knots: these and their differences, times step, fit in 31 bits."""
        room = self.row_sum_bits(side) - (ceil(log2(3 * self.step)) if self.step > 1 else 0)
        return min(_MOST_BITS - self.step_bits, room)

    @property
    def step_bits(self) -> int:
        """log2 of ``step``: that many more fractional bits have the positions between the knots."""
        return self.step.bit_length() - 1


def _reach(weights: Integers, bits: int) -> Floats:
    """Bounds of the factors of coefficients: what is added is at most `_REACH` where the weight is largest."""
    return np.asarray(_REACH[: len(weights)] / np.abs(weights).max(axis=1) * 2.0**bits)


def _bits_for(pixels: float) -> int:
    """Fractional bits of a number up to ``pixels`` in an int32; a sixteenth is left for rounding."""
    return floor(log2(2**31 / (pixels * (1 + 1 / 16))))


@lru_cache(maxsize=16)
def separable_spline(output_size: tuple[int, int]) -> SeparableSpline:
    """Fits functions and coefficients, by least squares over all pixels and control points."""
    height, width = output_size
    j, i = np.meshgrid((2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1)
    exact = spline_basis(np.stack([j, i], axis=-1).reshape(-1, 2)).reshape(height, width, -1)

    step = 1 << max(0, floor(log2(height / _PIECES)))
    lines = _straight_lines(height, step)
    columns, column_bits = _functions(exact.transpose(1, 0, 2).reshape(width, -1), np.arange(width), np.eye(width))
    rows, row_bits = _functions(exact.reshape(height, -1), np.arange(lines.shape[1]) * step, lines)
    f, g = columns / 2.0**column_bits, rows / 2.0**row_bits @ lines.T
    core = np.einsum("jb,ia,ijk->bak", np.linalg.pinv(f), np.linalg.pinv(g), exact, optimize=True)
    return SeparableSpline(columns, rows, column_bits, row_bits, height, step, core)


def _straight_lines(size: int, step: int) -> Floats:
    """[size, knots]: the share of each knot in each row; the last knot may lie beyond the last row."""
    knots = -(-(size - 1) // step) + 1
    distance = np.abs(np.arange(size)[:, None] / step - np.arange(knots))
    return np.maximum(0, 1 - distance)


def _functions(pictures: Floats, places: Integers, lines: Floats) -> tuple[Integers, int]:
    """Constant, slope and the leading singular vectors of the rest, as integers [count, places].

    Args:
        pictures: [size, …], what is to be approximated along the first axis.
        places: pixels at which the functions are kept.
        lines: [size, places], how the pixels between them follow.
    """
    size = len(pictures)
    slope = places - size // 2
    longest = max(1, int(np.abs(slope).max()))
    bits = max(_WEIGHT_BITS, ceil(log2(longest)))
    # A power of two, so that a slope of one pixel a pixel is exact in fixed point.
    exact = [np.full(len(places), 1 << bits), slope << floor(bits - log2(longest))]
    exact = exact[: min(size, 2)]
    span = np.linalg.qr(lines @ np.stack(exact, axis=1))[0]
    residual = pictures - span @ (span.T @ pictures)
    vectors = np.linalg.eigh(residual @ residual.T)[1][:, ::-1]
    vectors = np.linalg.lstsq(lines, vectors[:, : max(0, min(_FUNCTIONS, size) - 2)], rcond=None)[0]
    vectors /= vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]  # largest weight 1: sign and scale
    return np.concatenate([exact, np.round(vectors.T * 2.0**bits).astype(np.int64)]), bits
