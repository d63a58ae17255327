"""The convention of a sampler: how its θ is meant, and the linear function that turns it into ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.reading.foreign.coordinates import PoseMap
from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.geometry import CONTROL_POINTS, normalised_to_pixels, pixel_matrix_map, pixels_to_normalised

_NAMED_PX = 0.02  # a named convention is at most so far from the measured one, at the corners
_CONSTANT = 1e-4  # how much of a number may change that must not
_OTHER = "a linear function of its own"


@dataclass(frozen=True)
class Convention:
    """What was found of a sampler that is not ours, and how it was carried over.

    Attributes:
        coordinates: the convention by name, or `_OTHER`, for people.
        residual_px: the largest distance of the places where the sampler reads from the convention's, pixels.
        padding: what its sampler does outside the frame, by name.
        padding_differs: share of the pixels that this file's sampler makes otherwise, on poses that leave the frame; 0
            where its padding is one of ours.
        notes: further lines about the reading.
        B: ours from its θ, ``B @ θ + b``, float64 [6, 8 or 32, n].
        b: float64 [6, 8 or 32].
    """

    coordinates: str
    residual_px: float
    padding: str
    padding_differs: float
    notes: tuple[str, ...] = ()
    B: FloatArray = field(repr=False, default_factory=lambda: np.zeros((6, 0)))
    b: FloatArray = field(repr=False, default_factory=lambda: np.zeros(6))

    def summary(self) -> dict[str, Any]:
        """The convention, for the report."""
        return {
            "coordinates": self.coordinates,
            "residual_px": self.residual_px,
            "padding": self.padding,
            "padding_differs": self.padding_differs,
            "notes": list(self.notes),
        }

    def folded(
        self, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The linear function that gives our θ, of the one, kernel [F, n] and bias [n], that gives its θ."""
        return np.asarray(kernel @ self.B.T, np.float32), np.asarray(self.B @ bias + self.b, np.float32)

    def ours(self, theta: Any) -> Any:
        """Our θ of its θ, a TensorFlow tensor or array [N, n]."""
        return theta @ np.asarray(self.B.T, np.float32) + np.asarray(self.b, np.float32)

    def __str__(self) -> str:
        return f"{self.coordinates}, outside the frame {self.padding}; places within {self.residual_px:.1g} px"


def fold(
    found: PoseMap, input_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[FloatArray, FloatArray] | None:
    """Our θ as a linear function of the sampler's own: B [6, 8 or 32, n] and b, ``B @ θ + b``.

    Args:
        found: where the sampler reads.
        input_size: height and width of the frame.
        output_size: height and width of the rectified image.

    Returns:
        B and b; None for a projective θ whose H[2, 2], in our coordinates, is not the same for all θ: only divided by
        it would θ be ours, and that is not linear.
    """
    if found.transform == "affine":
        ours, offset = (part[:6] for part in pixel_matrix_map(6, input_size, output_size))
        return np.linalg.solve(ours, found.K), np.linalg.solve(ours, found.k - offset)
    if found.transform == "tps":
        sides = np.tile([2 / input_size[1], 2 / input_size[0]], len(CONTROL_POINTS))
        return found.K * sides[:, None], (found.k + 0.5) * sides - 1
    to_frame = pixels_to_normalised(input_size[1], input_size[0])
    from_image = normalised_to_pixels(output_size[1], output_size[0])
    columns = [(to_frame @ column.reshape(3, 3) @ from_image).ravel() for column in (*found.K.T, found.k)]
    K, k = np.stack(columns[:-1], axis=1), columns[-1]
    scale = float(K[8] @ found.theta + k[8])
    if np.abs(K[8] * found.spread).max() > _CONSTANT * abs(scale):
        return None
    return K[:8] / scale, (k[:8] + 0.0) / scale


def convention_name(found: PoseMap, input_size: tuple[int, int], output_size: tuple[int, int]) -> str:
    """Names the convention if it is one that is usual."""
    if found.transform == "tps":
        return "a thin-plate spline of its own"
    if found.transform == "projective":
        return f"projective, {_OTHER}"
    for name, (K, k) in _conventions(found.K.shape[1], input_size, output_size).items():
        difference = np.abs(np.c_[K, k] - np.c_[found.K, found.k]).reshape(2, 3, -1)
        # How far apart the two are at the image's far corner, for numbers of θ of 1.
        far = difference * np.array([output_size[1], output_size[0], 1.0])[:, None]
        if far.sum(axis=1).max() < _NAMED_PX:
            return name
    return _OTHER


def _conventions(n: int, input_size: tuple[int, int], output_size: tuple[int, int]) -> dict[str, tuple[Array, Array]]:
    """K [6, n] and k [6] of the usual conventions of an affine θ, by name."""
    if n != 6:
        return {}
    (height, width), (rows, columns) = input_size, output_size
    centres = (np.array([2 / columns, 1 / columns - 1]), np.array([2 / rows, 1 / rows - 1]))
    lattice = (np.array([2 / max(1, columns - 1), -1]), np.array([2 / max(1, rows - 1), -1]))
    named = {
        "normalised from edge to edge (align_corners=False)": _affine(
            centres, (width / 2, (width - 1) / 2), (height / 2, (height - 1) / 2)
        )
    }
    for less, words in ((1, "(W - 1), corners aligned (align_corners=True)"), (0, "W"), (2, "(W - 2)")):
        sides = ((width - less) / 2,) * 2, ((height - less) / 2,) * 2
        named[f"x = (u + 1) / 2 · {words}, lattice from -1 to 1"] = _affine(lattice, *sides)
    half = (width / 2, (width - 1) / 2), (height / 2, (height - 1) / 2)
    named["x = (u + 1) / 2 · W - 1/2, lattice from -1 to 1"] = _affine(lattice, *half)
    swapped = np.array([4, 3, 5, 1, 0, 2])
    named |= {f"{name}, (row, column) order": (K[:, swapped], k) for name, (K, k) in named.items()}
    return named


def _affine(lattice: tuple[Array, Array], of_x: tuple[float, float], of_y: tuple[float, float]) -> tuple[Array, Array]:
    """K and k of x = factor · (θ · (u, v, 1)) + offset, with u and v linear in column and row."""
    (u, u0), (v, v0) = lattice
    K, k = np.zeros((6, 6)), np.zeros(6)
    for axis, (factor, offset) in enumerate((of_x, of_y)):
        first = 3 * axis
        K[first, first], K[first + 1, first + 1] = factor * u, factor * v
        K[first + 2, first : first + 3] = factor * np.array([u0, v0, 1])
        k[first + 2] = offset
    return K, k
