"""Fits measured places of many poses, as linear functions of θ: a matrix, a spline, or each place by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.geometry import CONTROL_POINTS, pixel_centres
from stn_rectify.runtime.rectifying.pixels.splines import spline_basis

#: A sampler whose places are further from fitted ones than this is another; float32 leaves 1/100 of it.
MOST_RESIDUAL_PX = 0.005
#: At poses that bend the image by some percent at each control point: between them other splines are a little off.
MOST_SPLINE_RESIDUAL_PX = 0.25
#: Numbers of an affine matrix, its first two rows.
AFFINE = 6
_DRAWS, _LEAST_AGREEING, _LEAST_PIXELS = 40, 0.4, 12
_PIXELS_OF_A_POSE = 60
_ROUNDS = 3
_SPARE_POSES = 8  # more than unknowns, so that what is no linear function of θ shows
_MOST_OF_PIXELS = 0.9  # the others may be held or mirrored in some pose


@dataclass(frozen=True)
class Places:
    """What a sampler read for some θ.

    Attributes:
        x: [P, h, w], pixels of the frame.
        y: [P, h, w].
        inside: bool [P, h, w]: where x and y are inside the frame, and so what was read tells them.
        size: height and width of the frame.
    """

    x: Array
    y: Array
    inside: npt.NDArray[np.bool_]
    size: tuple[int, int]

    @property
    def share(self) -> float:
        """The share of all pixels that are read inside the frame."""
        return float(self.inside.mean())


@dataclass(frozen=True)
class MatrixFit:
    """M.ravel() = K · θ + k, and the largest distance of a place from where M puts its pixel."""

    K: FloatArray = field(repr=False)
    k: FloatArray = field(repr=False)
    residual_px: float


def fit_affine(thetas: Array, places: Places, rng: np.random.Generator) -> MatrixFit | None:
    """Fits a matrix to each pose, then K [6, n] and k [6] to the matrices.

    Returns:
        The fit; None if too few poses are affine.
    """
    matrices, kept = [], []
    for number in range(len(thetas)):
        matrix = _fitted_matrix(places.x[number], places.y[number], places.inside[number], rng)
        if matrix is not None:
            matrices.append(matrix)
            kept.append(number)
    if len(kept) < 2 * (thetas.shape[1] + 1):
        return None
    numbers = np.concatenate([thetas[kept], np.ones((len(kept), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(numbers, np.reshape(matrices, (len(kept), AFFINE)), rcond=None)
    fitted = (numbers @ solution).reshape(-1, 2, 3)
    height, width = places.x.shape[1:]
    ends = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1.0]])
    residual = float(np.abs((fitted - matrices) @ ends.T).max())
    return MatrixFit(solution[:-1].T, solution[-1], residual)


def fit_projective(thetas: Array, places: Places, start: FloatArray, spread: FloatArray) -> MatrixFit | None:
    """Fits K [9, n] and k [9] to all places at once: M is known up to a factor, so x · M₃·p = M₁·p, and y likewise.

    That is linear in K and k; the solution is the direction that changes least (the direct linear transform, for a
    matrix that is itself a linear function). Places that agree badly, as mirrored ones, are dropped, and it is solved
    again.

    Args:
        thetas: [P, n].
        places: read at them.
        start: about which θ was drawn, [n].
        spread: how widely, [n].

    Returns:
        The fit; None if there are too few places.
    """
    (rows, columns), (height, width) = places.x.shape[1:], places.size
    pose, i, j = _drawn_pixels(places, np.random.default_rng(2))
    unknowns = 9 * (len(start) + 1)
    if len(pose) < 2 * unknowns:
        return None
    steps = _steps(spread)
    factors = _factors(thetas[pose], start, steps)
    pixels = np.c_[j / columns, i / rows, np.ones(len(pose))]
    x, y = places.x[pose, i, j] / width, places.y[pose, i, j] / height
    products = (pixels[:, :, None] * factors[:, None, :]).reshape(len(pose), -1)  # of one row of M
    none = np.zeros_like(products)
    kept = np.ones(len(pose), bool)
    for _ in range(_ROUNDS):
        across = np.c_[products, none, -x[:, None] * products][kept]
        down = np.c_[none, products, -y[:, None] * products][kept]
        _, _, directions = np.linalg.svd(np.concatenate([across, down]), full_matrices=False)
        solution = directions[-1].reshape(3, 3, -1)  # row of M, column of M, factor
        first, second, third = (products @ solution[row].ravel() for row in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.maximum(np.abs(first / third - x) * width, np.abs(second / third - y) * height)
        distance = np.nan_to_num(distance, nan=np.inf)
        agreeing = distance < max(4 * MOST_RESIDUAL_PX, 3 * float(np.median(distance)))
        if (agreeing == kept).all() or agreeing.sum() < 2 * unknowns:
            break
        kept = agreeing
    # Back from shares of the images and of the spread to pixels and θ.
    solution = solution * np.array([width, height, 1.0])[:, None, None]
    solution = solution / np.array([columns, rows, 1.0])[:, None]
    K = solution[..., :-1].reshape(9, -1) / steps
    k = solution[..., -1].reshape(9) - K @ start
    return MatrixFit(K, k, float(distance[kept].max()))


def fit_spline(thetas: Array, places: Places, start: FloatArray, spread: FloatArray) -> MatrixFit | None:
    """Fits K [32, n] and k [32] to all places at once: our control points, in pixels, as a linear function of θ.

    What other splines give is seldom a spline of ours; the distance says how near the nearest one comes.

    Args:
        thetas: [P, n].
        places: read at them.
        start: about which θ was drawn, [n].
        spread: how widely, [n].

    Returns:
        The fit; None if there are too few places.
    """
    rows, columns = places.x.shape[1:]
    basis = spline_basis(pixel_centres(columns, rows)).reshape(rows, columns, -1)
    pose, i, j = _drawn_pixels(places, np.random.default_rng(3))
    steps = _steps(spread)
    factors = _factors(thetas[pose], start, steps)
    products = (basis[i, j][:, :, None] * factors[:, None, :]).reshape(len(pose), -1)
    if len(pose) < 2 * products.shape[1]:
        return None
    read = np.stack([places.x[pose, i, j], places.y[pose, i, j]], axis=1)
    solution, *_ = np.linalg.lstsq(products, read, rcond=None)
    residual = float(np.abs(products @ solution - read).max())
    solution = solution.reshape(len(CONTROL_POINTS), -1, 2).transpose(0, 2, 1)  # point, axis, factor
    K = (solution[..., :-1] / steps).reshape(-1, len(start))
    k = solution[..., -1].ravel() - K @ start
    return MatrixFit(K, k, residual)


def fit_grid(thetas: Array, places: Places, start: FloatArray, spread: FloatArray) -> FloatArray | None:
    """Fits the place of each pixel by itself, as a linear function of θ and 1.

    Args:
        thetas: [P, n].
        places: read at them.
        start: about which θ was drawn, [n].
        spread: how widely, [n].

    Returns:
        float64 [h, w, 2, n + 1], NaN for pixels that are inside in too few poses; None if most of the others are read
        elsewhere than a linear function says.
    """
    rows, columns = places.x.shape[1:]
    steps = _steps(spread)
    factors = _factors(thetas, start, steps)
    count = factors.shape[1]
    inside = places.inside & _unmirrored(places)
    grid = np.full((rows, columns, 2, count), np.nan)
    worst = []
    for row in range(rows):
        weights = inside[:, row].astype(np.float64)  # [P, w]
        known = weights.sum(axis=0) >= count + _SPARE_POSES
        if not known.any():
            continue
        weights = weights[:, known]
        read = np.stack([places.x[:, row][:, known], places.y[:, row][:, known]], axis=-1)  # [P, m, 2]
        squares = np.einsum("pm,pa,pb->mab", weights, factors, factors)
        products = np.einsum("pm,pa,pmd->mad", weights, factors, read)
        solution = np.linalg.solve(squares + 1e-9 * np.eye(count), products)  # [m, n + 1, 2]
        away = np.abs(np.einsum("pa,mad->pmd", factors, solution) - read).max(axis=-1)
        worst.append(np.where(weights > 0, away, 0).max(axis=0))
        grid[row, known] = solution.transpose(0, 2, 1)
    if not worst or np.quantile(np.concatenate(worst), _MOST_OF_PIXELS) > MOST_RESIDUAL_PX:
        return None
    grid[..., :-1] /= steps
    grid[..., -1] -= grid[..., :-1] @ start
    return grid


def _drawn_pixels(places: Places, rng: np.random.Generator) -> Array:
    """Some pixels of each pose that show the inside of the frame, unmirrored: pose, row and column, [3, M]."""
    chosen = [
        (np.full(len(at), pose), *at.T)
        for pose, inside in enumerate(places.inside & _unmirrored(places))
        for at in (rng.permutation(np.argwhere(inside))[:_PIXELS_OF_A_POSE],)
    ]
    return np.concatenate(chosen, axis=1)


def _steps(spread: FloatArray) -> FloatArray:
    """``spread``, 1 for numbers that move nothing."""
    return np.where(spread > 0, spread, 1)


def _factors(thetas: Array, start: FloatArray, steps: FloatArray) -> FloatArray:
    """What a linear function of θ is a sum of: θ about ``start``, in ``steps``, and 1; [M, n + 1]."""
    return np.asarray(np.c_[(thetas - start) / steps, np.ones(len(thetas))])


def _unmirrored(places: Places) -> npt.NDArray[np.bool_]:
    """Where x and y go the way that they go in most of the image: places that are mirrored go back."""
    same = np.ones(places.x.shape, bool)
    for values in (places.x, places.y):
        slopes = np.stack(np.gradient(values, axis=(1, 2)), axis=-1)
        usual = np.stack(
            [
                np.median(slope[inside], axis=0) if inside.any() else np.zeros(2)
                for slope, inside in zip(slopes, places.inside, strict=True)
            ]
        )
        same &= np.einsum("pijk,pk->pij", slopes, usual) > 0
    return same


def _fitted_matrix(x: Array, y: Array, inside: npt.NDArray[np.bool_], rng: np.random.Generator) -> FloatArray | None:
    """M [2, 3] of one pose; None if the places are no affine image of the pixels.

    Most of the places must agree, not all: where a sampler mirrors what lies outside they are inside, too.
    """
    i, j = np.nonzero(inside)
    if len(i) < _LEAST_PIXELS:
        return None
    pixels = np.stack([j, i, np.ones(len(i))], axis=1)
    places = np.stack([x[inside], y[inside]], axis=1)
    best: npt.NDArray[np.bool_] | None = None
    for three in _triples(len(i), rng):
        try:
            matrix = np.linalg.solve(pixels[three], places[three])
        except np.linalg.LinAlgError:
            continue
        agreeing = np.abs(pixels @ matrix - places).max(axis=1) < 4 * MOST_RESIDUAL_PX
        if best is None or agreeing.sum() > best.sum():
            best = agreeing
            if agreeing.all():
                break
    if best is None or best.sum() < max(_LEAST_PIXELS, _LEAST_AGREEING * len(i)):
        return None
    solution, *_ = np.linalg.lstsq(pixels[best], places[best], rcond=None)
    return np.asarray(solution.T)


def _triples(count: int, rng: np.random.Generator) -> Iterator[Array]:
    for _ in range(_DRAWS):
        yield rng.choice(count, 3, replace=False)
