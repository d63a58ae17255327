"""How far the integer grid is from float64, over random poses: a table of sizes and transforms.

python tests/benchmarks/sampler_accuracy.py [POSES]
"""

from __future__ import annotations

import sys

import numpy as np

from stn_rectify.converters.reference import reference_grid
from stn_rectify.converters.sampler_plan import SamplerPlan
from stn_rectify.runtime.geometry import pixel_homography, transform_points

SIZES = (32, 50, 64, 97, 128, 224, 384, 512)


def random_theta(rng: np.random.Generator, transform: str) -> np.ndarray:
    """Rotations up to ±57°, scales from 0.37 to 1.5, shear, shifts up to 0.6, perspective up to ±0.35."""
    angle, scale = rng.uniform(-1, 1), np.exp(rng.uniform(-1, 0.4, 2))
    a = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(scale)
    a += rng.normal(0, 0.1, (2, 2))
    shift = rng.uniform(-0.6, 0.6, 2)
    theta = np.array([a[0, 0], a[0, 1], shift[0], a[1, 0], a[1, 1], shift[1], 0, 0])
    theta[6:] = rng.uniform(-0.35, 0.35, 2)
    return theta[: 6 if transform == "affine" else 8]


def grid_errors(plan: SamplerPlan, poses: int) -> np.ndarray:
    """Distance in pixels of every grid coordinate, after the clamp, for every pose."""
    rng = np.random.default_rng(0)
    (height, width), (rows, columns) = plan.input_size, plan.output_size
    pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    errors = []
    for _ in range(poses):
        theta = random_theta(rng, plan.transform)
        exact = transform_points(pixel_homography(theta, (width, height), (columns, rows)), pixels) + plan.margin
        exact = np.clip(exact, 0, plan.last).T.reshape(2, rows, columns)
        errors.append(np.abs(reference_grid(plan.coefficients(theta), plan) / 256 - exact))
    return np.array(errors)


def main() -> None:
    """Prints the table."""
    poses = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"grid error in pixels against float64, {poses} random poses each: mean / max")
    print(f"{'size':>6}{'affine':>20}{'projective':>20}")
    for size in SIZES:
        cells = []
        for transform in ("affine", "projective"):
            error = grid_errors(SamplerPlan(transform, "zeros", (size, size), (size, size), 1, -128), poses)
            cells.append(f"{error.mean():.4f} / {error.max():.4f}")
        print(f"{size:>6}{cells[0]:>20}{cells[1]:>20}")


if __name__ == "__main__":
    main()
