"""Ways of making a spline's grid from few numbers, and what each costs in pixels: a table.

python tests/benchmarks/sampler/spline_fits.py [SIZE …]

Each way gives the grid as rows · coefficients · columns; the coefficients are fitted by least squares. Control points
are scattered by 1.5 px at 42 px, on 200 splines.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

from stn_rectify.converters.integer.separable_spline import separable_spline
from stn_rectify.runtime.geometry import identity_theta
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

SCATTER = 1.5 / 42 * 2


def linear(size: int, nodes: int) -> np.ndarray:
    """Straight lines between nodes, [size, nodes]."""
    place = np.arange(size) * (nodes - 1) / (size - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(nodes)))


def cubic(size: int, nodes: int) -> np.ndarray:
    """Cubic B-splines on even knots, as many as ``nodes``: what four taps a pixel can do."""
    knots = np.concatenate([[0] * 3, np.linspace(0, 1, nodes - 2), [1] * 3])
    x = np.linspace(0, 1 - 1e-12, size)
    basis = [((a <= x) & (x < b)).astype(float) for a, b in pairwise(knots)]
    for degree in (1, 2, 3):
        basis = [
            _ramp(x, knots[k], knots[k + degree]) * basis[k]
            + (1 - _ramp(x, knots[k + 1], knots[k + degree + 1]))
            * basis[k + 1]
            * (knots[k + degree + 1] > knots[k + 1])
            for k in range(len(basis) - 1)
        ]
    return np.stack(basis, axis=1)


def _ramp(x: np.ndarray, start: float, end: float) -> np.ndarray:
    return (x - start) / (end - start) if end > start else np.zeros_like(x)


def fitted(rows: np.ndarray, columns: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The nearest that rows · coefficients · columns comes to exact [h, w, 16]."""
    projections = (f @ np.linalg.pinv(f) for f in (rows, columns))
    return np.einsum("ia,jb,abk->ijk", *projections, exact, optimize=True)


def main() -> None:
    """Prints the table."""
    rng = np.random.default_rng(0)
    moved = rng.normal(0, SCATTER, (200, 32))
    for size in [int(argument) for argument in sys.argv[1:]] or [42, 64, 128, 224]:
        line = (2 * np.arange(size) + 1) / size - 1
        points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        exact = spline_basis(points).reshape(size, size, 16)
        print(f"{size} px: mean / mean of the largest / largest, pixels")
        ways = {f"lattice of {n}x{n}, linear": (linear(size, n), n) for n in (5, 7, 9, 13, 17)}
        ways |= {f"lattice of {n}x{n}, cubic": (cubic(size, n), n) for n in (5, 7, 9, 13, 17)}
        for name, (basis, count) in ways.items():
            error = (fitted(basis, basis, exact) - exact) @ (moved.reshape(200, 16, 2) * size / 2)[:, None]
            report(name, count * count, error)
        error = []
        spline = separable_spline((size, size))
        for change in moved:
            theta = identity_theta("tps") + change
            wanted = ((spline_basis(points) @ theta.reshape(16, 2) + 1) * size - 1) / 2
            error.append(spline.points(theta, (size, size)) - wanted)
        report("singular functions, as in the file", len(spline.columns) * len(spline.rows), np.array(error))


def report(name: str, coefficients: int, error: np.ndarray) -> None:
    size = np.abs(error).reshape(len(error), -1)
    numbers = f"{size.mean():.4f} / {size.max(axis=1).mean():.3f} / {size.max():.3f}"
    print(f"  {name:<36}{2 * coefficients:>5} coefficients   {numbers}")


if __name__ == "__main__":
    main()
