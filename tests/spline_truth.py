"""The thin-plate spline, solved for one θ as Bookstein (1989) writes it: what all other ways must give."""

from __future__ import annotations

import numpy as np


def spline_points(theta: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps output points [N, 2] to input points [N, 2], both normalised, with θ [32].

    Weights w and an affine part a with P w + a(P) = targets, Σ w = Σ w x = Σ w y = 0.
    """
    line = np.linspace(-1, 1, 4)
    nodes = np.array([(x, y) for y in line for x in line])

    def terms(places: np.ndarray) -> np.ndarray:
        r = np.hypot(*(places[:, None] - nodes).T).T
        return np.column_stack([r * r * np.log(np.where(r > 0, r, 1.0)), np.ones(len(places)), places])

    free = np.column_stack([terms(nodes)[:, 16:].T, np.zeros((3, 3))])
    targets = np.vstack([np.reshape(theta, (16, 2)), np.zeros((3, 2))])
    solved = np.linalg.solve(np.vstack([terms(nodes), free]), targets)
    return terms(np.asarray(points, float)) @ solved
