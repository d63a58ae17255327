"""How far the integer grid is from float64, over random poses: a table of sizes and transforms.

python tests/benchmarks/sampler/sampler_accuracy.py [POSES]
"""

from __future__ import annotations

import sys

import numpy as np

from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.proof.reference import reference_grid
from stn_rectify.runtime.geometry import (
    CONTROL_POINTS,
    normalised_to_pixels,
    pixel_homography,
    transform_points,
)
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

SIZES = (32, 50, 64, 97, 128, 224, 384, 512)
SCATTER = 1.5 / 42 * 2  # of control points, normalised: 1.5 px at 42 px


def random_theta(rng: np.random.Generator, transform: str) -> np.ndarray:
    """Rotations up to ±57°, scales from 0.37 to 1.5, shear, shifts up to 0.6, perspective up to ±0.35."""
    angle, scale = rng.uniform(-1, 1), np.exp(rng.uniform(-1, 0.4, 2))
    a = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(scale)
    a += rng.normal(0, 0.1, (2, 2))
    shift = rng.uniform(-0.6, 0.6, 2)
    theta = np.array([a[0, 0], a[0, 1], shift[0], a[1, 0], a[1, 1], shift[1], 0, 0])
    theta[6:] = rng.uniform(-0.35, 0.35, 2)
    return theta[: 6 if transform == "affine" else 8]


def scattered_spline(rng: np.random.Generator) -> np.ndarray:
    """Control points of a random affine pose, each moved on its own: the harshest there is."""
    return affine_control_points(rng) + rng.normal(0, SCATTER, 32)


def bent_page(rng: np.random.Generator) -> np.ndarray:
    """The same pose of a page with a wave along a random direction, up to 15 % of the frame high."""
    direction = rng.normal(size=2)
    phase = CONTROL_POINTS @ direction / np.linalg.norm(direction) * rng.uniform(0.5, 2) + rng.uniform(0, 2 * np.pi)
    height = rng.uniform(-0.15, 0.15, 2)
    return affine_control_points(rng) + (np.sin(phase)[:, None] * height).ravel()


def affine_control_points(rng: np.random.Generator) -> np.ndarray:
    a, b, c, d, e, f = random_theta(rng, "affine")
    return (CONTROL_POINTS @ np.array([[a, d], [b, e]]) + [c, f]).ravel()


POSES = {
    "affine": ("affine", lambda rng: random_theta(rng, "affine")),
    "projective": ("projective", lambda rng: random_theta(rng, "projective")),
    "spline, bent page": ("tps", bent_page),
    "spline, scattered": ("tps", scattered_spline),
}


def exact_positions(plan: SamplerPlan, theta: np.ndarray) -> np.ndarray:
    """x and y in the frame for every output pixel, float64 [h · w, 2]."""
    (height, width), (rows, columns) = plan.input_size, plan.output_size
    pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    if plan.transform != "tps":
        return transform_points(pixel_homography(theta, (width, height), (columns, rows)), pixels)
    normalised = transform_points(np.linalg.inv(normalised_to_pixels(columns, rows)), pixels)
    return transform_points(normalised_to_pixels(width, height), spline_basis(normalised) @ theta.reshape(16, 2))


def grid_errors(plan: SamplerPlan, random_pose, poses: int) -> np.ndarray:
    """Distance in pixels of every grid coordinate, after the clamp, for every pose."""
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(poses):
        theta = random_pose(rng)
        exact = np.clip(exact_positions(plan, theta) + plan.margin, 0, plan.last).T.reshape(2, *plan.output_size)
        errors.append(np.abs(reference_grid(plan.coefficients(theta), plan) / 256 - exact))
    return np.array(errors)


def main() -> None:
    """Prints the table."""
    poses = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"grid error in pixels against float64, {poses} random poses each: mean / max, of splines also the")
    print("mean of each pose's largest")
    print(f"{'size':>6}" + "".join(f"{name:>26}" if "spline" in name else f"{name:>18}" for name in POSES))
    for size in SIZES:
        line = f"{size:>6}"
        for transform, random_pose in POSES.values():
            plan = SamplerPlan(transform, "zeros", (size, size), (size, size), 1, -128)
            error = grid_errors(plan, random_pose, poses)
            if transform == "tps":
                line += f"{f'{error.mean():.4f} / {error.max(axis=(1, 2, 3)).mean():.3f} / {error.max():.3f}':>26}"
            else:
                line += f"{f'{error.mean():.4f} / {error.max():.4f}':>18}"
        print(line)


if __name__ == "__main__":
    main()
